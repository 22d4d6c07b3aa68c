//! Which peers are known on which topics.

use std::collections::HashMap;

use libp2p::PeerId;

#[derive(Default)]
pub(super) struct Known {
    /// The peers of a topic, by its full name, in order. Most topics have few: a set takes 900 bytes for the first of them,
    /// and one peer can subscribe to thousands.
    peers: HashMap<String, Vec<PeerId>>,
    /// On how many topics a peer is, of those that are on any: whoever is on none is forgotten without a look at the topics.
    topics: HashMap<PeerId, usize>,
}

impl Known {
    pub(super) fn joined(&mut self, full: &str, peer: PeerId) {
        let peers = self.peers.entry(full.to_owned()).or_insert_with(|| Vec::with_capacity(1));
        if let Err(at) = peers.binary_search(&peer) {
            peers.insert(at, peer);
            *self.topics.entry(peer).or_default() += 1;
        }
    }

    pub(super) fn left(&mut self, full: &str, peer: &PeerId) {
        let Some(peers) = self.peers.get_mut(full) else { return };
        if remove(peers, peer) {
            if peers.is_empty() {
                self.peers.remove(full);
            }
            one_less(&mut self.topics, peer);
        }
    }

    /// The peer has left all topics.
    pub(super) fn gone(&mut self, peer: &PeerId) {
        let Some(mut left) = self.topics.remove(peer) else { return };
        let mut emptied = Vec::new();
        for (full, peers) in &mut self.peers {
            if left == 0 {
                break;
            }
            if remove(peers, peer) {
                left -= 1;
                if peers.is_empty() {
                    emptied.push(full.clone());
                }
            }
        }
        for full in emptied {
            self.peers.remove(&full);
        }
    }

    /// Forgets all other topics.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        let Self { peers, topics } = self;
        for (_, left) in peers.extract_if(|full, _| !stays(full)) {
            for peer in left {
                one_less(topics, &peer);
            }
        }
    }

    /// The peers of a topic, in order.
    pub(super) fn on(&self, full: &str) -> &[PeerId] {
        self.peers.get(full).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn is_on_any(&self, peer: &PeerId) -> bool {
        self.topics.contains_key(peer)
    }
}

/// `true`: it was there.
fn remove(peers: &mut Vec<PeerId>, peer: &PeerId) -> bool {
    peers.binary_search(peer).map(|at| peers.remove(at)).is_ok()
}

fn one_less(topics: &mut HashMap<PeerId, usize>, peer: &PeerId) {
    if let Some(count) = topics.get_mut(peer) {
        *count -= 1;
        if *count == 0 {
            topics.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three peers: the first is on all of ten topics, the second on every other one, the third on the first alone.
    fn known() -> (Known, [PeerId; 3]) {
        let peers: [PeerId; 3] = std::array::from_fn(|_| PeerId::random());
        let mut known = Known::default();
        for topic in 0..10 {
            let on_it = if topic == 0 { 3 } else { 2 - topic % 2 };
            for peer in &peers[..on_it] {
                known.joined(&topic.to_string(), *peer);
                known.joined(&topic.to_string(), *peer);
            }
        }
        (known, peers)
    }

    /// On how many topics each peer is; which is what is counted.
    fn counts(known: &Known, peers: [PeerId; 3]) -> [usize; 3] {
        assert!(known.peers.values().all(|peers| peers.is_sorted() && !peers.is_empty()));
        let counts = peers.map(|peer| known.peers.values().filter(|peers| peers.contains(&peer)).count());
        assert_eq!(peers.map(|peer| known.topics.get(&peer).copied().unwrap_or_default()), counts);
        assert_eq!(peers.map(|peer| known.is_on_any(&peer)), counts.map(|count| count > 0));
        counts
    }

    #[test]
    fn whoever_is_gone_is_on_no_topic_and_the_others_stay() {
        let (mut known, peers) = known();
        assert_eq!(counts(&known, peers), [10, 5, 1]);
        known.gone(&PeerId::random());
        assert_eq!(counts(&known, peers), [10, 5, 1]);
        known.gone(&peers[0]);
        assert_eq!(counts(&known, peers), [0, 5, 1]);
        assert_eq!(known.peers.len(), 5, "a topic that nobody is on is forgotten");
        known.gone(&peers[0]);
        known.joined("0", peers[0]);
        known.gone(&peers[1]);
        assert_eq!(counts(&known, peers), [1, 0, 1]);
        assert_eq!(known.on("0").len(), 2);
        assert!(known.on("2").is_empty());
    }

    #[test]
    fn topics_are_left_one_by_one_and_together() {
        let (mut known, peers) = known();
        known.left("0", &peers[0]);
        known.left("0", &peers[0]);
        known.left("1", &peers[1]);
        known.left("nobody's", &peers[1]);
        known.left("0", &peers[2]);
        assert_eq!(counts(&known, peers), [9, 5, 0]);
        known.retain(|full| full == "2" || full == "3");
        assert_eq!(counts(&known, peers), [2, 1, 0]);
        known.retain(|_| false);
        assert_eq!(counts(&known, peers), [0, 0, 0]);
    }
}

//! Who is there on the local network. mDNS tells of each address once, and then only of its end.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

/// Anybody on the network can speak for as many as it likes.
const MAX_PEERS: usize = 1_024;
const MAX_ADDRESSES: usize = 16;
/// A registry that is asked for each wallet is asked for a stranger no more often than this.
const OFFER_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Neighbours {
    found: HashMap<PeerId, Vec<Multiaddr>>,
    /// When all of them are due again. `None`: there is nobody, or not since anybody came.
    due_at: Option<Instant>,
}

impl Neighbours {
    pub(crate) fn found(&mut self, peer: PeerId, address: &Multiaddr) {
        if self.found.len() >= MAX_PEERS && !self.found.contains_key(&peer) {
            return;
        }
        let addresses = self.found.entry(peer).or_default();
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }

    pub(crate) fn gone(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(addresses) = self.found.get_mut(peer) {
            addresses.retain(|other| other != address);
            if addresses.is_empty() {
                self.found.remove(peer);
            }
        }
    }

    /// Until it is found anew.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.found.remove(peer);
    }

    /// Something has changed: they are due now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.due_at = Some(now);
    }

    /// All of them, from time to time.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        if now < *self.due_at.get_or_insert(now + OFFER_EVERY) {
            return Vec::new();
        }
        self.due_at = Some(now + OFFER_EVERY);
        self.found.iter().map(|(peer, addresses)| (*peer, addresses.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/192.168.1.2/tcp/{port}").parse().expect("an address")
    }

    #[test]
    fn neighbours_are_due_once_a_minute_until_they_are_gone() {
        let (mut neighbours, start, peer) = (Neighbours::default(), Instant::now(), PeerId::random());
        assert!(neighbours.due(start).is_empty());
        for port in [1, 2, 1] {
            neighbours.found(peer, &address(port));
        }
        assert!(neighbours.due(start + OFFER_EVERY / 2).is_empty());
        assert_eq!(neighbours.due(start + OFFER_EVERY), [(peer, vec![address(1), address(2)])]);
        assert!(neighbours.due(start + OFFER_EVERY).is_empty());
        neighbours.hurry(start + OFFER_EVERY);
        neighbours.gone(&peer, &address(1));
        assert_eq!(neighbours.due(start + OFFER_EVERY), [(peer, vec![address(2)])]);
        neighbours.gone(&peer, &address(2));
        assert!(neighbours.due(start + 2 * OFFER_EVERY).is_empty());
    }

    #[test]
    fn a_crowd_is_bounded() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::now());
        for number in 0..=MAX_PEERS {
            let peer = PeerId::random();
            (0..=if number == 0 { MAX_ADDRESSES } else { 0 }).for_each(|port| neighbours.found(peer, &address(port)));
        }
        neighbours.hurry(now);
        let due = neighbours.due(now);
        assert_eq!(due.len(), MAX_PEERS);
        assert_eq!(due.iter().map(|(_, addresses)| addresses.len()).max(), Some(MAX_ADDRESSES));
    }
}

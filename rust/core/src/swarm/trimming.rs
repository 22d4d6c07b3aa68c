//! Too many peers: the least useful ones go, down to the low watermark.

use std::{
    cmp::Reverse,
    collections::HashSet,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::{config::ConnectionConfig, events::DisconnectReason, swarm::task::Task};

/// At least so long between two rounds, as a peer that goes may be back at once.
const ROUND: Duration = Duration::from_secs(10);
/// After peers were let go no others are looked for, for so long: a fleet that has shrunk since is looked through again.
const RESTS: Duration = Duration::from_secs(60 * 60);

/// A connected peer, as it is weighed.
#[derive(Clone, Copy)]
struct Candidate {
    peer: PeerId,
    since: Instant,
    /// Topics of ours that it subscribes to.
    topics: usize,
    /// A bootstrap node, a relay that the operator named, in a mesh, or one that is reached through this node, or reaches
    /// others so: it stays.
    needed: bool,
}

#[derive(Default)]
pub(super) struct Trimming {
    last: Option<Instant>,
    /// When somebody was let go.
    closed: Option<Instant>,
}

impl Trimming {
    /// Who goes: past the grace time, those that share the fewest topics first, and of these the newest.
    fn surplus(&mut self, mut peers: Vec<Candidate>, limits: &ConnectionConfig, now: Instant) -> Vec<PeerId> {
        let surplus = peers.len().saturating_sub(limits.low);
        self.last = Some(now);
        peers.retain(|peer| !peer.needed && now.duration_since(peer.since) >= limits.grace);
        peers.sort_unstable_by_key(|peer| (peer.topics, Reverse(peer.since)));
        peers.truncate(surplus);
        if !peers.is_empty() {
            self.closed = Some(now);
        }
        peers.iter().map(|candidate| candidate.peer).collect()
    }

    /// Up to how many peers others are looked for. In a fleet that has more nodes than one may have peers, all that were let
    /// go would otherwise be looked for at once.
    pub(super) fn wanted(&self, limits: &ConnectionConfig, now: Instant) -> usize {
        if self.closed.is_some_and(|at| now.duration_since(at) < RESTS) { limits.low } else { limits.high }
    }

    fn is_due(&self, peers: usize, limits: &ConnectionConfig, now: Instant) -> bool {
        peers > limits.high && self.last.is_none_or(|last| now.duration_since(last) >= ROUND)
    }
}

impl Task {
    pub(super) fn trim(&mut self, now: Instant) {
        let limits = &self.config.connections;
        if !self.trimming.is_due(self.peers.len(), limits, now) {
            return;
        }
        // With `discovery.registry` the list names the whole fleet.
        let named = !self.config.discovery.registry;
        let gossip = &self.swarm.behaviour().gossip.inner;
        let mesh: HashSet<_> = gossip.all_mesh_peers().collect();
        let candidates = self.peers.since().map(|(peer, since)| {
            let needed = mesh.contains(&peer)
                || (named && self.dialer.is_bootstrap(&peer))
                || self.dialer.is_kept(&peer)
                || self.relays.holds(&peer)
                || self.relayed.serves(&peer);
            // Who stays anyhow is not compared with others; to look through the topics of all peers takes long.
            let stays = needed || now.duration_since(since) < limits.grace;
            let topics = if stays { 0 } else { self.shared.topics.shared_with(&peer) };
            Candidate { peer, since, topics, needed }
        });
        let surplus = self.trimming.surplus(candidates.collect(), limits, now);
        if surplus.is_empty() {
            return;
        }
        tracing::info!(peers = self.peers.len(), closed = surplus.len(), "more peers than connections.high");
        for peer in surplus {
            self.peers.closing(&peer, DisconnectReason::Trimmed);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionConfig = ConnectionConfig {
        low: 2,
        high: 4,
        grace: Duration::from_secs(60),
        max_per_ip: 64,
        max_pending_per_ip: 16,
        dial_concurrency: 8,
        handshake_timeout: Duration::from_secs(10),
    };

    /// Peers of a quarter of an hour, the newest first.
    fn candidates(n: u64, now: Instant) -> Vec<Candidate> {
        (0..n)
            .map(|age| Candidate {
                peer: PeerId::random(),
                since: now.checked_sub(Duration::from_secs(900 + age)).expect("a clock that began earlier"),
                topics: 1,
                needed: false,
            })
            .collect()
    }

    #[test]
    fn nobody_goes_up_to_the_high_watermark_and_rounds_keep_a_distance() {
        let (mut trimming, now) = (Trimming::default(), Instant::now());
        assert!(!trimming.is_due(4, &LIMITS, now));
        assert!(trimming.is_due(5, &LIMITS, now));
        assert_eq!(trimming.wanted(&LIMITS, now), LIMITS.high);
        assert_eq!(trimming.surplus(candidates(5, now), &LIMITS, now).len(), 3);
        assert_eq!(trimming.wanted(&LIMITS, now), LIMITS.low, "whoever was let go is not looked for");
        assert_eq!(trimming.wanted(&LIMITS, now + RESTS), LIMITS.high, "the fleet may be another one by then");
        assert!(!trimming.is_due(5, &LIMITS, now + ROUND / 2));
        assert!(trimming.is_due(5, &LIMITS, now + ROUND));
    }

    #[test]
    fn those_without_a_common_topic_go_first_and_then_the_newest() {
        let (mut trimming, now) = (Trimming::default(), Instant::now());
        let mut peers = candidates(5, now);
        peers[4].topics = 0;
        let expected = [peers[4].peer, peers[0].peer, peers[1].peer];
        assert_eq!(trimming.surplus(peers, &LIMITS, now), expected);
    }

    #[test]
    fn a_round_that_lets_nobody_go_changes_nothing() {
        let (mut trimming, now) = (Trimming::default(), Instant::now());
        let new = candidates(5, now).into_iter().map(|peer| Candidate { since: now, ..peer });
        assert!(trimming.surplus(new.collect(), &LIMITS, now).is_empty());
        assert_eq!(trimming.wanted(&LIMITS, now), LIMITS.high);
    }

    #[test]
    fn new_peers_bootstrap_nodes_and_those_in_a_mesh_stay() {
        let (mut trimming, now) = (Trimming::default(), Instant::now());
        let mut peers = candidates(5, now);
        peers[0].needed = true;
        peers[1].since = now;
        let expected = [peers[2].peer, peers[3].peer, peers[4].peer];
        assert_eq!(trimming.surplus(peers, &LIMITS, now), expected);
    }
}

//! Whom to dial, and when: bootstrap nodes and former peers, by design rule 20. Pure: the caller brings the time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::swarm::jitter::Jitter;

const FIRST_DELAY: Duration = Duration::from_millis(250);
/// While the node has no peer at all.
const MAX_DELAY_ALONE: Duration = Duration::from_secs(2);
/// While it has others, and after a refusal: a stranger knocks on our door no more often either.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// The other side's gate closed on us: its list will not change within a moment.
const REFUSED_DELAY: Duration = Duration::from_secs(2);
/// A former peer that did not come back for this long is left to discovery.
const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
const MAX_ADDRESSES: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled at this time.
    Due(Instant),
    Dialling,
    Connected,
}

struct Target {
    addresses: Vec<Multiaddr>,
    /// Named by the operator: never forgotten.
    bootstrap: bool,
    state: State,
    delay: Duration,
    since: Instant,
    met: Met,
    /// Tried since the last list of bootstrap nodes came.
    tried: bool,
}

/// What became of the last connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    Never,
    /// It has been connected and identified.
    Yes,
    /// The other side's gate, or ours, closed the door.
    Refused,
}

pub(crate) struct Dialer {
    own: PeerId,
    limit: usize,
    targets: HashMap<PeerId, Target>,
    jitter: Jitter,
}

impl Dialer {
    pub(crate) fn new(own: PeerId, limit: usize, jitter: Jitter) -> Self {
        Self { own, limit, targets: HashMap::new(), jitter }
    }

    /// A new list of bootstrap nodes: those that are not connected are due at once. `false`: nobody to dial.
    pub(crate) fn bootstrap(&mut self, nodes: &[(PeerId, Vec<Multiaddr>)], now: Instant) -> bool {
        // Who left the list and was never met is forgotten; a former peer stays one.
        self.targets
            .retain(|_, target| !target.bootstrap || target.met == Met::Yes || !matches!(target.state, State::Due(_)));
        for target in self.targets.values_mut() {
            target.bootstrap = false;
            target.tried = true;
        }
        for (peer, addresses) in nodes.iter().filter(|(peer, _)| *peer != self.own) {
            let target = self.targets.entry(*peer).or_insert_with(|| Target::new(now));
            target.bootstrap = true;
            target.addresses.clone_from(addresses);
            if let State::Due(_) = target.state {
                target.state = State::Due(now);
                target.tried = false;
            }
        }
        nodes.iter().any(|(peer, _)| *peer != self.own)
    }

    /// Every node of the last list has been dialled, and none is under way. One that is connected is so too: it has not
    /// said who it is yet, or the node would be ready, and nobody would ask.
    pub(crate) fn round_ended(&self) -> bool {
        let is_waiting = |target: &Target| matches!(target.state, State::Due(_));
        self.targets.values().filter(|target| target.bootstrap).all(|target| target.tried && is_waiting(target))
    }

    /// Those whose time has come, as far as the limit of dials under way allows.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.targets.retain(|_, target| target.bootstrap || target.useful(now));
        let under_way = self.targets.values().filter(|target| target.state == State::Dialling).count();
        let mut due: Vec<_> = self
            .targets
            .iter()
            .filter_map(|(peer, target)| match target.state {
                State::Due(at) if at <= now && !target.addresses.is_empty() => Some((at, *peer)),
                _ => None,
            })
            .collect();
        due.sort_unstable();
        due.truncate(self.limit.saturating_sub(under_way));
        due.iter()
            .filter_map(|(_, peer)| {
                let target = self.targets.get_mut(peer)?;
                target.state = State::Dialling;
                target.tried = true;
                Some((*peer, target.addresses.clone()))
            })
            .collect()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let under_way = self.targets.values().filter(|target| target.state == State::Dialling).count();
        if under_way >= self.limit {
            return None;
        }
        self.targets
            .values()
            .filter_map(|target| match target.state {
                State::Due(at) if !target.addresses.is_empty() => Some(at),
                _ => None,
            })
            .min()
    }

    pub(crate) fn connected(&mut self, peer: PeerId, now: Instant) {
        let target = self.targets.entry(peer).or_insert_with(|| Target::new(now));
        target.state = State::Connected;
        target.tried = true;
    }

    /// The peer has said who it is: from here on it is a peer to come back to.
    pub(crate) fn identified(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        self.connected(peer, now);
        if let Some(target) = self.targets.get_mut(&peer) {
            target.delay = FIRST_DELAY;
            target.met = Met::Yes;
            target.learn(addresses);
        }
    }

    /// A connection that had been identified is gone: back at once, then with growing pauses.
    pub(crate) fn lost(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(&peer) {
            target.since = now;
            target.delay = FIRST_DELAY;
            target.state = State::Due(now);
        }
    }

    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant, alone: bool) {
        let Some(target) = self.targets.get_mut(&peer) else { return };
        target.state = State::Due(now + self.jitter.around(target.delay));
        let limit = if alone && target.met != Met::Refused { MAX_DELAY_ALONE } else { MAX_DELAY };
        target.delay = (target.delay * 2).min(limit);
    }

    /// The peer, or our own gate, closed the door: knock again, but slowly.
    pub(crate) fn refused(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(&peer) {
            target.met = Met::Refused;
            target.delay = target.delay.max(REFUSED_DELAY);
        }
        self.failed(peer, now, false);
    }

    /// The last peer is gone: nobody waits longer than a lone node does.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for target in self.targets.values_mut().filter(|target| target.met != Met::Refused) {
            target.delay = target.delay.min(MAX_DELAY_ALONE);
            if let State::Due(at) = target.state {
                target.state = State::Due(at.min(now + target.delay));
            }
        }
    }

    /// Off the list: not dialled again, unless the operator names it.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.targets.remove(peer);
    }

    pub(crate) fn addresses(&self, peer: &PeerId) -> Option<Vec<Multiaddr>> {
        self.targets.get(peer).map(|target| target.addresses.clone()).filter(|addresses| !addresses.is_empty())
    }
}

impl Target {
    const fn new(now: Instant) -> Self {
        Self {
            addresses: Vec::new(),
            bootstrap: false,
            state: State::Due(now),
            delay: FIRST_DELAY,
            since: now,
            met: Met::Never,
            tried: false,
        }
    }

    fn useful(&self, now: Instant) -> bool {
        match self.state {
            State::Connected | State::Dialling => true,
            State::Due(_) => !self.addresses.is_empty() && now.duration_since(self.since) < FORGET_AFTER,
        }
    }

    fn learn(&mut self, addresses: Vec<Multiaddr>) {
        for address in addresses {
            if !self.addresses.contains(&address) && self.addresses.len() < MAX_ADDRESSES {
                self.addresses.push(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn address() -> Vec<Multiaddr> {
        vec!["/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr")]
    }

    fn dialer(limit: usize) -> (Dialer, Instant) {
        (Dialer::new(PeerId::random(), limit, Jitter::seeded(3)), Instant::now())
    }

    #[test]
    fn a_whole_list_is_dialled_at_once_but_for_ourselves() {
        let (mut dialer, now) = dialer(8);
        let own = dialer.own;
        let nodes: Vec<_> = (0..5).map(|_| (PeerId::random(), address())).chain([(own, address())]).collect();
        assert!(dialer.bootstrap(&nodes, now));
        let due = dialer.due(now);
        assert_eq!(due.len(), 5);
        assert!(due.iter().all(|(peer, _)| *peer != own));
        assert!(!dialer.bootstrap(&[(own, address())], now), "a list of ourselves alone is an empty list");
    }

    #[test]
    fn dials_under_way_stay_bounded_for_a_list_of_any_length() {
        let (mut dialer, now) = dialer(8);
        let nodes: Vec<_> = (0..1_000).map(|_| (PeerId::random(), address())).collect();
        dialer.bootstrap(&nodes, now);
        let first = dialer.due(now);
        assert_eq!(first.len(), 8);
        assert!(dialer.due(now).is_empty());
        dialer.failed(first[0].0, now, true);
        assert_eq!(dialer.due(now).len(), 1);
        assert!(!dialer.round_ended());
    }

    #[test]
    fn a_round_goes_on_while_a_connected_node_has_not_said_who_it_is() {
        let (mut dialer, now) = dialer(8);
        let peer = PeerId::random();
        dialer.bootstrap(&[(peer, address())], now);
        assert_eq!(dialer.due(now).len(), 1);
        dialer.connected(peer, now);
        assert!(!dialer.round_ended());
        dialer.failed(peer, now, true);
        assert!(dialer.round_ended());
    }

    #[test]
    fn a_lone_node_tries_again_after_a_quarter_second_doubling_to_two() {
        let (mut dialer, mut now) = dialer(8);
        let peer = PeerId::random();
        dialer.bootstrap(&[(peer, address())], now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert_eq!(dialer.due(now).len(), 1);
            dialer.failed(peer, now, true);
            let next = dialer.next().expect("another try");
            pauses.push(next - now);
            now = next;
        }
        for (pause, nominal) in pauses.iter().zip([250, 500, 1_000, 2_000, 2_000, 2_000]) {
            assert!(*pause >= MS * nominal * 8 / 10 && *pause <= MS * nominal * 12 / 10, "{pauses:?}");
        }
    }

    #[test]
    fn a_lost_peer_is_dialled_at_once_and_a_refusing_one_slowly() {
        let (mut dialer, now) = dialer(8);
        let peer = PeerId::random();
        dialer.identified(peer, address(), now);
        assert!(dialer.due(now).is_empty());
        dialer.lost(peer, now);
        assert_eq!(dialer.due(now).len(), 1);
        dialer.refused(peer, now);
        assert!(dialer.due(now + MS * 1_500).is_empty());
        assert_eq!(dialer.due(now + MS * 2_500).len(), 1);
    }

    #[test]
    fn a_forgotten_peer_is_never_dialled() {
        let (mut dialer, now) = dialer(8);
        let peer = PeerId::random();
        dialer.identified(peer, address(), now);
        dialer.forget(&peer);
        dialer.lost(peer, now);
        assert!(dialer.due(now + FORGET_AFTER).is_empty());
    }
}

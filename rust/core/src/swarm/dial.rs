//! Whom to dial, and when: bootstrap nodes and former peers (docs/wire.md section 7). Pure: the caller brings the time.

mod report;
mod target;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use self::target::{Met, State, Target};
use crate::jitter::Jitter;

/// When as many are dialled as may be at the same time, a dial that has lasted this long makes room for entries of the list that were not tried yet: of
/// a thousand dead ones the one that lives is reached within seconds.
const MAKES_ROOM_AFTER: Duration = Duration::from_millis(500);
/// Hearsay has one in so many of the dials at the same time, and no more: who names peers that never answer keeps nobody from
/// those that the node knows.
const HEARSAY_AT_MOST: usize = 2;
/// One in so many is for hearsay alone: a long list of dead nodes keeps nobody from those that are found.
const HEARSAY_AT_LEAST: usize = 8;
/// A dial of hearsay ends when it has lasted for a handshake and this time. The pauses between the addresses of a peer come
/// to three seconds at most, and a name server that does not answer costs five.
const HEARSAY_EXTRA: Duration = Duration::from_secs(10);
/// Former peers that are remembered; the one that was lost first makes place.
const MAX_LOST: usize = 1_024;
/// Of whom nobody else is taken in by hearsay.
const MAX_TARGETS: usize = 4_096;

/// What a dialer makes of what others say of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Not heard of before: it will be dialled.
    New,
    /// Connected, or about to be.
    Known,
    /// Not dialled now: it is ourselves, its time has not come, or nobody knows where it is.
    Pointless,
}

pub(crate) struct Dialer {
    own: PeerId,
    limit: usize,
    /// How long a dial of hearsay may last.
    hearsay_limit: Duration,
    targets: HashMap<PeerId, Target>,
    jitter: Jitter,
    /// Since [`Dialer::report`].
    changed: bool,
}

impl Dialer {
    /// For `limit` dials at the same time, of addresses at which a handshake takes no longer than `handshake`.
    pub(crate) fn new(own: PeerId, limit: usize, handshake: Duration, jitter: Jitter) -> Self {
        let hearsay_limit = handshake + HEARSAY_EXTRA;
        Self { own, limit, hearsay_limit, targets: HashMap::new(), jitter, changed: false }
    }

    /// A new list of bootstrap nodes: those that are not connected are due at once. `false`: nobody to dial.
    pub(crate) fn bootstrap(&mut self, nodes: &[(PeerId, Vec<Multiaddr>)], now: Instant) -> bool {
        self.changed = true;
        // Who left the list and was never met is forgotten; a former peer stays one.
        self.targets.retain(|_, target| !target.bootstrap || target.kept || target.met == Met::Yes || !target.is_due());
        for target in self.targets.values_mut() {
            target.bootstrap = false;
            target.tried = true;
        }
        for (peer, addresses) in nodes.iter().filter(|(peer, _)| *peer != self.own) {
            self.targets.entry(*peer).or_insert_with(|| Target::new(now)).list(addresses, now);
        }
        nodes.iter().any(|(peer, _)| *peer != self.own)
    }

    /// Nodes that are dialled, and dialled again, whatever list they are on.
    pub(crate) fn keep(&mut self, nodes: &[(PeerId, Vec<Multiaddr>)], now: Instant) {
        for (peer, addresses) in nodes.iter().filter(|(peer, _)| *peer != self.own) {
            let target = self.targets.entry(*peer).or_insert_with(|| Target::new(now));
            target.kept = true;
            target.learn(addresses.clone());
        }
    }

    /// Every node of the last list has been dialled, and none is under way. One that is connected is so too: it has not
    /// said who it is yet, or the node would be ready, and nobody would ask.
    pub(crate) fn round_ended(&self) -> bool {
        !self.targets.values().filter(|target| target.bootstrap).any(|target| match target.state {
            State::Due(_) => !target.tried,
            State::Dialling(_) | State::Connected => true,
            State::Barred => false,
        })
    }

    /// Those whose time has come, as far as the limit of dials under way allows: hearsay after all others.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.targets.retain(|_, target| target.is_named() || target.is_useful(now));
        let mut due: Vec<_> = self
            .targets
            .iter()
            .filter_map(|(peer, target)| Some((target.due_at().filter(|at| *at <= now)?, *peer, target.is_hearsay())))
            .collect();
        due.sort_unstable();
        let (hearsay, mut due): (Vec<_>, Vec<_>) = due.into_iter().partition(|(.., is_hearsay)| *is_hearsay);
        let room = self.limit.saturating_sub(self.under_way());
        let (at_least, at_most) = self.room_for_hearsay();
        due.truncate(room.saturating_sub(at_least.min(hearsay.len())));
        let left = at_most.min(room - due.len());
        due.extend(hearsay.into_iter().take(left));
        self.changed |= !due.is_empty();
        due.iter()
            .filter_map(|(_, peer, _)| {
                let addresses = self.usable(peer, now);
                let target = self.targets.get_mut(peer)?;
                if addresses.is_empty() {
                    target.put_off(now);
                    return None;
                }
                target.dial(&addresses, now);
                Some((*peer, addresses))
            })
            .collect()
    }

    fn usable(&self, peer: &PeerId, now: Instant) -> Vec<Multiaddr> {
        let connected = |peer: &PeerId| self.targets.get(peer).is_some_and(|other| other.state == State::Connected);
        self.targets.get(peer).map(|target| target.usable(connected, now)).unwrap_or_default()
    }

    /// Another peer has answered at an address of this one. `true`: an operator named the peer.
    pub(crate) fn answers_elsewhere(
        &mut self,
        peer: &PeerId,
        address: &Multiaddr,
        other: PeerId,
        now: Instant,
    ) -> bool {
        let Some(target) = self.targets.get_mut(peer) else { return false };
        target.answers_there(address, other, now);
        target.is_named()
    }

    fn under_way(&self) -> usize {
        self.targets.values().filter_map(Target::dialled_since).count()
    }

    /// How many more dials hearsay has to itself, and how many it may have.
    fn room_for_hearsay(&self) -> (usize, usize) {
        let hearsay = self.targets.values().filter(|target| target.is_hearsay());
        let taken = hearsay.filter_map(Target::dialled_since).count();
        let at_least = (self.limit / HEARSAY_AT_LEAST).max(usize::from(self.limit > 1));
        let at_most = (self.limit / HEARSAY_AT_MOST).max(1);
        (at_least.saturating_sub(taken), at_most.saturating_sub(taken))
    }

    /// Dials that last too long, for a former peer, for hearsay, or because others wait; to be ended, and then tried again.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<PeerId> {
        let crowded = self.is_crowded();
        let makes_room = |since: Instant| now.duration_since(since) >= MAKES_ROOM_AFTER;
        let overdue = |target: &Target| {
            target.is_late(now, self.hearsay_limit) || (crowded && target.dialled_since().is_some_and(makes_room))
        };
        self.targets.iter().filter(|(_, target)| overdue(target)).map(|(peer, _)| *peer).collect()
    }

    /// There is no room for entries of the list that were not tried yet.
    fn is_crowded(&self) -> bool {
        let waits = |target: &Target| target.bootstrap && !target.tried && target.is_due();
        self.under_way() >= self.limit && self.targets.values().any(waits)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        if self.is_crowded() {
            return self.targets.values().filter_map(Target::dialled_since).map(|since| since + MAKES_ROOM_AFTER).min();
        }
        if self.under_way() >= self.limit {
            return None;
        }
        let hearsay_waits = self.room_for_hearsay().1 == 0;
        let waits = |target: &&Target| hearsay_waits && target.is_hearsay();
        self.targets.values().filter(|target| !waits(target)).filter_map(Target::due_at).min()
    }

    /// There is nothing new in hearing of it.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        *peer == self.own || self.targets.contains_key(peer)
    }

    /// Others say that the peer is there.
    pub(crate) fn heard_of(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) -> Heard {
        if peer == self.own {
            return Heard::Pointless;
        }
        if let Some(target) = self.targets.get_mut(&peer) {
            target.hear(addresses);
            return match target.state {
                State::Due(at) if !target.has_addresses() || at > now => Heard::Pointless,
                State::Barred => Heard::Pointless,
                State::Due(_) | State::Dialling(_) | State::Connected => Heard::Known,
            };
        }
        if addresses.is_empty() || self.targets.len() >= MAX_TARGETS {
            return Heard::Pointless;
        }
        let mut target = Target::new(now);
        target.hear(addresses);
        self.targets.insert(peer, target);
        Heard::New
    }

    pub(crate) fn connected(&mut self, peer: PeerId, now: Instant) {
        self.changed = true;
        self.targets.entry(peer).or_insert_with(|| Target::new(now)).connect();
    }

    /// The peer has said who it is: from here on it is a peer to come back to.
    pub(crate) fn identified(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        self.connected(peer, now);
        if let Some(target) = self.targets.get_mut(&peer) {
            target.identify(addresses);
        }
    }

    /// A connection that had been identified is gone: back after this pause, then with growing ones.
    pub(crate) fn lost(&mut self, peer: PeerId, now: Instant, pause: Duration) {
        self.changed = true;
        if let Some(target) = self.targets.get_mut(&peer).filter(|target| !target.is_barred()) {
            target.lose(now, pause);
        }
        let lost = |target: &Target| target.was_met() && !target.is_named() && target.is_due();
        if self.targets.values().filter(|target| lost(target)).count() > MAX_LOST {
            let first = self.targets.iter().filter(|(_, target)| lost(target)).min_by_key(|(_, target)| target.since);
            if let Some(peer) = first.map(|(peer, _)| *peer) {
                self.targets.remove(&peer);
            }
        }
    }

    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant, alone: bool) {
        let Some(target) = self.targets.get_mut(&peer) else { return };
        // Another dial to a peer that has come to us meanwhile, or that has left the list: its failure changes nothing.
        if !matches!(target.state, State::Connected | State::Barred) {
            target.fail(now, alone, &mut self.jitter);
        }
    }

    /// A connection ended before the peer had said who it is.
    pub(crate) fn unmet(&mut self, peer: PeerId, now: Instant, alone: bool) {
        if let Some(target) = self.targets.get_mut(&peer).filter(|target| !target.is_barred()) {
            target.fail(now, alone, &mut self.jitter);
        }
    }

    /// The peer, or our own gate, closed the door: knock again, but slowly.
    pub(crate) fn refused(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(&peer).filter(|target| !target.is_barred()) {
            target.refuse();
        }
        self.unmet(peer, now, false);
    }

    /// The last peer is gone: nobody waits longer than a lone node does.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.targets.values_mut().for_each(|target| target.hurry(now));
    }

    /// Named for good, by [`Dialer::keep`].
    pub(crate) fn is_kept(&self, peer: &PeerId) -> bool {
        self.targets.get(peer).is_some_and(|target| target.kept)
    }

    pub(crate) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.targets.get(peer).is_some_and(|target| target.bootstrap)
    }

    /// The operator ended it, or it was one too many: not dialled again by itself.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.targets.remove(peer);
    }

    /// Its wallet has left the list: its addresses are forgotten, but for those that the operator named.
    pub(crate) fn bar(&mut self, peer: &PeerId) {
        match self.targets.get_mut(peer) {
            Some(target) if target.is_named() => target.state = State::Barred,
            _ => self.forget(peer),
        }
    }

    /// Lists have changed: who is on them now, and waited for it, is dialled at once.
    pub(crate) fn admit(&mut self, is_listed: impl Fn(&PeerId) -> bool, now: Instant) {
        for (peer, target) in &mut self.targets {
            if target.waits_to_be_listed() && is_listed(peer) {
                target.admit(now);
            }
        }
    }

    /// It is being dialled already, for somebody else and elsewhere.
    pub(crate) fn waits_for_another(&mut self, peer: &PeerId) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.dialled.clear();
        }
    }

    /// Where the peer is being dialled, by itself.
    pub(crate) fn dialled(&self, peer: &PeerId) -> &[Multiaddr] {
        let under_way = self.targets.get(peer).filter(|target| target.dialled_since().is_some());
        under_way.map_or(&[], |target| &target.dialled)
    }

    /// Where a dial of the peer may be tried.
    pub(crate) fn addresses(&self, peer: &PeerId, now: Instant) -> Option<Vec<Multiaddr>> {
        Some(self.usable(peer, now)).filter(|addresses| !addresses.is_empty())
    }
}

#[cfg(test)]
mod tests;

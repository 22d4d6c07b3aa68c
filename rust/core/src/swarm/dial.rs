//! Whom to dial, and when: bootstrap nodes and former peers (docs/wire.md section 7). Pure: the caller brings the time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::{discovery::addresses::is_relayed, swarm::jitter::Jitter};

/// Peers that are dialled at the same time.
pub(crate) const MAX_DIALS: usize = 128;
/// When that is reached, a dial that has lasted this long makes room for entries of the list that were not tried yet: of
/// a thousand dead ones the one that lives is reached within seconds.
const MAKES_ROOM_AFTER: Duration = Duration::from_millis(500);
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// While the node has no peer at all.
const MAX_DELAY_ALONE: Duration = Duration::from_secs(2);
/// For a peer that was lost less than ten minutes ago: the network between may be back at any moment.
const MAX_DELAY_LOST: Duration = Duration::from_secs(3);
const LATELY: Duration = Duration::from_secs(10 * 60);
/// A dial of a peer that answered before is begun anew after this time: its packets come ever more rarely.
const GIVE_UP: Duration = Duration::from_secs(3);
/// Otherwise, and after a refusal: a stranger knocks on our door no more often either.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// The other side's gate closed on us: its list will not change within a moment.
const REFUSED_DELAY: Duration = Duration::from_secs(2);
/// A former peer that did not come back for this long is left to discovery.
const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
const MAX_ADDRESSES: usize = 16;
/// Former peers that are remembered; the one that was lost first makes place.
const MAX_LOST: usize = 1_024;
/// What others say of a peer leaves room for what it says itself.
const MAX_HEARSAY: usize = 8;
/// Of whom nobody else is taken in by hearsay.
const MAX_TARGETS: usize = 4_096;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be dialled at this time.
    Due(Instant),
    /// Since this time.
    Dialling(Instant),
    Connected,
    /// Its wallet has left the list: not to be dialled until it is back.
    Barred,
}

struct Target {
    addresses: Vec<Multiaddr>,
    /// Of the list of bootstrap nodes.
    bootstrap: bool,
    /// Named by the operator elsewhere.
    kept: bool,
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
        self.targets.retain(|_, target| {
            !target.bootstrap || target.kept || target.met == Met::Yes || !matches!(target.state, State::Due(_))
        });
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

    /// Nodes that are dialled, and dialled again, whatever list they are on.
    pub(crate) fn keep(&mut self, nodes: &[(PeerId, Vec<Multiaddr>)], now: Instant) {
        for (peer, addresses) in nodes.iter().filter(|(peer, _)| *peer != self.own) {
            let target = self.targets.entry(*peer).or_insert_with(|| Target::new(now));
            target.kept = true;
            target.learn(addresses.clone(), MAX_ADDRESSES);
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

    /// Those whose time has come, as far as the limit of dials under way allows.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.targets.retain(|_, target| target.is_named() || target.useful(now));
        let under_way = self.under_way();
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
                target.state = State::Dialling(now);
                target.tried = true;
                Some((*peer, target.addresses.clone()))
            })
            .collect()
    }

    fn under_way(&self) -> usize {
        self.targets.values().filter(|target| matches!(target.state, State::Dialling(_))).count()
    }

    /// Dials that last too long, for a former peer or because others wait; to be ended, and then tried again.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<PeerId> {
        let crowded = self.is_crowded();
        let overdue = |target: &Target| match target.state {
            State::Dialling(since) => {
                let lasts = now.duration_since(since);
                (target.met == Met::Yes && lasts >= GIVE_UP) || (crowded && lasts >= MAKES_ROOM_AFTER)
            }
            _ => false,
        };
        self.targets.iter().filter(|(_, target)| overdue(target)).map(|(peer, _)| *peer).collect()
    }

    /// There is no room for entries of the list that were not tried yet.
    fn is_crowded(&self) -> bool {
        let waits = |target: &Target| target.bootstrap && !target.tried && matches!(target.state, State::Due(_));
        self.under_way() >= self.limit && self.targets.values().any(waits)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        if self.is_crowded() {
            let begun = |target: &Target| match target.state {
                State::Dialling(since) => Some(since + MAKES_ROOM_AFTER),
                _ => None,
            };
            return self.targets.values().filter_map(begun).min();
        }
        if self.under_way() >= self.limit {
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
            target.learn(addresses, MAX_HEARSAY);
            return match target.state {
                State::Due(at) if target.addresses.is_empty() || at > now => Heard::Pointless,
                State::Barred => Heard::Pointless,
                State::Due(_) | State::Dialling(_) | State::Connected => Heard::Known,
            };
        }
        if addresses.is_empty() || self.targets.len() >= MAX_TARGETS {
            return Heard::Pointless;
        }
        let mut target = Target::new(now);
        target.learn(addresses, MAX_HEARSAY);
        self.targets.insert(peer, target);
        Heard::New
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
            if !target.is_named() {
                // A relay that it no longer names does not lead there any more.
                target.addresses.retain(|known| !is_relayed(known) || addresses.contains(known));
            }
            target.learn(addresses, MAX_ADDRESSES);
        }
    }

    /// A connection that had been identified is gone: back after this pause, then with growing ones.
    pub(crate) fn lost(&mut self, peer: PeerId, now: Instant, pause: Duration) {
        if let Some(target) = self.targets.get_mut(&peer).filter(|target| target.state != State::Barred) {
            target.since = now;
            target.delay = FIRST_DELAY;
            target.state = State::Due(now + pause);
        }
        let lost = |target: &Target| !target.is_named() && matches!(target.state, State::Due(_));
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
        if matches!(target.state, State::Connected | State::Barred) {
            return;
        }
        target.state = State::Due(now + self.jitter.around(target.delay));
        let limit = match target.met {
            Met::Refused => MAX_DELAY,
            _ if alone => MAX_DELAY_ALONE,
            Met::Yes if now.duration_since(target.since) < LATELY => MAX_DELAY_LOST,
            _ => MAX_DELAY,
        };
        target.delay = (target.delay * 2).min(limit);
    }

    /// A connection ended before the peer had said who it is.
    pub(crate) fn unmet(&mut self, peer: PeerId, now: Instant, alone: bool) {
        if let Some(target) = self.targets.get_mut(&peer).filter(|target| target.state != State::Barred) {
            target.state = State::Dialling(now);
            self.failed(peer, now, alone);
        }
    }

    /// The peer, or our own gate, closed the door: knock again, but slowly.
    pub(crate) fn refused(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(&peer).filter(|target| target.state != State::Barred) {
            target.met = Met::Refused;
            target.delay = target.delay.max(REFUSED_DELAY);
        }
        self.unmet(peer, now, false);
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
            let waits = match target.state {
                State::Barred => true,
                State::Due(_) => target.met == Met::Refused,
                State::Dialling(_) | State::Connected => false,
            };
            if waits && is_listed(peer) {
                target.state = State::Due(now);
                target.delay = FIRST_DELAY;
            }
        }
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
            kept: false,
            state: State::Due(now),
            delay: FIRST_DELAY,
            since: now,
            met: Met::Never,
            tried: false,
        }
    }

    /// By the operator: never forgotten.
    const fn is_named(&self) -> bool {
        self.bootstrap || self.kept
    }

    fn useful(&self, now: Instant) -> bool {
        match self.state {
            State::Connected | State::Dialling(_) | State::Barred => true,
            State::Due(_) => !self.addresses.is_empty() && now.duration_since(self.since) < FORGET_AFTER,
        }
    }

    fn learn(&mut self, addresses: Vec<Multiaddr>, limit: usize) {
        for address in addresses {
            if !self.addresses.contains(&address) && self.addresses.len() < limit {
                self.addresses.push(address);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! From a relayed connection to a direct one. Pure: the caller brings the time.
//!
//! Both sides dial, so that two direct connections may come about, and what is under way on the relayed one has to arrive:
//! all stay for a while, in which both sides send over the one that will remain, then one side, the one with the smaller
//! peer id, closes the others. Gossip keeps its subscriptions as long as one connection to the peer lives.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{PeerId, swarm::ConnectionId};

/// From the last connection that came to the end of those that are too much.
const SETTLE: Duration = Duration::from_secs(2);
/// From the last connection that came to the last look at what those that go have received: it takes no longer than
/// [`LOOKS_FOR`], in which nothing is published, as whatever waited to be sent might be taken by them.
const LAST_LOOK: Duration = Duration::from_secs(1);
pub(crate) const LOOKS_FOR: Duration = Duration::from_millis(60);
/// The side with the greater peer id does it when the other one has not.
const PATIENCE: Duration = Duration::from_secs(6);
/// Looked at again, as long as something is missing.
const AGAIN: Duration = Duration::from_millis(250);

/// A peer with a relayed connection and a direct one.
pub(crate) struct View {
    /// `None`: it has not said yet who it is.
    pub ours: Option<bool>,
    /// The relayed connection has answered since the direct one came: both lead to the same process.
    pub answered: bool,
    /// The direct connection that stays; `None` while none has been identified.
    pub stays: Option<ConnectionId>,
    /// All others.
    pub surplus: Vec<ConnectionId>,
}

struct Upgrade {
    since: Instant,
    last_look_at: Option<Instant>,
    look_at: Instant,
}

pub(crate) struct Upgrades {
    own: PeerId,
    begun: HashMap<PeerId, Upgrade>,
}

/// What is to be done.
#[derive(Default)]
pub(crate) struct Due {
    pub close: Vec<ConnectionId>,
    /// Peers that have one kind of connections again.
    pub over: Vec<PeerId>,
}

impl Upgrades {
    pub(crate) fn new(own: PeerId) -> Self {
        Self { own, begun: HashMap::new() }
    }

    /// A peer has both kinds of connections, or one more beside them.
    pub(crate) fn begin(&mut self, peer: PeerId, now: Instant) {
        let upgrade = self.begun.entry(peer).or_insert(Upgrade { since: now, last_look_at: None, look_at: now });
        (upgrade.last_look_at, upgrade.look_at) = (Some(now + LAST_LOOK), now + SETTLE);
    }

    /// Since when the peer has both.
    pub(crate) fn since(&self, peer: &PeerId) -> Option<Instant> {
        self.begun.get(peer).map(|upgrade| upgrade.since)
    }

    pub(crate) fn is_smaller(&self, peer: &PeerId) -> bool {
        self.own.to_bytes() < peer.to_bytes()
    }

    /// The peers for whose retiring connections the time of the last look has come.
    pub(crate) fn last_looks(&mut self, now: Instant) -> Vec<PeerId> {
        let due = |upgrade: &mut Upgrade| upgrade.last_look_at.take_if(|at| *at <= now).is_some();
        self.begun.iter_mut().filter_map(|(peer, upgrade)| due(upgrade).then_some(*peer)).collect()
    }

    /// `view` is asked for a peer and the time since which it has both kinds; `None`: it has them no longer.
    pub(crate) fn due(&mut self, now: Instant, view: impl Fn(&PeerId, Instant) -> Option<View>) -> Due {
        let own = self.own.to_bytes();
        let mut due = Due::default();
        self.begun.retain(|peer, upgrade| {
            if upgrade.look_at > now {
                return true;
            }
            let Some(view) = view(peer, upgrade.since) else {
                due.over.push(*peer);
                return false;
            };
            // A peer of another make keeps what it has: closing one of several would end gossip with it.
            if view.ours == Some(false) {
                return false;
            }
            upgrade.look_at = now + AGAIN;
            let ours_to_do = own < peer.to_bytes() || now.duration_since(upgrade.since) >= SETTLE + PATIENCE;
            if view.ours == Some(true) && view.answered && view.stays.is_some() && ours_to_do {
                due.close.extend(view.surplus);
            }
            true
        });
        due
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.begun.values().map(|upgrade| upgrade.last_look_at.unwrap_or(upgrade.look_at)).min()
    }
}

#[cfg(test)]
mod tests;

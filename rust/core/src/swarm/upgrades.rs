//! From a relayed connection to a direct one. Pure: the caller brings the time.
//!
//! Both sides dial, so that two direct connections may come about, and what is under way on the relayed one has to arrive:
//! all stay for a while, then one side, the one with the smaller peer id, closes what is too much. Gossip keeps
//! its subscriptions as long as one connection to the peer lives.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{PeerId, swarm::ConnectionId};

/// From the first direct connection to the end of the others.
const SETTLE: Duration = Duration::from_secs(2);
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
    /// All connections but the direct one that stays; `None` while no direct one has been identified.
    pub surplus: Option<Vec<ConnectionId>>,
}

struct Upgrade {
    since: Instant,
    look_at: Instant,
}

pub(crate) struct Upgrades {
    own: PeerId,
    begun: HashMap<PeerId, Upgrade>,
}

impl Upgrades {
    pub(crate) fn new(own: PeerId) -> Self {
        Self { own, begun: HashMap::new() }
    }

    /// A peer has both kinds of connections.
    pub(crate) fn begin(&mut self, peer: PeerId, now: Instant) {
        self.begun.entry(peer).or_insert(Upgrade { since: now, look_at: now + SETTLE });
    }

    /// Since when the peer has both.
    pub(crate) fn since(&self, peer: &PeerId) -> Option<Instant> {
        self.begun.get(peer).map(|upgrade| upgrade.since)
    }

    /// The connections that are to be closed now. `view` is asked for a peer and the time since which it has both kinds;
    /// `None`: it has them no longer.
    pub(crate) fn due(&mut self, now: Instant, view: impl Fn(&PeerId, Instant) -> Option<View>) -> Vec<ConnectionId> {
        let own = self.own;
        let mut due = Vec::new();
        self.begun.retain(|peer, upgrade| {
            if upgrade.look_at > now {
                return true;
            }
            let Some(view) = view(peer, upgrade.since) else { return false };
            // A peer of another make keeps what it has: closing one of several would end gossip with it.
            if view.ours == Some(false) {
                return false;
            }
            upgrade.look_at = now + AGAIN;
            let ours_to_do = own.to_bytes() < peer.to_bytes() || now.duration_since(upgrade.since) >= SETTLE + PATIENCE;
            if let (Some(true), true, true, Some(surplus)) = (view.ours, view.answered, ours_to_do, view.surplus) {
                due.extend(surplus);
            }
            true
        });
        due
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.begun.values().map(|upgrade| upgrade.look_at).min()
    }
}

#[cfg(test)]
mod tests;

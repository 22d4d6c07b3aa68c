//! One connection for each peer (docs/wire.md section 6). Pure: the caller brings the time.
//!
//! Two of ours that dial each other at the same moment: the one with the smaller peer id denies the second connection
//! before anything behind the guard hears of it, and as gossip waits for identify, nothing was sent over it. A peer of
//! another make loses our subscriptions when either connection ends: all are closed and one is dialled anew.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::{events::Direction, jitter::Jitter};

/// What both sides do about a second connection by themselves is over after this time.
const SETTLE: Duration = Duration::from_millis(300);
/// Two of ours still have two: one is dead on the other side, which sees one alone. Should both see two, the side with
/// the smaller peer id is first.
const PATIENCE: Duration = Duration::from_millis(500);
const PATIENCE_OF_GREATER: Duration = Duration::from_secs(1);
/// From a reset of a peer to its next one, which is doubled by each that follows, up to the second of these.
const RESET_AFTER: Duration = Duration::from_secs(1);
const RESET_AFTER_AT_MOST: Duration = Duration::from_secs(10);
/// A peer that was not reset for so long begins anew.
const RESETS_IN_A_ROW: Duration = Duration::from_secs(30);
/// From a reset to the dial that follows it, and what is added by each that follows. A Go node of which both connections
/// are closed dials by itself, to open its gossip stream anew, and a busy one late: its dial and ours would be two again.
const REDIAL_AFTER: Duration = Duration::from_millis(100);
const REDIAL_AFTER_AT_MOST: Duration = Duration::from_secs(1);

/// A second connection to a peer is denied by the side that both know to be the one: who dialled both, or else who has
/// the smaller peer id. Two that came in were dialled by the other side, which is then the one.
pub(crate) fn denies(own: &PeerId, peer: &PeerId, held: &[Direction], new: Direction) -> bool {
    let smaller = own.to_bytes() < peer.to_bytes();
    match new {
        Direction::Outbound => held.contains(&Direction::Outbound) || (smaller && !held.is_empty()),
        Direction::Inbound => smaller && held.contains(&Direction::Outbound),
    }
}

/// What is known of a peer when it is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub connections: usize,
    /// `None`: it has not said yet who it is.
    pub ours: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// There was a second connection.
    Second,
    /// Gossip has given up on a connection.
    GossipGone,
}

#[derive(Clone, Copy)]
struct Suspect {
    cause: Cause,
    since: Instant,
    look_at: Instant,
}

/// The resets of a peer that followed each other.
#[derive(Clone, Copy)]
struct Resets {
    last: Instant,
    in_a_row: u32,
}

impl Resets {
    /// The one before it, if there was any lately, and this one.
    fn next(before: Option<Self>, now: Instant) -> Self {
        Self { last: now, in_a_row: before.map_or(1, |resets| resets.in_a_row.saturating_add(1)) }
    }

    fn doubled(self, first: Duration, at_most: Duration) -> Duration {
        first.saturating_mul(2_u32.saturating_pow(self.in_a_row.saturating_sub(1))).min(at_most)
    }
}

pub(crate) struct SecondConnections {
    own: PeerId,
    suspects: HashMap<PeerId, Suspect>,
    resets: HashMap<PeerId, Resets>,
    /// Peers that closed a dialled connection before they said who they are, and until when that may have been as a second.
    doubts: HashMap<PeerId, Instant>,
    jitter: Jitter,
}

impl SecondConnections {
    pub(crate) fn new(own: PeerId, jitter: Jitter) -> Self {
        Self { own, suspects: HashMap::new(), resets: HashMap::new(), doubts: HashMap::new(), jitter }
    }

    /// A second connection came, was denied, or ended.
    pub(crate) fn second(&mut self, peer: PeerId, now: Instant) {
        self.suspect(peer, Cause::Second, now);
    }

    pub(crate) fn gossip_gone(&mut self, peer: PeerId, now: Instant) {
        self.suspect(peer, Cause::GossipGone, now);
    }

    fn suspect(&mut self, peer: PeerId, cause: Cause, now: Instant) {
        let look_at = now + self.jitter.around(SETTLE);
        let suspect = self.suspects.entry(peer).or_insert(Suspect { cause, since: now, look_at });
        if cause == Cause::GossipGone {
            suspect.cause = cause;
        }
    }

    /// The peers of which all connections are to be closed now.
    pub(crate) fn due(&mut self, now: Instant, view: impl Fn(&PeerId) -> Option<View>) -> Vec<PeerId> {
        self.resets.retain(|_, resets| now.duration_since(resets.last) < RESETS_IN_A_ROW);
        let (own, resets, jitter) = (self.own, &mut self.resets, &mut self.jitter);
        let mut due = Vec::new();
        self.suspects.retain(|peer, suspect| {
            if suspect.look_at > now {
                return true;
            }
            let Some(view) = view(peer) else { return false };
            suspect.look_at = match view.ours {
                None => now + SETTLE,
                Some(true) if suspect.cause == Cause::Second && view.connections < 2 => return false,
                Some(ours) => {
                    let patience = match ours {
                        false => Duration::ZERO,
                        true if own.to_bytes() < peer.to_bytes() => PATIENCE,
                        true => PATIENCE_OF_GREATER,
                    };
                    let next = resets.get(peer).map_or(now, |resets| {
                        resets.last + resets.doubled(RESET_AFTER, RESET_AFTER_AT_MOST) + jitter.around(SETTLE)
                    });
                    next.max(suspect.since + patience)
                }
            };
            let reset = suspect.look_at <= now;
            if reset {
                resets.insert(*peer, Resets::next(resets.get(peer).copied(), now));
                due.push(*peer);
            }
            !reset
        });
        due
    }

    /// How long a peer is left alone after its reset.
    pub(crate) fn redial_after(&mut self, peer: &PeerId) -> Duration {
        let doubled = |resets: &Resets| resets.doubled(REDIAL_AFTER, REDIAL_AFTER_AT_MOST);
        self.jitter.around(self.resets.get(peer).map_or(REDIAL_AFTER, doubled))
    }

    /// A peer closed a connection that we dialled before it said who it is. That is how its gate refuses, and how it denies
    /// a second connection while it takes the first one for known here.
    pub(crate) fn closed_nameless(&mut self, peer: PeerId, now: Instant) {
        let may_deny = peer.to_bytes() < self.own.to_bytes();
        self.doubts.insert(peer, if may_deny { now + SETTLE } else { now });
    }

    /// The peers whose gate refused us: no other connection has come.
    pub(crate) fn refusals(&mut self, now: Instant, is_connected: impl Fn(&PeerId) -> bool) -> Vec<PeerId> {
        self.doubts.retain(|peer, _| !is_connected(peer));
        self.doubts.extract_if(|_, until| *until <= now).map(|(peer, _)| peer).collect()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.suspects.values().map(|suspect| suspect.look_at).chain(self.doubts.values().copied()).min()
    }
}

#[cfg(test)]
mod tests;

//! Which servers of `AutoNAT` v2 are asked, for which addresses, and what their answers come to. Pure: the caller brings the time.
//!
//! A server has to come back with a number that we gave it. From its own wallet that would be a second connection to a
//! peer, and from another key one that no gate admits: so it is sent away at the door, once its handshake has shown that it
//! came. The library's client waits for the number; it also asks for an address once in its life, and forgets none.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use tokio::time::Instant;

use crate::nat::autonat::{REFRESH_EVERY, SAME_SERVER_AFTER, question::Answer};

/// Between two questions to one server, when both answers are to count: the library has a clock of its own.
const COUNTS_AFTER: Duration = SAME_SERVER_AFTER.saturating_sub(Duration::from_secs(1));

struct Server {
    connection: ConnectionId,
    /// Where it sees us.
    seen: Multiaddr,
}

/// One server is asked for one address after the other.
struct Round {
    server: PeerId,
    connection: ConnectionId,
    address: Multiaddr,
    left: VecDeque<Multiaddr>,
    /// It stood at our door since it was asked for this address.
    came: bool,
    reached: bool,
    not_reached: bool,
}

/// What an answer says of the address that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Reached {
        address: Multiaddr,
        /// By this server in this round.
        first: bool,
    },
    NotReached,
    Failed,
}

#[derive(Default)]
pub(super) struct Rounds {
    servers: HashMap<PeerId, Server>,
    /// When each was asked last, by either version, and whether that was too soon. For a while also of those that have
    /// gone: nobody is asked twice in a row because it comes anew, or serves another version.
    asked: HashMap<PeerId, (Instant, bool)>,
    round: Option<Round>,
}

impl Rounds {
    /// A peer serves. `seen`: where it sees us.
    pub(super) fn meet(&mut self, peer: PeerId, connection: ConnectionId, seen: Multiaddr) {
        self.servers.insert(peer, Server { connection, seen });
    }

    /// A server is asked, by either version.
    pub(super) fn asks(&mut self, peer: PeerId, now: Instant) {
        let too_soon = self.asked.get(&peer).is_some_and(|(at, _)| now.duration_since(*at) < COUNTS_AFTER);
        self.asked.insert(peer, (now, too_soon));
    }

    /// Whether what it says now does not count.
    pub(super) fn was_asked_too_soon(&self, peer: &PeerId) -> bool {
        self.asked.get(peer).is_some_and(|(_, too_soon)| *too_soon)
    }

    /// A connection has ended. Whether a question has ended with it; then nothing more is asked there.
    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) -> bool {
        if self.servers.get(peer).is_some_and(|server| server.connection == connection) {
            self.servers.remove(peer);
        }
        let Some(round) = self.round.as_mut().filter(|round| round.connection == connection) else { return false };
        round.left.clear();
        true
    }

    /// Begins with the server that was left alone for longest and may reach us somewhere, when there is one.
    pub(super) fn begin(&mut self, now: Instant, candidates: impl Fn(&Multiaddr) -> VecDeque<Multiaddr>) -> bool {
        if self.round.is_some() {
            return false;
        }
        let rests = |at: Instant| now.duration_since(at) < SAME_SERVER_AFTER;
        let kept = |at: Instant| now.duration_since(at) < REFRESH_EVERY * 2;
        self.asked.retain(|peer, (at, _)| self.servers.contains_key(peer) || kept(*at));
        let asked_at = |peer: &PeerId| self.asked.get(peer).map(|(at, _)| *at);
        let mut next: Vec<_> = self.servers.iter().map(|(peer, server)| (asked_at(peer), *peer, server)).collect();
        next.retain(|(at, ..)| at.is_none_or(|at| !rests(at)));
        next.sort_by_key(|(at, ..)| *at);
        let first = next.into_iter().find_map(|(_, peer, server)| {
            let mut left = candidates(&server.seen);
            Some((peer, server.connection, left.pop_front()?, left))
        });
        let Some((server, connection, address, left)) = first else { return false };
        self.asks(server, now);
        self.round = Some(Round { server, connection, address, left, came: false, reached: false, not_reached: false });
        true
    }

    /// What is to be asked now.
    pub(super) fn question(&self) -> Option<(PeerId, ConnectionId, Multiaddr)> {
        self.round.as_ref().map(|round| (round.server, round.connection, round.address.clone()))
    }

    /// The server that is being asked stood at our door.
    pub(super) fn came(&mut self, peer: &PeerId) {
        if let Some(round) = self.round.as_mut().filter(|round| round.server == *peer) {
            round.came = true;
        }
    }

    /// `None`: nothing was asked there.
    pub(super) fn answered(&mut self, connection: ConnectionId, answer: Answer) -> Option<Finding> {
        let round = self.round.as_mut().filter(|round| round.connection == connection)?;
        Some(match answer {
            Answer::Unclear if !round.came => Finding::Failed,
            Answer::Connected | Answer::Unclear => {
                let first = !std::mem::replace(&mut round.reached, true);
                Finding::Reached { address: round.address.clone(), first }
            }
            Answer::NotConnected => {
                round.not_reached = true;
                Finding::NotReached
            }
            Answer::Failed => Finding::Failed,
        })
    }

    /// Goes on to the next address. `Some`: there is none, and whether the server came to none of them.
    pub(super) fn advance(&mut self) -> Option<bool> {
        let mut round = self.round.take()?;
        let Some(address) = round.left.pop_front() else { return Some(round.not_reached && !round.reached) };
        self.round = Some(Round { address, came: false, ..round });
        None
    }
}

#[cfg(test)]
mod tests;

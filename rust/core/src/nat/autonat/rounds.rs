//! Which servers of `AutoNAT` v2 are asked, for which addresses, and what their answers come to. Pure: the caller brings the time.
//!
//! A server has to come back with a number that we gave it. From its own wallet that would be a second connection to a
//! peer, and from another key one that no gate admits: so it is sent away at the door, once its handshake has shown that it
//! came. The library's client waits for the number; it also asks for an address once in its life, and forgets none.

use std::collections::{HashMap, VecDeque};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use tokio::time::Instant;

use crate::nat::autonat::{SAME_SERVER_AFTER, question::Answer};

struct Server {
    connection: ConnectionId,
    /// Where it sees us.
    seen: Multiaddr,
    asked_at: Option<Instant>,
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
    round: Option<Round>,
}

impl Rounds {
    /// A peer serves. `seen`: where it sees us.
    pub(super) fn meet(&mut self, peer: PeerId, connection: ConnectionId, seen: Multiaddr) {
        let asked_at = self.servers.get(&peer).and_then(|server| server.asked_at);
        self.servers.insert(peer, Server { connection, seen, asked_at });
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

    /// Begins with the server that was left alone for longest, when there is one.
    pub(super) fn begin(&mut self, now: Instant, candidates: impl Fn(&Multiaddr) -> VecDeque<Multiaddr>) -> bool {
        let rests = |server: &Server| server.asked_at.is_some_and(|at| now.duration_since(at) < SAME_SERVER_AFTER);
        if self.round.is_some() {
            return false;
        }
        let next =
            self.servers.iter_mut().filter(|(_, server)| !rests(server)).min_by_key(|(_, server)| server.asked_at);
        let Some((peer, server)) = next else { return false };
        let mut left = candidates(&server.seen);
        let Some(address) = left.pop_front() else { return false };
        server.asked_at = Some(now);
        let (server, connection) = (*peer, server.connection);
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

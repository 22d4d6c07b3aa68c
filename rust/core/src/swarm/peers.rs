//! The connections of the node, by peer: who has said who it is, who still answers, and why one is being closed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::{
    events::{Direction, DisconnectReason},
    identity::Wallet,
    peer::PeerInfo,
    swarm::{behaviour::PING_LIMIT, connection::Connection, second_connections::View, upgrades},
};

/// Within this time a peer that dials us over two transports at once ends one of the connections itself.
const SAME_DIAL: Duration = Duration::from_millis(100);
/// A handshake takes no longer, so a connection that we dialled this long ago was known to a peer that dials now.
const SAME_MOMENT: Duration = Duration::from_secs(1);
/// A connection that we dial ends an older one at the other side's door (`door.rs`) within this time, where it ends one. What
/// an upgrade has too much goes later (`upgrades.rs`).
const JUST_NOW: Duration = Duration::from_millis(1_500);

struct Entry {
    wallet: Wallet,
    agent: Arc<str>,
    connections: Vec<Connection>,
    /// Set when we close all of them: the reason that the peer's disconnection is given.
    closing: Option<DisconnectReason>,
    /// The peer dials us anew: its old connections are being closed.
    left: bool,
}

impl Entry {
    fn identified(&self) -> bool {
        self.connections.iter().any(|connection| connection.identified)
    }

    /// `None`: it has not said who it is.
    fn ours(&self) -> Option<bool> {
        self.identified().then(|| is_ours(&self.agent))
    }

    fn is_upgraded(&self) -> bool {
        self.connections.iter().any(Connection::is_relayed) && !self.connections.iter().all(Connection::is_relayed)
    }

    fn info(&self, peer: PeerId) -> Option<PeerInfo> {
        let mut identified = self.connections.iter().filter(|connection| connection.identified);
        let mut first = identified.next()?;
        if first.is_relayed() {
            first = identified.find(|connection| !connection.is_relayed()).unwrap_or(first);
        }
        Some(PeerInfo {
            peer,
            wallet: self.wallet,
            addresses: self.connections.iter().map(|connection| Arc::clone(&connection.shown)).collect(),
            direction: first.direction,
            transport: first.transport(),
            connected_at: first.opened_at,
            agent: Arc::clone(&self.agent),
            rtt: self.connections.iter().filter_map(|connection| connection.rtt).min(),
        })
    }
}

/// What the end of a connection means for its peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Another connection to the peer remains.
    Not,
    /// It was a peer; now it is none.
    Lost {
        wallet: Wallet,
        reason: Option<DisconnectReason>,
        /// It is about to be back by itself.
        returns: bool,
    },
    /// Closed before it said who it is: the other side's gate, or ours in the meantime.
    BeforeIdentify { direction: Direction, reason: Option<DisconnectReason> },
}

#[derive(Default)]
pub(crate) struct Peers(HashMap<PeerId, Entry>);

impl Peers {
    pub(crate) fn established(&mut self, peer: PeerId, wallet: Wallet, connection: Connection) {
        let entry = self.0.entry(peer).or_insert_with(|| Entry {
            wallet,
            agent: Arc::default(),
            connections: Vec::new(),
            closing: None,
            left: false,
        });
        entry.connections.push(connection);
        // What was said of earlier ones is no reason of this one's end.
        (entry.closing, entry.left) = (None, false);
    }

    /// The connection has answered identify. `Some`: by this the peer is connected, unless it is about to be closed.
    pub(crate) fn identified(&mut self, peer: &PeerId, id: ConnectionId, agent: String) -> Option<PeerInfo> {
        let entry = self.0.get_mut(peer).filter(|entry| entry.closing.is_none())?;
        let before = entry.identified();
        let connection = entry.connections.iter_mut().find(|connection| connection.id == id && !connection.overdue)?;
        connection.identified = true;
        entry.agent = agent.into();
        if before { None } else { entry.info(*peer) }
    }

    pub(crate) fn closed(&mut self, peer: &PeerId, id: ConnectionId) -> Gone {
        let Some(entry) = self.0.get_mut(peer) else { return Gone::Not };
        let before = entry.identified();
        let ended = entry.connections.extract_if(.., |connection| connection.id == id).next();
        let timeout = ended.as_ref().is_some_and(|ended| ended.overdue).then_some(DisconnectReason::Timeout);
        let reason = entry.closing.or(timeout);
        let (wallet, returns, after) = (entry.wallet, entry.left, entry.identified());
        if entry.connections.is_empty() {
            self.0.remove(peer);
        } else if after || !before {
            return Gone::Not;
        }
        match ended {
            _ if before => Gone::Lost { wallet, reason, returns },
            Some(ended) => Gone::BeforeIdentify { direction: ended.direction, reason },
            None => Gone::Not,
        }
    }

    pub(crate) fn answered(&mut self, peer: &PeerId, id: ConnectionId, rtt: Duration, now: Instant) {
        let connections = self.0.get_mut(peer).into_iter().flat_map(|entry| &mut entry.connections);
        for connection in connections.filter(|connection| connection.id == id) {
            connection.last_answer = now;
            connection.rtt = Some(rtt);
        }
    }

    /// Connections that have been silent for too long, or that never said who is there: they are to be closed. That says
    /// nothing of others to the same peer.
    pub(crate) fn overdue(&mut self, now: Instant, identify_limit: Duration) -> Vec<ConnectionId> {
        let mut overdue = Vec::new();
        for entry in self.0.values_mut() {
            for connection in &mut entry.connections {
                let silent = now.duration_since(connection.last_answer) >= PING_LIMIT;
                let nameless = !connection.identified && now.duration_since(connection.since) >= identify_limit;
                if silent || nameless {
                    connection.overdue = true;
                    overdue.push(connection.id);
                }
            }
        }
        overdue
    }

    /// What a new connection to the peer takes the place of. One that the peer has dialled: all that are not of the same
    /// moment. One that we have dialled: all that are silent. A direct one beside a relayed one: none, it is its upgrade.
    pub(crate) fn leftovers(
        &mut self,
        peer: &PeerId,
        direction: Direction,
        relayed: bool,
        now: Instant,
    ) -> Vec<ConnectionId> {
        let Some(entry) = self.0.get_mut(peer) else { return Vec::new() };
        if !relayed && entry.connections.iter().any(Connection::is_relayed) {
            return Vec::new();
        }
        let old = |connection: &&Connection| match (direction, connection.direction) {
            (Direction::Inbound, Direction::Inbound) => now.duration_since(connection.since) >= SAME_DIAL,
            (Direction::Inbound, Direction::Outbound) => now.duration_since(connection.since) >= SAME_MOMENT,
            (Direction::Outbound, _) => connection.is_silent(now),
        };
        let left: Vec<_> = entry.connections.iter().filter(old).map(|connection| connection.id).collect();
        entry.left |= !left.is_empty();
        left
    }

    /// Who has not answered the last pings, and is to be dialled anew: a peer that may have been killed and started again,
    /// or all whom a silent relay led to. When several others are silent at once it is this node, or the network: a dial
    /// would only add to the load.
    pub(crate) fn silent(&self, now: Instant) -> Vec<PeerId> {
        let is_silent = |entry: &Entry| entry.connections.iter().all(|connection| connection.is_silent(now));
        let silent: Vec<PeerId> = self.0.iter().filter(|(_, entry)| is_silent(entry)).map(|(peer, _)| *peer).collect();
        // Whom a silent relay led to is silent because of it, and may be reached in another way.
        let behind = |peer: &PeerId| {
            let through = |connection: &Connection| connection.relay().is_some_and(|relay| silent.contains(&relay));
            self.0.get(peer).is_some_and(|entry| entry.connections.iter().all(through))
        };
        let (behind, others): (Vec<PeerId>, Vec<PeerId>) = silent.iter().partition(|peer| behind(peer));
        match others.len() {
            0 | 1 if behind.is_empty() => others,
            0 | 1 => behind,
            _ => Vec::new(),
        }
    }

    /// `None`: it is not connected, or what it has is an upgrade (`upgrades.rs`).
    pub(crate) fn view(&self, peer: &PeerId) -> Option<View> {
        let entry = self.0.get(peer)?;
        let ours = entry.ours();
        if ours != Some(false) && entry.is_upgraded() {
            return None;
        }
        Some(View { connections: entry.connections.len(), ours })
    }

    /// It is reached through a relay.
    pub(crate) fn is_relayed(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|entry| entry.connections.iter().any(Connection::is_relayed))
    }

    /// All connections to the peer.
    pub(crate) fn ids(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.0.get(peer).into_iter().flat_map(|entry| &entry.connections).map(|connection| connection.id).collect()
    }

    /// It has a relayed connection and a direct one.
    pub(crate) fn is_upgraded(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(Entry::is_upgraded)
    }

    /// The same, since that time, as `upgrades.rs` judges it. Of two direct ones that stays which the side with the smaller
    /// peer id has dialled: both sides know which that is.
    pub(crate) fn upgrade(&self, peer: &PeerId, is_smaller: bool, since: Instant) -> Option<upgrades::View> {
        let entry = self.0.get(peer).filter(|entry| entry.is_upgraded())?;
        let answered = |connection: &Connection| connection.is_relayed() && connection.last_answer > since;
        let direct = entry.connections.iter().filter(|connection| !connection.is_relayed() && connection.identified);
        let wanted = if is_smaller { Direction::Outbound } else { Direction::Inbound };
        let stays = direct.min_by_key(|connection| connection.direction != wanted).map(|connection| connection.id);
        let others = |stays| entry.connections.iter().map(|connection| connection.id).filter(move |id| *id != stays);
        Some(upgrades::View {
            ours: entry.ours(),
            answered: entry.connections.iter().any(answered),
            stays,
            surplus: stays.map_or_else(Vec::new, |stays| others(stays).collect()),
        })
    }

    /// This connection is a direct one that a node of this library has dialled, so long ago that its door would close it for
    /// one that we dial, and we are not closing it, unless it is silent.
    pub(crate) fn may_be_replaced(&self, peer: &PeerId, id: ConnectionId, now: Instant) -> bool {
        let Some(entry) = self.0.get(peer) else { return false };
        let old = |connection: &Connection| {
            let age = now.duration_since(connection.since);
            connection.direction == Direction::Inbound && !connection.is_relayed() && age + SAME_DIAL >= SAME_MOMENT
        };
        let old = entry.connections.iter().any(|connection| connection.id == id && old(connection));
        old && is_ours(&entry.agent) && entry.closing.is_none()
    }

    /// All that it has are direct connections, and we have dialled one a moment ago.
    pub(crate) fn was_just_dialled(&self, peer: &PeerId, now: Instant) -> bool {
        let dialled = |connection: &Connection| {
            connection.direction == Direction::Outbound && now.duration_since(connection.since) < JUST_NOW
        };
        self.0.get(peer).is_some_and(|entry| {
            !entry.connections.iter().any(Connection::is_relayed) && entry.connections.iter().any(dialled)
        })
    }

    pub(crate) fn connections(&self, peer: &PeerId) -> usize {
        self.0.get(peer).map_or(0, |entry| entry.connections.len())
    }

    pub(crate) fn closing(&mut self, peer: &PeerId, reason: DisconnectReason) {
        if let Some(entry) = self.0.get_mut(peer) {
            entry.closing = Some(reason);
        }
    }

    /// Where the other end of a connection is.
    pub(crate) fn remote(&self, peer: &PeerId, id: ConnectionId) -> Option<&Multiaddr> {
        self.connection(peer, id).map(|connection| &connection.address)
    }

    pub(crate) fn is_dialled(&self, peer: &PeerId, id: ConnectionId) -> bool {
        self.connection(peer, id).is_some_and(|connection| connection.direction == Direction::Outbound)
    }

    pub(crate) fn last_answer(&self, peer: &PeerId, id: ConnectionId) -> Option<Instant> {
        self.connection(peer, id).map(|connection| connection.last_answer)
    }

    fn connection(&self, peer: &PeerId, id: ConnectionId) -> Option<&Connection> {
        self.0.get(peer)?.connections.iter().find(|connection| connection.id == id)
    }

    pub(crate) fn is_identified(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(Entry::identified)
    }

    /// The wallet of a peer that has said who it is: its key was checked when the connection was made.
    pub(crate) fn wallet(&self, peer: &PeerId) -> Option<&Wallet> {
        self.0.get(peer).filter(|entry| entry.identified()).map(|entry| &entry.wallet)
    }

    /// Whether the peer has said that it is a node of this library.
    pub(crate) fn is_ours(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|entry| entry.identified() && is_ours(&entry.agent))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All peers, and since when they are connected.
    pub(crate) fn since(&self) -> impl Iterator<Item = (PeerId, Instant)> {
        self.0.iter().filter_map(|(peer, entry)| {
            entry.connections.iter().map(|connection| connection.since).min().map(|since| (*peer, since))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn all(&self) -> Vec<PeerId> {
        self.0.keys().copied().collect()
    }

    /// The peers that count as connected (docs/wire.md section 6).
    pub(crate) fn infos(&self) -> Arc<[PeerInfo]> {
        self.0.iter().filter_map(|(peer, entry)| entry.info(*peer)).collect()
    }
}

/// What a node says of itself in identify: how the nodes of this library know each other.
pub(crate) const AGENT: &str = concat!("depinmesh/", env!("CARGO_PKG_VERSION"));

/// Identify names nodes of this library `depinmesh/<version>`; a Go program is named after its module.
fn is_ours(agent: &str) -> bool {
    agent.strip_prefix("depinmesh/").is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests;

//! Operations of the host that wait for the network: each ends once, with a value or an error.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::{
    addresses::without_peer,
    error::{Error, ErrorKind},
    events::Value,
    gate::DatabaseId,
    shared::Shared,
};

struct Dial {
    op: u64,
    /// Unknown until the other side has shown its identity.
    peer: Option<PeerId>,
    /// Where the peer is dialled.
    addresses: Vec<Multiaddr>,
    connection: Option<ConnectionId>,
    timeout: Duration,
    until: Instant,
    /// Its second try has begun.
    again: bool,
    /// It names places at which the peer is not being dialled already.
    elsewhere: bool,
}

/// A database is about to be closed.
struct Sending {
    op: u64,
    database: DatabaseId,
    until: Instant,
    /// Nothing of it waits for gossip any more; what gossip has gets until then.
    lingers_until: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Ops {
    ready: Vec<(u64, Option<DatabaseId>)>,
    topic_peers: Vec<(u64, DatabaseId, String, usize)>,
    first_round: Vec<(u64, Instant)>,
    hang_ups: Vec<(u64, PeerId)>,
    sending: Vec<Sending>,
    dials: Vec<Dial>,
}

impl Ops {
    pub(crate) fn wait_ready(&mut self, op: u64, database: Option<DatabaseId>) {
        self.ready.push((op, database));
    }

    pub(crate) fn wait_for_peers(&mut self, op: u64, database: DatabaseId, full_topic: String, n: usize) {
        self.topic_peers.push((op, database, full_topic, n));
    }

    pub(crate) fn wait_first_round(&mut self, op: u64, until: Instant) {
        self.first_round.push((op, until));
    }

    pub(crate) fn wait_sent(&mut self, op: u64, database: DatabaseId, until: Instant) {
        self.sending.push(Sending { op, database, until, lingers_until: None });
    }

    pub(crate) fn wait_gone(&mut self, op: u64, peer: PeerId) {
        self.hang_ups.push((op, peer));
    }

    /// `dialled`: where the peer is being dialled already.
    pub(crate) fn dial(
        &mut self,
        op: u64,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        dialled: &[Multiaddr],
        timeout: Duration,
        now: Instant,
    ) {
        let asked = self.wanted(&peer).unwrap_or_default().1;
        let tried: HashSet<_> = dialled.iter().chain(&asked).map(without_peer).collect();
        let elsewhere = addresses.iter().any(|address| !tried.contains(&without_peer(address)));
        let (peer, until) = (Some(peer), now + timeout);
        self.dials.push(Dial { op, peer, addresses, connection: None, timeout, until, again: false, elsewhere });
    }

    /// Whether another dial of the peer has to end for this one, which tries other places. Once only.
    pub(crate) fn goes_before(&mut self, op: u64) -> bool {
        self.dials.iter_mut().any(|dial| dial.op == op && std::mem::take(&mut dial.elsewhere))
    }

    /// The dial of an address without a peer id is known by its connection.
    pub(crate) fn dial_stranger(&mut self, op: u64, connection: ConnectionId, timeout: Duration, now: Instant) {
        let (connection, until, addresses) = (Some(connection), now + timeout, Vec::new());
        let dial = Dial { op, peer: None, addresses, connection, timeout, until, again: false, elsewhere: false };
        self.dials.push(dial);
    }

    pub(crate) fn is_dialling(&self, op: u64) -> bool {
        self.dials.iter().any(|dial| dial.op == op)
    }

    pub(crate) fn is_dialling_peer(&self, peer: &PeerId) -> bool {
        self.dials.iter().any(|dial| dial.peer == Some(*peer))
    }

    /// The first dial of this peer that waits, and where all of them dial it.
    pub(crate) fn wanted(&self, peer: &PeerId) -> Option<(u64, Vec<Multiaddr>)> {
        let mut dials = self.dials.iter().filter(|dial| dial.peer == Some(*peer) && !dial.addresses.is_empty());
        let first = dials.next()?;
        let mut addresses = first.addresses.clone();
        for address in dials.flat_map(|dial| &dial.addresses) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        Some((first.op, addresses))
    }

    /// The same for a second try, which is made once.
    pub(crate) fn try_again(&mut self, peer: &PeerId) -> Option<(u64, Vec<Multiaddr>)> {
        let (op, addresses) = self.wanted(peer)?;
        let first = self.dials.iter_mut().find(|dial| dial.op == op && !dial.again)?;
        first.again = true;
        Some((op, addresses))
    }

    pub(crate) fn established(&mut self, peer: PeerId, connection: ConnectionId) {
        for dial in self.dials.iter_mut().filter(|dial| dial.connection == Some(connection)) {
            dial.peer = Some(peer);
        }
    }

    pub(crate) fn identified(&mut self, peer: PeerId, shared: &Shared) {
        self.dials.retain(|dial| {
            let ended = dial.peer == Some(peer);
            if ended {
                shared.done(dial.op, Value::Text(peer.to_base58()));
            }
            !ended
        });
    }

    pub(crate) fn dial_failed(
        &mut self,
        peer: Option<PeerId>,
        id: Option<ConnectionId>,
        error: &Error,
        shared: &Shared,
    ) {
        self.dials.retain(|dial| {
            let ended = (peer.is_some() && dial.peer == peer) || (id.is_some() && dial.connection == id);
            if ended {
                shared.failed(dial.op, error.clone());
            }
            !ended
        });
    }

    pub(crate) fn fail(&mut self, op: u64, error: Error, shared: &Shared) {
        if self.is_dialling(op) {
            self.cancel(op);
            shared.failed(op, error);
        }
    }

    pub(crate) fn gone(&mut self, peer: &PeerId, shared: &Shared) {
        self.hang_ups.retain(|(op, other)| {
            if other == peer {
                shared.done(*op, Value::None);
            }
            other != peer
        });
    }

    pub(crate) fn check_ready(&mut self, is_ready: impl Fn(Option<DatabaseId>) -> bool, shared: &Shared) {
        self.ready.retain(|(op, database)| {
            let ready = is_ready(*database);
            if ready {
                shared.done(*op, Value::None);
            }
            !ready
        });
    }

    /// `topic`: only there has anything changed, so nobody else is looked at. A node can wait on thousands of topics while
    /// peers come to thousands.
    pub(crate) fn check_topics(
        &mut self,
        topic: Option<&str>,
        has_peers: impl Fn(DatabaseId, &str, usize) -> bool,
        shared: &Shared,
    ) {
        self.topic_peers.retain(|(op, database, full, n)| {
            let enough = topic.is_none_or(|topic| topic == full) && has_peers(*database, full, *n);
            if enough {
                shared.done(*op, Value::None);
            }
            !enough
        });
    }

    /// Ends what waits for a database that is closed.
    pub(crate) fn check_databases(&mut self, is_open: impl Fn(DatabaseId) -> bool, shared: &Shared) {
        let closed = |op: u64| shared.failed(op, Error::database_closed());
        for (op, _) in self.ready.extract_if(.., |(_, database)| database.is_some_and(|database| !is_open(database))) {
            closed(op);
        }
        for (op, ..) in self.topic_peers.extract_if(.., |(_, database, ..)| !is_open(*database)) {
            closed(op);
        }
    }

    pub(crate) fn check_first_round(&mut self, over: bool, now: Instant, shared: &Shared) {
        self.first_round.retain(|(op, until)| {
            let ended = over || *until <= now;
            if ended {
                shared.done(*op, Value::None);
            }
            !ended
        });
    }

    pub(crate) const fn awaits_sending(&self) -> bool {
        !self.sending.is_empty()
    }

    /// `waits`: events of the database have not come to gossip yet.
    pub(crate) fn check_sent(
        &mut self,
        waits: impl Fn(DatabaseId) -> bool,
        linger: Duration,
        now: Instant,
        shared: &Shared,
    ) {
        for sending in &mut self.sending {
            if sending.lingers_until.is_none() && (sending.until <= now || !waits(sending.database)) {
                sending.lingers_until = Some(now + linger);
            }
        }
        for sending in self.sending.extract_if(.., |sending| sending.lingers_until.is_some_and(|until| until <= now)) {
            shared.done(sending.op, Value::None);
        }
    }

    pub(crate) fn check_deadlines(&mut self, now: Instant, shared: &Shared) {
        self.dials.retain(|dial| {
            if dial.until <= now {
                let text = format!("the peer did not answer within {} s", dial.timeout.as_secs_f64());
                shared.failed(dial.op, Error::new(ErrorKind::Timeout, text));
            }
            dial.until > now
        });
    }

    pub(crate) fn cancel(&mut self, op: u64) {
        self.ready.retain(|(other, _)| *other != op);
        self.topic_peers.retain(|(other, ..)| *other != op);
        self.first_round.retain(|(other, _)| *other != op);
        self.hang_ups.retain(|(other, _)| *other != op);
        self.sending.retain(|sending| sending.op != op);
        self.dials.retain(|dial| dial.op != op);
    }

    pub(crate) fn has_deadlines(&self) -> bool {
        !self.dials.is_empty() || !self.first_round.is_empty() || !self.sending.is_empty()
    }
}

#[cfg(test)]
mod tests;

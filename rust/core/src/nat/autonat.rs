//! Whether others can connect to us: peers that serve `AutoNAT` are asked, and those that ask by v1 are answered.
//!
//! A wrapper around the library's behaviour for v1, beside our own client for v2 (`autonat/rounds.rs`). It asks only who
//! serves, announces an address only when it was reached from outside where most see us, takes it back when it no longer
//! is, and dials back apart from the swarm.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{
        Endpoint,
        transport::{ListenerId, PortUse},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler as _, ConnectionHandlerSelect, ConnectionId, ExternalAddrExpired,
        FromSwarm, ListenAddresses, NetworkBehaviour, NewListenAddr, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
    },
};
use tokio::time::{Instant, Sleep};

use crate::{
    addresses::is_outside,
    nat::{
        autonat::{addresses::Addresses, question::Answer, quiet::Quiet, rounds::Rounds, serving::Serving},
        dialback::DialBack,
        reachability::{Opinion, Reachability},
    },
};

mod addresses;
mod asking;
mod messages;
mod question;
mod quiet;
mod rounds;
mod serving;
mod v1;

/// The first question; those that follow until two answers agree, and afterwards.
const FIRST_AFTER: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
/// The same server is asked no more often.
const SAME_SERVER_AFTER: Duration = Duration::from_secs(30);

/// The words of [`AutoNatEvent::Asked`] and [`AutoNatEvent::Served`].
pub(crate) const ANSWERS_TO_US: [&str; 3] = ["reached", "not-reached", "failed"];
pub(crate) const ANSWERS_OF_OURS: [&str; 3] = ["reached", "not-reached", "refused"];

#[derive(Debug)]
pub(crate) enum AutoNatEvent {
    Changed(Reachability),
    /// A peer is about to be asked.
    Asking,
    /// Until the next of these a second connection of this peer is its try, and to be sent away.
    Expects(Option<PeerId>),
    /// A question of ours was answered, or could not be put.
    Asked(&'static str),
    /// A question of a peer was answered.
    Served(&'static str),
}

type Handler = ConnectionHandlerSelect<Quiet<THandler<v1::Behaviour>>, question::Handler>;

pub(crate) struct AutoNat {
    inner: v1::Behaviour,
    /// Whether we ask.
    asks: bool,
    serving: Serving,
    rounds: Rounds,
    /// Until the next round; made by the first poll.
    pause: Option<Pin<Box<Sleep>>>,
    listeners: ListenAddresses,
    addresses: Addresses,
    opinion: Opinion,
    pending: VecDeque<ToSwarm<AutoNatEvent, THandlerInEvent<Self>>>,
}

impl AutoNat {
    /// `announces`: the addresses that are reached may be announced. `dial_back`: we serve.
    pub(crate) fn new(own: PeerId, asks: bool, announces: bool, dial_back: Option<DialBack>) -> Self {
        Self {
            inner: v1::behaviour(own),
            asks,
            serving: Serving::new(dial_back),
            rounds: Rounds::default(),
            pause: None,
            listeners: ListenAddresses::default(),
            addresses: Addresses::new(announces),
            opinion: Opinion::default(),
            pending: VecDeque::new(),
        }
    }

    /// A peer has said what it serves, and where it sees us. Only who sees us as the Internet does can say how that reaches
    /// us. Who serves both is asked by v1: it comes back without its wallet, so that its try is nothing like a connection
    /// of it.
    pub(crate) fn meet(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        remote: &Multiaddr,
        seen: Multiaddr,
        serves: &[StreamProtocol],
    ) {
        if !self.asks || !is_outside(remote) {
            return;
        }
        if self.addresses.see(connection, peer, remote, &seen) {
            self.on_moved();
        }
        if serves.contains(&v1::DEFAULT_PROTOCOL_NAME) {
            self.inner.add_server(peer, None);
        } else if serves.contains(&question::PROTOCOL) {
            self.rounds.meet(peer, connection, seen);
        }
    }

    /// The peer that was asked stood at our door, and was sent away.
    pub(crate) fn came(&mut self, peer: &PeerId) {
        self.rounds.came(peer);
    }

    fn tell(&mut self, event: AutoNatEvent) {
        self.pending.push_back(ToSwarm::GenerateEvent(event));
    }

    /// Something has changed: the next answer decides, and is asked for soon.
    fn doubt(&mut self) {
        self.opinion.doubt();
        self.hurry();
    }

    /// By both versions: so all others are asked before one that was asked just now, which has its pause.
    fn hurry(&mut self) {
        let soon = Instant::now() + FIRST_AFTER;
        if let Some(pause) = self.pause.as_mut().filter(|pause| pause.deadline() > soon) {
            pause.as_mut().reset(soon);
        }
        self.wake();
    }

    /// The library's own client is not to rest.
    fn wake(&mut self) {
        // Then it asks every ten seconds anyway. While it rests it takes the loss of its address for news, and where it has
        // none a listener, also one that it knows.
        if self.inner.confidence() == 0 {
            return;
        }
        if let Some(addr) = self.inner.public_address().cloned() {
            self.inner.on_swarm_event(FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr: &addr }));
        } else if let Some(addr) = self.listeners.iter().next() {
            let listener_id = ListenerId::next();
            self.inner.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
        }
    }

    fn hear(&mut self, answer: Reachability) {
        let settled = self.opinion.is_settled();
        let changed = self.opinion.hear(answer);
        // Or one server would give both answers to the contrary while those of the other version are not asked.
        if settled && !self.opinion.is_settled() {
            self.hurry();
        }
        if changed && answer == Reachability::Private {
            self.pending.extend(self.addresses.take_back());
        }
        if changed {
            self.tell(AutoNatEvent::Changed(answer));
        }
    }

    /// The address comes before the change, so that whoever hears of it finds both.
    fn on_reached(&mut self, address: &Multiaddr) {
        self.pending.extend(self.addresses.reached(address));
    }

    fn on_moved(&mut self) {
        tracing::debug!("most peers see this node at another public address than before: asking anew");
        self.doubt();
    }

    /// Others announce it, or a listener has it.
    fn know(&mut self, address: &Multiaddr) -> bool {
        let new = self.addresses.know(address);
        if new && self.opinion.is() != Reachability::Public {
            self.doubt();
        }
        new
    }

    fn forget(&mut self, address: &Multiaddr) {
        if self.addresses.forget(address) {
            self.doubt();
        }
    }

    fn handle(&self, inner: THandler<v1::Behaviour>) -> Handler {
        Quiet::new(inner, self.serving.is_on()).select(question::Handler::default())
    }
}

impl NetworkBehaviour for AutoNat {
    type ConnectionHandler = Handler;
    type ToSwarm = AutoNatEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.handle(inner))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        let inner = self.inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(self.handle(inner))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.listeners.on_swarm_event(&event);
        match &event {
            // Dials of the swarm are none of ours. Each address of a symmetric NAT would be one more to ask for, for
            // ever; a server takes the address that it sees, and our ports.
            FromSwarm::DialFailure(_) | FromSwarm::NewExternalAddrCandidate(_) => return,
            FromSwarm::ConnectionEstablished(new) => self.serving.established(new),
            FromSwarm::ConnectionClosed(closed) => {
                self.serving.closed(closed);
                if self.addresses.lose(closed.connection_id) {
                    self.on_moved();
                }
                if closed.remaining_established == 0 {
                    self.inner.remove_server(&closed.peer_id);
                }
                if self.rounds.closed(&closed.peer_id, closed.connection_id) {
                    self.on_answer(closed.connection_id, Answer::Failed);
                }
            }
            FromSwarm::NewListenAddr(listener) => _ = self.know(listener.addr),
            FromSwarm::ExpiredListenAddr(listener) => self.forget(listener.addr),
            // Announced by the operator, or mapped by the router.
            FromSwarm::ExternalAddrConfirmed(confirmed) if self.know(confirmed.addr) && is_outside(confirmed.addr) => {
                self.inner.probe_address(confirmed.addr.clone());
            }
            FromSwarm::ExternalAddrExpired(expired) => self.forget(expired.addr),
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(answer) => self.on_answer(connection, answer),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<AutoNatEvent, THandlerInEvent<Self>>> {
        self.poll_rounds(cx);
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Poll::Ready(event);
            }
            while self.serving.poll(&mut self.inner, cx).is_ready() {}
            match ready!(self.inner.poll(cx)) {
                ToSwarm::GenerateEvent(event) => self.on_event(event),
                ToSwarm::Dial { opts } => {
                    self.serving.dial(&mut self.inner, opts.get_peer_id(), opts.connection_id());
                }
                ToSwarm::NotifyHandler { peer_id, handler, event } => {
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event: Either::Left(event) });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;

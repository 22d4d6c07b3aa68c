//! Watches gossip on one connection: after five broken streams it gives up on the connection, without an event.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    core::upgrade::DeniedUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{ConnectionEvent, ProtocolsChange},
    },
};

/// How the protocols of gossip begin.
const GOSSIP: &str = "/meshsub/";

/// Gossip does not serve this connection any more, though the other side speaks it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GossipGone;

#[derive(Default)]
pub(crate) struct Watch {
    /// The other side has said that it speaks gossip.
    spoken: bool,
    gone: bool,
}

impl ConnectionHandler for Watch {
    type FromBehaviour = Infallible;
    type ToBehaviour = GossipGone;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade, ()> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), GossipGone>> {
        if self.spoken && std::mem::take(&mut self.gone) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(GossipGone));
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, DeniedUpgrade, DeniedUpgrade>) {
        match event {
            ConnectionEvent::RemoteProtocolsChange(ProtocolsChange::Added(mut added)) => {
                self.spoken |= added.any(|protocol| protocol.as_ref().starts_with(GOSSIP));
            }
            ConnectionEvent::LocalProtocolsChange(ProtocolsChange::Removed(mut removed)) => {
                self.gone |= removed.any(|protocol| protocol.as_ref().starts_with(GOSSIP));
            }
            _ => {}
        }
    }
}

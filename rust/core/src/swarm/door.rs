//! What a peer's earlier life left behind is closed before a new connection is let in.
//!
//! A node dials only when it has no connection, or none that answers, so when one that we hold for longer dials us, ours
//! is dead on its side: the process was killed, or its address has changed. Gossip tells its subscriptions with the
//! first connection to a peer alone, so the old one has to end before the new one begins.

use std::{convert::Infallible, time::Duration};

use libp2p::{
    PeerId, Transport as _,
    core::{ConnectedPoint, muxing::StreamMuxerBox, transport::Boxed},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::events::Direction;

/// Arrivals that wait to be looked at. One that finds no place is let in unseen.
const WAITING: usize = 256;
/// A connection may take so long to close before the new one is let in beside it.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// A connection stands before the door.
pub(crate) struct Arrival {
    pub peer: PeerId,
    pub direction: Direction,
    pub relayed: bool,
    /// Sent, or dropped, when nothing of the peer's earlier connections is left.
    pub cleared: oneshot::Sender<()>,
}

#[derive(Clone)]
pub(crate) struct Door(mpsc::Sender<Arrival>);

pub(crate) fn door() -> (Door, mpsc::Receiver<Arrival>) {
    let (sender, arrivals) = mpsc::channel(WAITING);
    (Door(sender), arrivals)
}

impl Door {
    async fn pass(&self, peer: PeerId, direction: Direction, relayed: bool) {
        let (cleared, done) = oneshot::channel();
        if self.0.try_send(Arrival { peer, direction, relayed, cleared }).is_ok() {
            // However it ends, the peer comes in.
            _ = timeout(CLOSE_LIMIT, done).await;
        }
    }

    /// Puts the door behind the gate, so that only admitted peers come to it.
    pub(crate) fn behind(self, gated: Boxed<(PeerId, StreamMuxerBox)>) -> Boxed<(PeerId, StreamMuxerBox)> {
        let pass = |(peer, muxer): (PeerId, StreamMuxerBox), point: ConnectedPoint| async move {
            self.pass(peer, Direction::of(&point), point.is_relayed()).await;
            Ok::<_, Infallible>((peer, muxer))
        };
        gated.and_then(pass).map_err(|error| error.either(|failed| failed, |never| match never {})).boxed()
    }
}

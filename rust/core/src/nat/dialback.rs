//! Dials for others, to see whether they can be reached: with a key of its own and past the swarm, so that a peer that is
//! connected never gets a second connection. Its gate refuses the key, after the handshake that has shown all there is.

use std::{future::Future, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt},
        transport::{Boxed, DialOpts, PortUse},
    },
};
use tokio::time::timeout;

/// Who cannot be reached within this time is not reachable.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);
const CLOSE: Duration = Duration::from_secs(1);

pub(crate) struct DialBack(Boxed<(PeerId, StreamMuxerBox)>);

impl DialBack {
    pub(crate) const fn new(transport: Boxed<(PeerId, StreamMuxerBox)>) -> Self {
        Self(transport)
    }

    /// The first of the addresses at which the peer answers.
    pub(crate) fn dial(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> impl Future<Output = Option<Multiaddr>> + Send + use<> {
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dials: FuturesUnordered<_> = addresses
            .into_iter()
            .filter_map(|address| self.0.dial(address.clone(), options).ok().map(|dial| (address, dial)))
            .map(|(address, dial)| async move {
                let (answered, muxer) = dial.await.ok()?;
                _ = timeout(CLOSE, muxer.close()).await;
                (answered == peer).then_some(address)
            })
            .collect();
        async move {
            let first = dials.filter_map(std::future::ready);
            timeout(LIMIT, std::pin::pin!(first).next()).await.ok().flatten()
        }
    }
}

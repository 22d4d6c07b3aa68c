//! The first TLS handshake of a process costs 30 to 90 ms more than the others: the library gathers entropy and builds
//! its tables. It is done at the start, aside, against ourselves, so that the first real peer does not wait for it.

use std::{future::poll_fn, io, pin::Pin, sync::Once};

use futures::future::try_join;
use libp2p::{
    Transport as _,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, MemoryTransport, PortUse, TransportEvent},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    },
    identity::Keypair,
    tls,
};

static ONCE: Once = Once::new();

/// Begins it, the first time; needs a runtime around.
pub(super) fn begin() {
    ONCE.call_once(|| {
        tokio::spawn(async {
            // A failure costs nothing but the time that was to be saved.
            if let Err(error) = handshake().await {
                tracing::debug!(%error, "the TLS warm-up failed");
            }
        });
    });
}

async fn handshake() -> io::Result<()> {
    let mut listener = MemoryTransport::new();
    let any = "/memory/0".parse().map_err(io::Error::other)?;
    listener.listen_on(ListenerId::next(), any).map_err(io::Error::other)?;
    let TransportEvent::NewAddress { listen_addr, .. } = poll_next(&mut listener).await else {
        return Err(io::Error::other("no address"));
    };
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dial = MemoryTransport::new().dial(listen_addr, options).map_err(io::Error::other)?;
    let accept = async {
        let TransportEvent::Incoming { upgrade, .. } = poll_next(&mut listener).await else {
            return Err(io::Error::other("nobody came"));
        };
        let socket = upgrade.await.map_err(io::Error::other)?;
        let config = tls()?;
        let protocol = config.protocol_info().next().unwrap_or_default();
        config.upgrade_inbound(socket, protocol).await.map_err(io::Error::other)
    };
    let connect = async {
        let socket = dial.await.map_err(io::Error::other)?;
        let config = tls()?;
        let protocol = config.protocol_info().next().unwrap_or_default();
        config.upgrade_outbound(socket, protocol).await.map_err(io::Error::other)
    };
    try_join(accept, connect).await.map(|_| ())
}

fn tls() -> io::Result<tls::Config> {
    tls::Config::new(&Keypair::generate_ed25519()).map_err(io::Error::other)
}

type Event = TransportEvent<
    <MemoryTransport as libp2p::Transport>::ListenerUpgrade,
    <MemoryTransport as libp2p::Transport>::Error,
>;

async fn poll_next(listener: &mut MemoryTransport) -> Event {
    poll_fn(|cx| Pin::new(&mut *listener).poll(cx)).await
}

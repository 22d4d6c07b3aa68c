//! The transports of the attacker, put together by hand as depinmesh does it, with nothing between them and the swarm
//! but the observer.

use std::{io, sync::Arc};

use libp2p::{
    PeerId, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::Boxed,
        upgrade::{InboundConnectionUpgrade, Negotiated, OutboundConnectionUpgrade, Version},
    },
    identity::Keypair,
    quic, relay, tcp, yamux,
};

use crate::{
    Result,
    observe::{Counters, observed},
    options::Options,
    security::{NoiseOrTls, Secured},
};

pub(crate) type Connections = Boxed<(PeerId, StreamMuxerBox)>;

type Socket = Negotiated<tcp::tokio::TcpStream>;

/// With the client of relays, which has to be in the behaviour.
pub(crate) fn build(
    key: &Keypair,
    options: &Options,
    counters: Arc<Counters>,
) -> Result<(Connections, relay::client::Behaviour)> {
    let (relayed, client) = relay::client::new(key.public().to_peer_id());
    let relayed = relayed
        .upgrade(Version::V1Lazy)
        .authenticate(NoiseOrTls::new(key, options.security)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = || Ok::<_, crate::BoxedError>(over_tcp(NoiseOrTls::new(key, options.security)?));
    let quic = || {
        quic::tokio::Transport::new(quic::Config::new(key)).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
    };
    let all = match (options.quic, options.tcp) {
        (true, false) => quic().boxed(),
        (false, true) => tcp()?,
        _ => quic().or_transport(tcp()?).map(|either, _| either.into_inner()).boxed(),
    };
    let all = relayed.or_transport(all).map(|either, _| either.into_inner()).boxed();
    Ok((observed(all, counters), client))
}

/// TCP with the given security protocol and Yamux. The forger brings a protocol of its own.
pub(crate) fn over_tcp<U, I, O>(security: U) -> Connections
where
    U: InboundConnectionUpgrade<Socket, Output = Secured, Error = io::Error, Future = I>,
    U: OutboundConnectionUpgrade<Socket, Output = Secured, Error = io::Error, Future = O>,
    U: Clone + Send + Unpin + 'static,
    U::InfoIter: Send,
    <U::InfoIter as IntoIterator>::IntoIter: Send,
    U::Info: Send,
    I: Send,
    O: Send,
{
    tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1Lazy)
        .authenticate(security)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed()
}

//! How bytes travel: through relays, by QUIC and by TCP, names resolved, time-limited, and the gate around all of it.
//!
//! The order is `watched(door(gate(bounded(dns(bounded(timeout(relay | quic | tcp)))))))`: the handshake has its own limit
//! inside, one address with all that its name leads to has another around that, the gate its own (`gate.timeout`) outside,
//! and no limit is around the gate, or a slow registry would eat the time of a handshake.

mod bounded;
mod circuits;

use std::{io, sync::Arc, time::Duration};

use libp2p::{
    PeerId, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OptionalTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    quic, relay, tcp, yamux,
};

use self::{bounded::Bounded, circuits::Circuits};
use crate::{
    addresses::Reach,
    config::{ConnectionConfig, ListenConfig, NatConfig},
    gate::{Gate, gated},
    shared::Shared,
    swarm::{door::Door, security::Security, unread::watched},
};

/// A stranger has this long to prove an identity (docs/wire.md section 6).
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(3);

/// What a name leads to is dialled one after the other, up to sixteen addresses after up to 32 lookups. All of it may take as
/// long as so many handshakes, and the lookups this time: a name whose first two addresses are silent is still reached,
/// unless it takes long to look up.
const HANDSHAKES: u32 = 2;
const LOOKUPS: Duration = Duration::from_secs(10);

/// QUIC notices a dead path by itself (docs/wire.md section 7).
const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(2);
const QUIC_IDLE_MS: u32 = 6_000;

/// The client of relays stands in both the transport and the behaviour, which it comes with.
pub(crate) type Composed = (Boxed<(PeerId, StreamMuxerBox)>, Option<relay::client::Behaviour>);

pub(crate) fn build(
    key: &Keypair,
    listen: &ListenConfig,
    connections: &ConnectionConfig,
    nat: &NatConfig,
    gate: Gate,
    door: Door,
    shared: &Shared,
) -> io::Result<Composed> {
    let inbound = connections.handshake_timeout.min(IDENTITY_TIMEOUT);
    let (relay, client) = if nat.relay_client {
        let (transport, client) = relay::client::new(key.public().to_peer_id());
        let transport = Circuits::new(transport, Reach::of(&listen.hosts))
            .upgrade(Version::V1Lazy)
            .authenticate(Security::new(key)?)
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        (OptionalTransport::some(transport), Some(client))
    } else {
        (OptionalTransport::none(), None)
    };
    let base = relay.or_transport(direct(key, listen, inbound)?).map(|either, _| either.into_inner()).boxed();
    // Outgoing connections may cross a slow network; incoming ones may come from anybody.
    let base = TransportTimeout::with_ingoing_timeout(base, inbound).boxed();
    let base = Bounded::new(base, connections.handshake_timeout).boxed();
    let bounded = Bounded::new(resolving(base)?, connections.handshake_timeout * HANDSHAKES + LOOKUPS).boxed();
    let (counters, outflow) = (Arc::clone(&shared.counters), Arc::clone(&shared.outflow));
    Ok((watched(door.behind(gated(bounded, gate)), counters, outflow), client))
}

/// QUIC and TCP, each if it is on, without names, limits of time for TCP, and the gate.
pub(crate) fn direct(
    key: &Keypair,
    listen: &ListenConfig,
    quic_handshake: Duration,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let quic = if listen.quic_port.is_some() {
        let mut config = quic::Config::new(key);
        config.handshake_timeout = quic_handshake;
        config.keep_alive_interval = QUIC_KEEP_ALIVE;
        config.max_idle_timeout = QUIC_IDLE_MS;
        let transport = quic::tokio::Transport::new(config).map_err(QuicError::from);
        OptionalTransport::some(transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
    } else {
        OptionalTransport::none()
    };
    let tcp = match listen.tcp_port {
        None => OptionalTransport::none(),
        Some(_) => OptionalTransport::some(
            tcp::tokio::Transport::new(tcp::Config::new())
                .upgrade(Version::V1Lazy)
                .authenticate(Security::new(key)?)
                .multiplex(yamux::Config::default())
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))),
        ),
    };
    Ok(quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed())
}

/// QUIC has a limit of its own: who was silent until it is no more there than behind ours ([`Bounded`]). The transports are
/// told apart by an `Either`, which hides what it holds and shows the source of that: so that is where the kind stands.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct QuicError(#[source] io::Error);

impl From<quic::Error> for QuicError {
    fn from(error: quic::Error) -> Self {
        let kind = match error {
            quic::Error::HandshakeTimedOut => io::ErrorKind::TimedOut,
            quic::Error::Io(ref error) => error.kind(),
            _ => io::ErrorKind::Other,
        };
        Self(io::Error::new(kind, error))
    }
}

/// Adds `/dns` names. A machine without a readable resolver configuration still runs; only names fail there.
fn resolving(base: Boxed<(PeerId, StreamMuxerBox)>) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    // `system` keeps what it is given even when it fails, so it is tried on nothing first.
    if let Err(error) = dns::tokio::Transport::system(()) {
        tracing::warn!(%error, "the resolver configuration cannot be read: DNS names will not resolve until the node is started again");
        let (config, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
        return Ok(dns::tokio::Transport::custom(base, config, options).boxed());
    }
    Ok(dns::tokio::Transport::system(base)?.boxed())
}

#[cfg(test)]
mod tests {
    use libp2p::TransportError;

    use super::*;
    use crate::swarm::dial_errors::was_answered;

    #[test]
    fn quic_was_answered_by_nobody_where_the_system_or_the_time_ended_it() {
        let answered =
            |error: quic::Error| was_answered(&TransportError::Other(io::Error::other(QuicError::from(error))));
        assert!(!answered(quic::Error::HandshakeTimedOut));
        assert!(!answered(quic::Error::Io(io::ErrorKind::Unsupported.into())));
        // The control: an error of a kind that is left, as those of a peer are, which nobody can make here.
        assert!(answered(quic::Error::NoActiveListenerForDialAsListener));
    }
}

//! The gate in the transport: after security and muxer, before the swarm knows of the connection.

use std::{io, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{
        muxing::{StreamMuxerBox, StreamMuxerExt},
        transport::Boxed,
    },
};
use tokio::time::timeout;

use super::Gate;
use crate::{defences, events::Direction};

/// A refused connection is closed, not dropped, so that the other side reads an end and no reset. It gets so long.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Lets through only the connections that `gate` admits, of both directions.
///
/// Nothing may stand around it that has a time limit of its own: the gate keeps its own, and a handshake that took
/// long must not shorten it.
pub fn gated(transport: Boxed<(PeerId, StreamMuxerBox)>, gate: Gate) -> Boxed<(PeerId, StreamMuxerBox)> {
    if !defences::GATE_UPGRADE {
        return transport;
    }
    let admit = |(peer, muxer): (PeerId, StreamMuxerBox), point: libp2p::core::ConnectedPoint| async move {
        let direction = Direction::of(&point);
        match gate.check(&peer, direction).await {
            Ok(_) => {
                tracing::info!(peer_id = %peer, direction = direction.as_str(), "admitted a listed peer");
                Ok((peer, muxer))
            }
            Err(denied) => {
                // However the close ends, the connection is gone when the muxer is dropped.
                _ = timeout(CLOSE_LIMIT, muxer.close()).await;
                Err(denied)
            }
        }
    };
    // Both kinds of failure as one type, in which whoever dialled can find the refusal again.
    transport.and_then(admit).map_err(|error| error.either(|failed| failed, io::Error::other)).boxed()
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use futures::{FutureExt, StreamExt, future::BoxFuture};
    use libp2p::{
        Multiaddr, Swarm, SwarmBuilder,
        core::{transport::MemoryTransport, upgrade::Version},
        identity::Keypair,
        noise,
        swarm::{SwarmEvent, dummy},
        yamux,
    };
    use tokio::sync::mpsc::Receiver;

    use super::*;
    use crate::{
        gate::{DatabaseId, Entry, GateConfig, GateEvent, Listed, Refusal, Registry, Revocation, WalletSource},
        identity::Wallet,
    };

    struct Nobody;

    impl Registry for Nobody {
        fn wallets(&self, _: DatabaseId, _: Vec<Wallet>, _: Duration) -> BoxFuture<'static, Result<Listed, String>> {
            async { Err("not asked in these tests".to_owned()) }.boxed()
        }
    }

    fn wallet(key: &Keypair) -> Wallet {
        Wallet::from_peer_id(&key.public().to_peer_id()).unwrap()
    }

    /// A node on the memory transport that admits these keys.
    fn node(key: &Keypair, listed: &[&Keypair]) -> (Swarm<dummy::Behaviour>, Receiver<GateEvent>) {
        let config = GateConfig {
            refresh_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            min_interval: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(10),
            max_stale: Duration::from_secs(900),
            revocation: Revocation::Close,
        };
        let (gate, events) = Gate::new(config, wallet(key), Arc::new(Nobody));
        let listed = listed.iter().map(|key| Entry::Bytes(wallet(key).as_bytes().to_vec())).collect();
        gate.attach(1, "db", WalletSource::List(listed)).unwrap();
        let transport = MemoryTransport::default()
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(key).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        let transport = gated(transport, gate);
        let swarm = SwarmBuilder::with_existing_identity(key.clone())
            .with_tokio()
            .with_other_transport(|_| transport)
            .unwrap()
            .with_behaviour(|_| dummy::Behaviour)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        (swarm, events)
    }

    async fn listen(swarm: &mut Swarm<dummy::Behaviour>) -> Multiaddr {
        swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    }

    /// The next event that says how a connection went.
    async fn outcome(swarm: &mut Swarm<dummy::Behaviour>) -> SwarmEvent<Infallible> {
        loop {
            let event = swarm.select_next_some().await;
            if matches!(
                event,
                SwarmEvent::ConnectionEstablished { .. }
                    | SwarmEvent::IncomingConnectionError { .. }
                    | SwarmEvent::OutgoingConnectionError { .. }
            ) {
                return event;
            }
        }
    }

    async fn refused(events: &mut Receiver<GateEvent>) -> (PeerId, Direction, Refusal) {
        loop {
            if let GateEvent::Refused { peer, direction, reason, .. } = events.recv().await.unwrap() {
                return (peer, direction, reason);
            }
        }
    }

    #[tokio::test]
    async fn two_listed_peers_connect() {
        let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let ((mut listener, _gate_a), (mut dialler, _gate_b)) = (node(&a, &[&b]), node(&b, &[&a]));
        dialler.dial(listen(&mut listener).await).unwrap();
        let (inbound, outbound) = tokio::join!(outcome(&mut listener), outcome(&mut dialler));
        assert!(
            matches!(inbound, SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == b.public().to_peer_id())
        );
        assert!(
            matches!(outbound, SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == a.public().to_peer_id())
        );
    }

    #[tokio::test]
    async fn a_stranger_never_reaches_the_swarm_and_reads_an_end() {
        let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let ((mut listener, mut gate_a), (mut dialler, _gate_b)) = (node(&a, &[]), node(&b, &[&a]));
        dialler.dial(listen(&mut listener).await).unwrap();
        let closed = async {
            loop {
                if let SwarmEvent::ConnectionClosed { cause, .. } = dialler.select_next_some().await {
                    return cause;
                }
            }
        };
        let (inbound, closed) = tokio::join!(outcome(&mut listener), closed);
        assert!(matches!(inbound, SwarmEvent::IncomingConnectionError { .. }), "{inbound:?}");
        let cause = closed.map(|error| error.to_string()).unwrap_or_default();
        assert!(!cause.contains("reset"), "{cause}");
        let expected = (b.public().to_peer_id(), Direction::Inbound, Refusal::NotListed);
        assert_eq!(refused(&mut gate_a).await, expected);
    }

    #[tokio::test]
    async fn a_dial_to_a_stranger_fails() {
        let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let ((mut listener, _gate_a), (mut dialler, mut gate_b)) = (node(&a, &[&b]), node(&b, &[]));
        dialler.dial(listen(&mut listener).await).unwrap();
        let outbound = tokio::select! {
            event = outcome(&mut dialler) => event,
            () = async { loop { listener.select_next_some().await; } } => unreachable!(),
        };
        assert!(matches!(outbound, SwarmEvent::OutgoingConnectionError { .. }), "{outbound:?}");
        let expected = (a.public().to_peer_id(), Direction::Outbound, Refusal::NotListed);
        assert_eq!(refused(&mut gate_b).await, expected);
    }
}

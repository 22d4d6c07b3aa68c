use std::{task::Waker, time::Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{
    Swarm, SwarmBuilder, Transport as _,
    core::{
        transport::{MemoryTransport, OptionalTransport},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::SwarmEvent,
    yamux,
};
use tokio::sync::oneshot;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_renewal_that_is_accepted_after_the_reservation_ran_out_is_one() {
    let (mut server, peer, connection) =
        (RelayServer::new(PeerId::random()), PeerId::random(), ConnectionId::new_unchecked(1));
    server.connected(peer, connection);
    for told in [Told::ReservationTimedOut {}, Told::ReservationReqAccepted { renewed: true }] {
        server.on_connection_handler_event(peer, connection, Either::Left(told));
    }
    let mut told = Vec::new();
    while let Poll::Ready(ToSwarm::GenerateEvent(event)) = server.poll(&mut Context::from_waker(Waker::noop())) {
        told.push(event);
    }
    assert!(
        matches!(
            told[..],
            [relay::Event::ReservationTimedOut { .. }, relay::Event::ReservationReqAccepted { renewed: true, .. }]
        ),
        "{told:?}"
    );
}

#[test]
fn a_wallet_may_ask_a_relay_so_often_in_a_row_and_again_after_two_minutes() {
    let (wallet, now) = (PeerId::random(), Instant::now());
    let relay::Config { reservation_rate_limiters, circuit_src_rate_limiters, .. } = limits();
    let address = "/ip4/192.0.2.1/udp/1/quic-v1".parse().expect("a multiaddr");
    for mut limiter in reservation_rate_limiters.into_iter().chain(circuit_src_rate_limiters) {
        let mut asks = |at| (0..1_000).take_while(|_| limiter.try_next(wallet, &address, at)).count();
        assert_eq!((asks(now), asks(now + SECOND / 4)), (240, 0));
        assert_eq!(asks(now + 10 * SECOND), 20);
        assert_eq!(asks(now + 130 * SECOND), 240);
    }
}

const CALLERS: usize = 40;
const ASKED_WITHIN: Duration = Duration::from_secs(1);
/// Many times as long as it takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn swarm<B: NetworkBehaviour>(key: &Keypair, behaviour: B, circuits: Option<relay::client::Transport>) -> Swarm<B> {
    let memory = MemoryTransport::default();
    let through = circuits.map_or_else(OptionalTransport::none, OptionalTransport::some);
    let transport = through
        .or_transport(memory)
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(key).expect("a key"))
        .multiplex(yamux::Config::default())
        .boxed();
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_other_transport(|_| transport)
        .expect("a transport")
        .with_behaviour(|_| behaviour)
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .with_connection_timeout(PATIENCE)
        .build()
}

fn client() -> Swarm<relay::client::Behaviour> {
    let key = Keypair::generate_ed25519();
    let (transport, behaviour) = relay::client::new(key.public().to_peer_id());
    swarm(&key, behaviour, Some(transport))
}

async fn address<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

async fn run<B: NetworkBehaviour>(mut swarm: Swarm<B>) {
    loop {
        swarm.select_next_some().await;
    }
}

#[tokio::test]
async fn many_who_ask_for_one_peer_at_once_all_reach_it() {
    let key = Keypair::generate_ed25519();
    let mut relay = swarm(&key, RelayServer::new(key.public().to_peer_id()), None);
    relay.listen_on("/memory/0".parse().expect("an address")).expect("a listener");
    let place = address(&mut relay).await;
    relay.add_external_address(place.clone());
    let circuit = place.with(Protocol::P2p(*relay.local_peer_id())).with(Protocol::P2pCircuit);
    let relaying = tokio::spawn(run(relay));

    // On a runtime of its own, which stands still while all the others ask.
    let (tell, told) = oneshot::channel();
    let (go, stopped) = std::sync::mpsc::sync_channel(1);
    let (end, ended) = oneshot::channel::<()>();
    let answering = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let target = runtime.block_on(async {
            let mut target = client();
            target.listen_on(circuit.clone()).expect("a listener");
            address(&mut target).await;
            let peer = *target.local_peer_id();
            tell.send((peer, circuit.with(Protocol::P2p(peer)))).expect("somebody to tell");
            target
        });
        stopped.recv().expect("a start");
        runtime.block_on(async {
            tokio::select! {
                () = run(target) => {}
                _ = ended => {}
            }
        });
    });
    let (peer, place) = told.await.expect("a reservation");

    let mut callers: FuturesUnordered<_> = (0..CALLERS)
        .map(|_| {
            let mut caller = client();
            caller.dial(place.clone()).expect("a dial");
            async move {
                loop {
                    match caller.select_next_some().await {
                        SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == peer => return caller,
                        SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                        _ => {}
                    }
                }
            }
        })
        .collect();
    assert!(tokio::time::timeout(ASKED_WITHIN, callers.next()).await.is_err(), "it stands still");
    go.send(()).expect("somebody to start");
    let mut connected = Vec::new();
    let all = async {
        while let Some(caller) = callers.next().await {
            connected.push(caller);
        }
    };
    let all = tokio::time::timeout(PATIENCE, all).await;
    assert!(all.is_ok(), "{} of {CALLERS} have reached it", connected.len());
    end.send(()).expect("somebody to end");
    answering.join().expect("no panic");
    relaying.abort();
}

//! How the network of a node is set up.

use std::{
    collections::{HashMap, HashSet},
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::stream::FuturesUnordered;
use libp2p::{Multiaddr, swarm};

use crate::{
    addresses::Reach,
    config::NodeConfig,
    discovery::{bootstrap::Bootstrap, neighbours::Neighbours, rendezvous::Rendezvous},
    error::{Error, ErrorKind},
    gate::Gate,
    identity::SecretKey,
    jitter::Jitter,
    limited::Limited,
    nat::relay::{Relayed, Relays},
    pubsub::{kept::Kept, receive::Receiver, wanted::Wanted},
    shared::Shared,
    swarm::{
        behaviour::Behaviour,
        dial::Dialer,
        dial_target::parse_nodes,
        discovering,
        door::Door,
        gossip::{self, LastMessage},
        guard::{AddressLimits, Guard},
        identify::Identify,
        library::Library,
        listen,
        merge::Merger,
        ops::Ops,
        outer::Outer,
        peers::Peers,
        publishing::RETRY,
        relaying,
        second_connections::SecondConnections,
        task::{NodeSwarm, Task},
        transport,
        trimming::Trimming,
        twin::Twin,
        upgrades::Upgrades,
        warmup,
    },
};

/// Links stay up when they are quiet; `swarm/peers.rs` closes the dead ones.
const IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// More of the stack than setting up gossip and transports takes, without optimisation too.
const STACK: usize = 256 << 10;

/// Does what moves the key about, and wipes the stack that it took: a move leaves a copy behind, which nobody else wipes.
fn wiping<T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn call<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    #[expect(clippy::large_stack_arrays, reason = "it is the stack that is wiped")]
    fn wipe() {
        black_box(&mut [0_u8; STACK]);
    }
    let done = call(work);
    wipe();
    done
}

impl Task {
    pub(super) async fn open(
        key: &SecretKey,
        config: NodeConfig,
        shared: Arc<Shared>,
        gate: Gate,
        door: Door,
        start: u64,
    ) -> Result<Self, Error> {
        let core =
            |error: &dyn std::fmt::Display| Error::new(ErrorKind::Core, format!("the network cannot start: {error}"));
        if config.listen.quic_port.is_some() {
            warmup::begin();
        }
        let for_transport = gate.clone();
        let wanted = Wanted::by(Arc::clone(&shared.topics));
        let last_message = LastMessage::new(key.peer_id());
        let (public, built, gossip) = wiping(|| {
            let identity = key.libp2p();
            let NodeConfig { listen, connections, nat, .. } = &config;
            let built = transport::build(&identity, listen, connections, nat, for_transport, door, &shared);
            (identity.public(), built, gossip::build(&identity, &config.pubsub, wanted, last_message.clone()))
        });
        let (transport, relay_client) = built.map_err(|e| core(&e))?;
        let gossip = gossip.map_err(|e| core(&e))?;
        let limits = AddressLimits {
            established: config.connections.max_per_ip,
            pending: config.connections.max_pending_per_ip,
        };
        let announce: Vec<Multiaddr> =
            config.listen.announce.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|error| {
                Error::new(ErrorKind::Config, format!("listen.announce has an entry that is not a multiaddr: {error}"))
            })?;
        let guard = Guard::new(key.peer_id(), gate.clone(), limits);
        let reach = Reach::of(&config.listen.hosts);
        let finders = discovering::finders(key.peer_id(), &config.discovery, reach, &gate).map_err(|e| core(&e))?;
        let passages = relaying::passages(key.peer_id(), &config, relay_client).map_err(|e| core(&e))?;
        let identify = Identify::new(public, !announce.is_empty(), reach);
        let behaviour = Behaviour::new(guard, identify, passages, finders, gossip);
        let settings = swarm::Config::with_tokio_executor().with_smart_dial().with_idle_connection_timeout(IDLE);
        let mut swarm = NodeSwarm::new(transport, behaviour, key.peer_id(), settings);
        for address in announce {
            swarm.add_external_address(address);
        }
        tracing::info!(
            quic_port = config.listen.quic_port,
            tcp_port = config.listen.tcp_port,
            peer_id = %key.peer_id(),
            wallet = %key.wallet(),
            "starting to listen"
        );
        let opening = listen::open(&mut swarm, &config.listen).await?;
        let now = Instant::now();
        let relays = parse_nodes(&config.nat.relays)?;
        let (limit, handshake) = (config.connections.dial_concurrency.into(), config.connections.handshake_timeout);
        let mut dialer = Dialer::new(key.peer_id(), limit, handshake, Jitter::random());
        dialer.keep(&relays, now);
        let listed: Vec<_> = relays.into_iter().map(|(peer, _)| peer).collect();
        Ok(Self {
            dialer,
            upgrades: Upgrades::new(key.peer_id()),
            relays: Relays::new(&listed, now),
            relayed: Relayed::default(),
            outer: Outer::default(),
            bootstrap: Bootstrap::new(config.bootstrap.clone(), config.discovery.registry, Jitter::random()),
            reach,
            rendezvous: Rendezvous::new(
                config.discovery.rendezvous_interval,
                config.discovery.max_new_per_round,
                Jitter::random(),
            ),
            neighbours: Neighbours::default(),
            mdns_again_at: None,
            queries: HashMap::new(),
            receiver: Receiver::new(
                key.peer_id(),
                gate.clone(),
                Arc::clone(&shared.topics),
                Arc::clone(&shared.counters),
                config.pubsub.max_message_size,
            ),
            kept: Kept::default(),
            library: Library::new(&shared),
            swarm,
            shared,
            config,
            gate,
            peers: Peers::default(),
            second_connections: SecondConnections::new(key.peer_id(), Jitter::random()),
            at_door: Vec::new(),
            trimming: Trimming::default(),
            twin: Twin::default(),
            ops: Ops::default(),
            merger: Merger::default(),
            checks: FuturesUnordered::new(),
            asked: FuturesUnordered::new(),
            listeners: opening.ids(),
            opening,
            start: Some(start),
            failure: None,
            listener_errors: Limited::default(),
            incoming_errors: Limited::default(),
            identify_errors: Limited::default(),
            wrong_peers: Limited::default(),
            unlisted: HashSet::new(),
            unreachable: None,
            unheard: HashMap::new(),
            revocations: 0,
            published_at: None,
            paused_until: None,
            retry_at: None,
            retry_pause: RETRY,
            last_message,
            retried: 0,
            tick_at: now,
            probe_at: now,
            views_at: now,
        })
    }
}

//! A peer that speaks the protocols of the network and has no gate: what comes to the doors of nodes from outside.
//!
//! For demonstrations, and for users who test that their nodes refuse whom they should. It uses nothing of a node but the
//! settings of the wire, and runs in a thread of its own, so that it can share a process with nodes and outlive them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    gossipsub::{self, IdentTopic},
    identify,
    identity::Keypair,
    noise, ping, quic,
    swarm::{self, ConnectionId, DialError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use tokio::{runtime::Builder, sync::Notify};

use crate::{
    config::PubSubConfig,
    error::{Error, ErrorKind},
    identity::SecretKey,
    pubsub::{envelope, wanted::Wanted, wire},
    swarm::{
        dial_target::parse_nodes,
        gossip::{self, Gossip, LastMessage},
    },
};

/// One event is published, and doors are looked at, this often.
const PACE: Duration = Duration::from_millis(50);
/// A door that stayed shut is knocked at again after this time, by its next address.
const KNOCK_EVERY: Duration = Duration::from_millis(200);
const HANDSHAKE: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(3600);
/// Connections get this long to end with a word to the other side.
const GOODBYE: Duration = Duration::from_millis(500);
/// A stranger that is refused all the time says the same all the time.
const MAX_ENDS: usize = 256;

/// What a visit has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// Handshakes that ended well. A dialler sees one before the other side's gate has decided.
    pub connected: u64,
    /// Peers that said who they are: that let the stranger in.
    pub identified: u64,
    pub events_received: u64,
    /// Events that went out to at least one peer, of so many that were published.
    pub events_sent: u64,
    pub events_published: u64,
    /// How dials and connections ended, a sentence each, the first [`MAX_ENDS`].
    pub ends: Vec<String>,
    /// The thread has ended.
    pub is_over: bool,
}

/// A stranger on its visit, which begins when it is made and ends when it leaves.
pub struct Stranger {
    visit: Arc<Mutex<Visit>>,
    leave: Arc<Notify>,
}

impl Stranger {
    /// Dials the nodes, each by one of its addresses after the other until it lets the stranger in, subscribes to the
    /// topic, and publishes there.
    pub fn visit(key: &SecretKey, nodes: &[Vec<String>], full_topic: &str) -> Result<Arc<Self>, Error> {
        let doors: Vec<Door> = parse_nodes(nodes)?.into_iter().map(Door::new).collect();
        let stranger = Arc::new(Self { visit: Arc::default(), leave: Arc::default() });
        let (visit, leave) = (Arc::clone(&stranger.visit), Arc::clone(&stranger.leave));
        let (key, topic) = (key.libp2p(), full_topic.to_owned());
        let run = move || {
            let ended = Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())
                .and_then(|runtime| runtime.block_on(roam(&key, doors, topic, &visit, &leave)));
            let mut visit = locked(&visit);
            if let Err(error) = ended {
                visit.ended(format!("the stranger cannot start: {error}"));
            }
            visit.is_over = true;
        };
        thread::Builder::new().name("stranger".to_owned()).spawn(run).map_err(|error| {
            Error::new(ErrorKind::Core, format!("the stranger's thread cannot be started: {error}"))
        })?;
        Ok(stranger)
    }

    pub fn report(&self) -> Visit {
        locked(&self.visit).clone()
    }

    /// Begins the end; the report says when it is over.
    pub fn leave(&self) {
        self.leave.notify_one();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Visit {
    fn ended(&mut self, how: String) {
        if self.ends.len() < MAX_ENDS {
            self.ends.push(how);
        }
    }
}

/// A node as a stranger knows it.
struct Door {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    next: usize,
    dial: Option<ConnectionId>,
    not_before: Instant,
}

impl Door {
    fn new((peer, addresses): (PeerId, Vec<Multiaddr>)) -> Self {
        Self { peer, addresses, next: 0, dial: None, not_before: Instant::now() }
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: Gossip,
}

async fn roam(
    key: &Keypair,
    mut doors: Vec<Door>,
    topic: String,
    visit: &Mutex<Visit>,
    leave: &Notify,
) -> Result<(), String> {
    let mut swarm = open(key).map_err(|error| error.to_string())?;
    let topic = IdentTopic::new(topic);
    swarm.behaviour_mut().gossip.subscribe(&topic).map_err(|error| error.to_string())?;
    let mut pace = tokio::time::interval(PACE);
    loop {
        tokio::select! {
            biased;
            () = leave.notified() => break,
            _ = pace.tick() => {
                knock(&mut swarm, &mut doors, visit);
                publish(&mut swarm, &topic, visit);
            }
            event = swarm.select_next_some() => on_event(event, &mut doors, &mut locked(visit)),
        }
    }
    for peer in swarm.connected_peers().copied().collect::<Vec<_>>() {
        // `Err` says that it has just gone by itself.
        let _ = swarm.disconnect_peer_id(peer);
    }
    let until = tokio::time::Instant::now() + GOODBYE;
    while swarm.connected_peers().next().is_some() {
        if tokio::time::timeout_at(until, swarm.select_next_some()).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn open(key: &Keypair) -> Result<Swarm<Behaviour>, Box<dyn std::error::Error>> {
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(
            identify::Config::new("ipfs/0.1.0".to_owned(), key.public()).with_agent_version("stranger".to_owned()),
        ),
        ping: ping::Behaviour::default(),
        gossip: *gossip::build(
            key,
            &PubSubConfig { max_message_size: wire::MAX_PAYLOAD, flood_publish: true, batching: false },
            Wanted::default(),
            LastMessage::new(key.public().to_peer_id()),
        )?,
    };
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
    Ok(Swarm::new(transport(key)?, behaviour, key.public().to_peer_id(), settings))
}

fn transport(key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let quic =
        quic::tokio::Transport::new(quic::Config::new(key)).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let either = quic.or_transport(tcp).map(|either, _| either.into_inner());
    Ok(TransportTimeout::new(either, HANDSHAKE).boxed())
}

/// One dial at a time for each node: two connections to one peer would be a fault of another kind.
fn knock(swarm: &mut Swarm<Behaviour>, doors: &mut [Door], visit: &Mutex<Visit>) {
    let now = Instant::now();
    for door in doors.iter_mut().filter(|door| door.dial.is_none() && door.not_before <= now) {
        if swarm.is_connected(&door.peer) {
            continue;
        }
        let Some(address) = door.addresses.get(door.next % door.addresses.len().max(1)) else { continue };
        let dial = DialOpts::peer_id(door.peer).addresses(vec![address.clone()]).build();
        door.next += 1;
        door.not_before = now + KNOCK_EVERY;
        let connection = dial.connection_id();
        match swarm.dial(dial) {
            Ok(()) => door.dial = Some(connection),
            Err(error) => locked(visit).ended(refusal(Some(&door.peer), &error)),
        }
    }
}

fn publish(swarm: &mut Swarm<Behaviour>, topic: &IdentTopic, visit: &Mutex<Visit>) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let timestamp = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let author = swarm.local_peer_id().to_base58();
    let mut visit = locked(visit);
    let message = format!("{{\"stranger\":{}}}", visit.events_published);
    let event = envelope::encode(&envelope::new_id(), &author, message.as_bytes(), timestamp);
    visit.events_published += 1;
    // An error says that nobody is there to hear it, which is what the two counts show.
    if swarm.behaviour_mut().gossip.publish(topic.clone(), event).is_ok() {
        visit.events_sent += 1;
    }
}

fn on_event(event: SwarmEvent<BehaviourEvent>, doors: &mut [Door], visit: &mut Visit) {
    match event {
        SwarmEvent::ConnectionEstablished { connection_id, .. } => {
            visit.connected += 1;
            answered(doors, connection_id);
        }
        SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
            visit.ended(refusal(peer_id.as_ref(), &error));
            answered(doors, connection_id);
        }
        SwarmEvent::ConnectionClosed { peer_id, endpoint, cause, .. } => {
            let why = cause.map_or_else(|| "without a word".to_owned(), |error| error.to_string());
            visit.ended(format!("{peer_id} at {} closed the connection: {why}", endpoint.get_remote_address()));
        }
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { .. })) => visit.identified += 1,
        SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { .. })) => visit.events_received += 1,
        _ => {}
    }
}

fn answered(doors: &mut [Door], connection: ConnectionId) {
    for door in doors.iter_mut().filter(|door| door.dial == Some(connection)) {
        door.dial = None;
    }
}

fn refusal(peer: Option<&PeerId>, error: &DialError) -> String {
    let peer = peer.map_or_else(|| "somebody".to_owned(), PeerId::to_string);
    format!("{peer} could not be reached: {error}")
}

fn locked(visit: &Mutex<Visit>) -> MutexGuard<'_, Visit> {
    visit.lock().unwrap_or_else(PoisonError::into_inner)
}

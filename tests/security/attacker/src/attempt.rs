//! One try to get in, from the dial to what became of the connection.

use std::time::{Duration, Instant};

use libp2p::{
    Multiaddr,
    multiaddr::Protocol,
    swarm::{
        ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use serde_json::{Map, Value, json};
use tokio::time::timeout_at;

use crate::{Result, behaviour::BehaviourEvent, node::Node, observe::Counted, report};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const PUBLISH_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct Plan {
    pub(crate) address: Multiaddr,
    /// How long a connection is left to the remote to be closed before it counts as open.
    pub(crate) hold: Duration,
    /// Do not wait longer once identify was answered: the remote has let us in.
    pub(crate) until_identified: bool,
    /// Topic and data of an event to publish as soon as the remote is known to listen.
    pub(crate) publish: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// No connection came about.
    Failed,
    /// Established, then closed by the remote.
    Closed,
    /// Still there when the time was over.
    Open,
}

pub(crate) struct Attempt {
    pub(crate) end: End,
    pub(crate) connected: bool,
    pub(crate) identified: bool,
    pub(crate) counted: Counted,
    pub(crate) events_received: u64,
    pub(crate) events_sent: u64,
    connection: ConnectionId,
    cause: Option<String>,
    seconds: f64,
}

impl Attempt {
    pub(crate) fn line(&self, event: &str) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("event".to_owned(), event.into());
        line.insert("connected".to_owned(), self.connected.into());
        line.insert("identified".to_owned(), self.identified.into());
        line.insert("events_received".to_owned(), self.events_received.into());
        line.insert("events_sent".to_owned(), self.events_sent.into());
        line.insert("end".to_owned(), self.end.as_str().into());
        line.insert("cause".to_owned(), self.cause.clone().into());
        line.insert("ms".to_owned(), json!((self.seconds * 1e6).round() / 1e3));
        self.counted.write(&mut line);
        line
    }
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// Dials once, always a new connection, and watches it for as long as the plan says.
pub(crate) async fn attempt(node: &mut Node, plan: &Plan) -> Result<Attempt> {
    let (before, gossip) = (node.counters.now(), node.gossip);
    let started = Instant::now();
    let options = dial_options(&plan.address);
    let connection = options.connection_id();
    node.swarm.dial(options)?;

    let (mut connected, mut identified) = (false, false);
    let mut deadline = started + CONNECT_TIMEOUT;
    let (end, cause) = loop {
        let unsent = connected && plan.publish.is_some() && node.gossip.accepted == gossip.accepted;
        if let (true, Some((topic, data))) = (unsent, &plan.publish) {
            // Fails until the remote has told us that it listens; then once is enough.
            _ = node.publish(topic, data.as_bytes());
        }
        let wake = if unsent { deadline.min(Instant::now() + PUBLISH_INTERVAL) } else { deadline };
        match timeout_at(wake.into(), node.next()).await {
            Err(_) if Instant::now() < deadline => {}
            Err(_) if connected => break (End::Open, None),
            Err(_) => break (End::Failed, Some("timed out".to_owned())),
            Ok(SwarmEvent::ConnectionEstablished { connection_id, .. }) if connection_id == connection => {
                connected = true;
                deadline = Instant::now() + plan.hold;
            }
            Ok(SwarmEvent::ConnectionClosed { connection_id, cause, .. }) if connection_id == connection => {
                break (End::Closed, cause.map(|error| report::describe(&error)));
            }
            Ok(SwarmEvent::OutgoingConnectionError { connection_id, error, .. }) if connection_id == connection => {
                break (End::Failed, Some(report::describe(&error)));
            }
            Ok(SwarmEvent::Behaviour(BehaviourEvent::Identify(libp2p::identify::Event::Received {
                connection_id,
                ..
            }))) if connection_id == connection => {
                identified = true;
                if plan.until_identified {
                    break (End::Open, None);
                }
            }
            Ok(_) => {}
        }
    };
    Ok(Attempt {
        end,
        connected,
        identified,
        counted: node.counters.now().since(&before),
        events_received: node.gossip.received - gossip.received,
        events_sent: node.gossip.accepted - gossip.accepted,
        connection,
        cause,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Ends what an attempt has left open, so that the next one begins from nothing.
pub(crate) async fn close(node: &mut Node, attempt: &Attempt) {
    if attempt.end != End::Open || !node.swarm.close_connection(attempt.connection) {
        return;
    }
    let deadline = Instant::now() + CLOSE_TIMEOUT;
    while let Ok(event) = timeout_at(deadline.into(), node.next()).await {
        if matches!(event, SwarmEvent::ConnectionClosed { connection_id, .. } if connection_id == attempt.connection) {
            return;
        }
    }
}

fn dial_options(address: &Multiaddr) -> DialOpts {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![address.clone()]).build()
        }
        _ => DialOpts::unknown_peer_id().address(address.clone()).build(),
    }
}

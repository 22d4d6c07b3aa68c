//! What a node is told at its start. Plain data, which the host language has validated.

use std::time::Duration;

use crate::gate::GateConfig;

/// Where the node listens and what it announces.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    pub hosts: Vec<std::net::IpAddr>,
    /// `None`: no QUIC at all, neither listening nor dialling. 0: any free port.
    pub quic_port: Option<u16>,
    /// `None`: no TCP at all. 0: any free port.
    pub tcp_port: Option<u16>,
    /// Announced in place of the detected addresses, as multiaddrs.
    pub announce: Vec<String>,
}

/// How a node finds its first peers again (docs/wire.md section 7).
#[derive(Clone, Debug)]
pub struct BootstrapConfig {
    pub connect_timeout: Duration,
    pub retry_interval: Duration,
    pub loss_delay: Duration,
}

/// How a node finds the others of its databases (docs/wire.md section 8).
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// The two Kademlia tables, and the rendezvous in them.
    pub dht: bool,
    pub rendezvous_interval: Duration,
    pub max_new_per_round: usize,
    /// Multicast on the local network.
    pub mdns: bool,
    /// The list of bootstrap nodes, again and again.
    pub registry: bool,
}

#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    pub low: usize,
    pub high: usize,
    pub grace: Duration,
    pub max_per_ip: usize,
    pub max_pending_per_ip: usize,
    /// Peers that are dialled at the same time.
    pub dial_concurrency: u8,
    pub handshake_timeout: Duration,
}

/// How a node behind a NAT is reached (docs/nat.md).
#[expect(clippy::struct_excessive_bools, reason = "roles that do not exclude each other")]
#[derive(Clone, Debug)]
pub struct NatConfig {
    /// Be reached, and reach others, through relays.
    pub relay_client: bool,
    /// Be a relay for the other nodes.
    pub relay_server: bool,
    /// Replace relayed connections by direct ones.
    pub hole_punching: bool,
    /// Relays to use before any other, each by its multiaddrs.
    pub relays: Vec<Vec<String>>,
    /// Let the router map the ports.
    pub upnp: bool,
    /// Ask peers whether they can connect here.
    pub autonat: bool,
    /// Answer such questions of peers.
    pub autonat_server: bool,
}

#[derive(Clone, Debug)]
pub struct PubSubConfig {
    /// The largest envelope this node publishes and accepts, in bytes; never above what the wire carries.
    pub max_message_size: usize,
    pub flood_publish: bool,
    /// Events of one topic that wait together leave as one message, where everybody can read that.
    pub batching: bool,
}

#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub listen: ListenConfig,
    pub gate: GateConfig,
    pub bootstrap: BootstrapConfig,
    pub discovery: DiscoveryConfig,
    pub connections: ConnectionConfig,
    pub nat: NatConfig,
    pub pubsub: PubSubConfig,
}

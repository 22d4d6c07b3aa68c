//! `NodeOptions` of `_core.pyi`. Python has validated them (`depinmesh.Config`); here they only get their types.

use std::net::IpAddr;

use depinmesh_core::{
    bridge::waker::WakerChoice,
    config::{BootstrapConfig, ConnectionConfig, DiscoveryConfig, ListenConfig, NatConfig, NodeConfig, PubSubConfig},
    error::{Error, ErrorKind},
    gate::{GateConfig, Revocation},
};
use pyo3::prelude::*;

use crate::convert::duration;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the configuration")]
pub(crate) struct NodeOptions {
    hosts: Vec<String>,
    quic_port: Option<u16>,
    tcp_port: Option<u16>,
    announce: Vec<String>,
    refresh_interval: f64,
    gate_timeout: f64,
    min_interval: f64,
    negative_ttl: f64,
    max_stale: f64,
    revocation: String,
    connect_timeout: f64,
    retry_interval: f64,
    loss_delay: f64,
    dht: bool,
    rendezvous_interval: f64,
    max_new_per_round: usize,
    mdns: bool,
    discovery_registry: bool,
    low: usize,
    high: usize,
    grace: f64,
    max_per_ip: usize,
    max_pending_per_ip: usize,
    dial_concurrency: u8,
    handshake_timeout: f64,
    relay_client: bool,
    relay_server: bool,
    hole_punching: bool,
    relays: Vec<Vec<String>>,
    upnp: bool,
    autonat: bool,
    autonat_server: bool,
    max_message_size: usize,
    flood_publish: bool,
    batching: bool,
    waker: String,
}

impl NodeOptions {
    pub(crate) fn waker(&self) -> Result<WakerChoice, Error> {
        waker_choice(&self.waker)
    }

    pub(crate) fn into_config(self) -> Result<NodeConfig, Error> {
        let hosts = self.hosts.iter().map(|host| parse_host(host)).collect::<Result<_, _>>()?;
        let revocation = match self.revocation.as_str() {
            "close" => Revocation::Close,
            "keep" => Revocation::Keep,
            other => return Err(unknown("revocation", other)),
        };
        Ok(NodeConfig {
            listen: ListenConfig { hosts, quic_port: self.quic_port, tcp_port: self.tcp_port, announce: self.announce },
            gate: GateConfig {
                refresh_interval: duration(self.refresh_interval),
                timeout: duration(self.gate_timeout),
                min_interval: duration(self.min_interval),
                negative_ttl: duration(self.negative_ttl),
                max_stale: duration(self.max_stale),
                revocation,
            },
            bootstrap: BootstrapConfig {
                connect_timeout: duration(self.connect_timeout),
                retry_interval: duration(self.retry_interval),
                loss_delay: duration(self.loss_delay),
            },
            discovery: DiscoveryConfig {
                dht: self.dht,
                rendezvous_interval: duration(self.rendezvous_interval),
                max_new_per_round: self.max_new_per_round,
                mdns: self.mdns,
                registry: self.discovery_registry,
            },
            connections: ConnectionConfig {
                low: self.low,
                high: self.high,
                grace: duration(self.grace),
                max_per_ip: self.max_per_ip,
                max_pending_per_ip: self.max_pending_per_ip,
                dial_concurrency: self.dial_concurrency,
                handshake_timeout: duration(self.handshake_timeout),
            },
            nat: NatConfig {
                relay_client: self.relay_client,
                relay_server: self.relay_server,
                hole_punching: self.hole_punching,
                relays: self.relays,
                upnp: self.upnp,
                autonat: self.autonat,
                autonat_server: self.autonat_server,
            },
            pubsub: PubSubConfig {
                max_message_size: self.max_message_size,
                flood_publish: self.flood_publish,
                batching: self.batching,
            },
        })
    }
}

pub(crate) fn waker_choice(word: &str) -> Result<WakerChoice, Error> {
    match word {
        "auto" => Ok(WakerChoice::Auto),
        "thread" => Ok(WakerChoice::Thread),
        other => Err(unknown("waker", other)),
    }
}

fn parse_host(host: &str) -> Result<IpAddr, Error> {
    host.parse().map_err(|_| {
        Error::new(ErrorKind::Config, format!("listen.hosts: '{host}' is not an IP address"))
            .with("path", "listen.hosts")
            .with("value", host)
    })
}

/// A word that Python lets through only by mistake.
pub(crate) fn unknown(option: &'static str, value: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{option}: '{value}' is not one of the choices"))
        .with("path", option)
        .with("value", value)
}

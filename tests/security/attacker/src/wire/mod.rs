//! Connections of which every byte up to the streams is made by hand, so that each can be wrong.

mod certificate;
pub(crate) mod initial;
pub(crate) mod noise;
pub(crate) mod tls;
pub(crate) mod yamux;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint,
        transport::{DialOpts, PortUse},
    },
    multiaddr::Protocol,
    tcp,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Result, multistream, report};

/// A TCP connection on which the other side has agreed to a security protocol.
async fn agreed(address: &Multiaddr, security: &str) -> io::Result<tcp::tokio::TcpStream> {
    let mut transport = tcp::tokio::Transport::new(tcp::Config::new());
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let mut socket = transport.dial(address.clone(), options).map_err(io::Error::other)?.await?;
    if multistream::propose(&mut socket, security).await? {
        Ok(socket)
    } else {
        Err(io::Error::other(format!("the other side does not speak {security}")))
    }
}

/// The address for a socket.
fn socket_address(address: &Multiaddr) -> Result<SocketAddr> {
    let mut parts = address.iter();
    let host: IpAddr = match parts.next() {
        Some(Protocol::Ip4(host)) => host.into(),
        Some(Protocol::Ip6(host)) => host.into(),
        _ => return Err("the address does not begin with an IP address".into()),
    };
    match parts.next() {
        Some(Protocol::Udp(port) | Protocol::Tcp(port)) => Ok((host, port).into()),
        _ => Err("the address names no TCP or UDP port".into()),
    }
}

/// Runs one try of a case and tells how it ended: `Ok(true)` is what the honest case ends in.
async fn told(event: &str, case: &str, patience: Duration, attempt: impl Future<Output = io::Result<bool>>) -> bool {
    let started = Instant::now();
    let (accepted, error) = match timeout(patience, attempt).await {
        Ok(Ok(accepted)) => (accepted, None),
        Ok(Err(error)) => (false, Some(report::describe(&error))),
        Err(_) => (false, Some("still open".to_owned())),
    };
    let ms = (started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    report::line(&json!({"event": event, "case": case, "accepted": accepted, "error": error, "ms": ms}));
    accepted
}

fn done(event: &str, tries: usize, accepted: usize) {
    let line: Value = json!({"event": event, "tries": tries, "accepted": accepted});
    report::line(&line);
}

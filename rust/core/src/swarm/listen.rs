//! Opening the ports: what is taken is an error with its number, a missing IPv6 stack is a warning.

use std::{collections::HashSet, io, net::IpAddr};

use libp2p::{Multiaddr, TransportError, core::transport::ListenerId, multiaddr::Protocol};

use crate::{
    config::ListenConfig,
    error::{Error, ErrorKind},
    swarm::task::NodeSwarm,
};

/// Asks the swarm to listen everywhere that is configured. Each id reports its addresses, or its end, as an event.
pub(super) fn open(swarm: &mut NodeSwarm, config: &ListenConfig) -> Result<HashSet<ListenerId>, Error> {
    let mut listeners = HashSet::new();
    let mut missing = None;
    for host in &config.hosts {
        for (address, port) in addresses(*host, config) {
            match swarm.listen_on(address.clone()) {
                Ok(id) => {
                    listeners.insert(id);
                }
                Err(error) => {
                    let failure = describe(&address, port, &error);
                    if !(host.is_ipv6() && is_missing_stack(&error)) {
                        return Err(failure);
                    }
                    tracing::warn!(%address, "this machine has no IPv6: not listening there");
                    missing = Some(failure);
                }
            }
        }
    }
    match missing {
        Some(failure) if listeners.is_empty() => Err(failure),
        _ => Ok(listeners),
    }
}

fn addresses(host: IpAddr, config: &ListenConfig) -> Vec<(Multiaddr, u16)> {
    let base = Multiaddr::from(host);
    let quic = config.quic_port.map(|port| (base.clone().with(Protocol::Udp(port)).with(Protocol::QuicV1), port));
    let tcp = config.tcp_port.map(|port| (base.with(Protocol::Tcp(port)), port));
    quic.into_iter().chain(tcp).collect()
}

fn describe(address: &Multiaddr, port: u16, error: &TransportError<io::Error>) -> Error {
    let cause = io_cause(error);
    let remedy = match cause.as_ref().map(|(kind, _)| *kind) {
        Some(io::ErrorKind::AddrInUse) => "the port is taken; end the other program, or choose another port",
        Some(io::ErrorKind::PermissionDenied) => {
            "not permitted; ports below 1024 need a privilege, choose a higher one"
        }
        Some(io::ErrorKind::AddrNotAvailable) => "this machine has no such address; check listen.hosts",
        _ => "the address cannot be listened on",
    };
    Error::new(ErrorKind::Listen, format!("cannot listen on {address}: {remedy} ({error})"))
        .with("address", address.to_string())
        .with("port", usize::from(port))
}

/// IPv6 that is compiled out or disabled, by the numbers of Linux, macOS and Windows.
fn is_missing_stack(error: &TransportError<io::Error>) -> bool {
    matches!(io_cause(error), Some((_, Some(97 | 47 | 10_047))))
        || matches!(io_cause(error), Some((io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported, _)))
}

/// The operating system's own error below the wrappers of the transports.
fn io_cause(error: &TransportError<io::Error>) -> Option<(io::ErrorKind, Option<i32>)> {
    let TransportError::Other(outer) = error else { return None };
    let mut found = outer.raw_os_error().map(|number| (outer.kind(), Some(number)));
    let mut next = outer.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = next {
        if let Some(inner) = error.downcast_ref::<io::Error>() {
            found = Some((inner.kind(), inner.raw_os_error()));
            next = inner.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        } else {
            next = error.source();
        }
    }
    found
}

/// An address that others should not be told of, unless the whole node lives on loopback.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

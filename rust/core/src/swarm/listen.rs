//! Opening the ports: what is taken is an error with its number, a missing IPv6 stack is a warning.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, core::transport::ListenerId, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};

use crate::{
    config::ListenConfig,
    error::{Error, ErrorKind},
    swarm::task::NodeSwarm,
};

/// A node that was just closed on the same port lets go of it when its last connection has died down.
const FREE_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A listener on all addresses reports those that the machine has, which takes milliseconds. One that has nothing to report
/// says nothing: where IPv6 is switched off, its port can be opened all the same.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// The others come along with the first one.
const NEXT_WITHIN: Duration = Duration::from_millis(300);

/// One address to listen on.
struct Place {
    host: IpAddr,
    port: u16,
    udp: bool,
}

/// The listeners that have not reported an address yet.
pub(super) struct Opening {
    waiting: HashMap<ListenerId, Place>,
    /// When nothing more is to be expected of those on all addresses.
    until: Instant,
}

impl Opening {
    pub(super) fn ids(&self) -> Vec<ListenerId> {
        self.waiting.keys().copied().collect()
    }

    pub(super) fn contains(&self, id: ListenerId) -> bool {
        self.waiting.contains_key(&id)
    }

    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn reported(&mut self, id: ListenerId, now: Instant) {
        self.waiting.remove(&id);
        self.until = now + NEXT_WITHIN;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.values().any(Place::is_everywhere).then_some(self.until)
    }

    /// Waits no longer for listeners that have no address of this machine by now. They report one that comes later.
    pub(super) fn give_up(&mut self, now: Instant) {
        if now < self.until {
            return;
        }
        for (_, place) in self.waiting.extract_if(|_, place| place.is_everywhere()) {
            tracing::warn!(listener = %place.address(), "this machine has no address for this listener yet");
        }
    }
}

/// Asks the swarm to listen everywhere that is configured. Each id reports its addresses, or its end, as an event.
pub(super) async fn open(swarm: &mut NodeSwarm, config: &ListenConfig) -> Result<Opening, Error> {
    let mut waiting = HashMap::new();
    let mut missing = None;
    let until = Instant::now() + FREE_WITHIN;
    let places = places(config);
    // Before any is opened, as one of ours on all addresses would be in the way of another.
    for place in &places {
        place.is_free(until).await.map_err(|cause| place.failure(&cause))?;
    }
    for place in places {
        match place.listen(swarm, until).await {
            Ok(id) => {
                waiting.insert(id, place);
            }
            Err(cause) if place.host.is_ipv6() && is_missing_stack(&cause) => {
                tracing::warn!(address = %place.address(), "this machine has no IPv6: not listening there");
                missing = Some(place.failure(&cause));
            }
            Err(cause) => return Err(place.failure(&cause)),
        }
    }
    match missing {
        Some(failure) if waiting.is_empty() => Err(failure),
        _ => Ok(Opening { waiting, until: Instant::now() + FIRST_WITHIN }),
    }
}

fn places(config: &ListenConfig) -> Vec<Place> {
    let of = |host: &IpAddr| {
        let quic = config.quic_port.map(|port| Place { host: *host, port, udp: true });
        let tcp = config.tcp_port.map(|port| Place { host: *host, port, udp: false });
        quic.into_iter().chain(tcp)
    };
    config.hosts.iter().flat_map(of).collect()
}

impl Place {
    const fn is_everywhere(&self) -> bool {
        self.host.is_unspecified()
    }

    fn address(&self) -> Multiaddr {
        let base = Multiaddr::from(self.host);
        if self.udp {
            base.with(Protocol::Udp(self.port)).with(Protocol::QuicV1)
        } else {
            base.with(Protocol::Tcp(self.port))
        }
    }

    /// Waits until no other socket listens there. The library lets any number of ours share a TCP port, so that it dials from
    /// it, and the system would hand each connection to one of them.
    async fn is_free(&self, until: Instant) -> Result<(), io::Error> {
        while let Some(cause) = self.taken() {
            if Instant::now() >= until {
                return Err(cause);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// What opening it without sharing comes to, if that is that it is taken. All else is said when it is opened.
    fn taken(&self) -> Option<io::Error> {
        if self.udp || self.port == 0 {
            return None;
        }
        let address = SocketAddr::new(self.host, self.port);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
        if cfg!(unix) {
            socket.set_reuse_address(true).ok()?; // connections of before may still end
        }
        if address.is_ipv6() {
            socket.set_only_v6(true).ok()?;
        }
        socket.bind(&address.into()).err().filter(|cause| cause.kind() == io::ErrorKind::AddrInUse)
    }

    async fn listen(&self, swarm: &mut NodeSwarm, until: Instant) -> Result<ListenerId, io::Error> {
        loop {
            let error = match swarm.listen_on(self.address()) {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            let cause = self.cause();
            // The port may have become free just now.
            let passes = cause.as_ref().is_none_or(|cause| cause.kind() == io::ErrorKind::AddrInUse);
            if !passes || self.port == 0 || Instant::now() >= until {
                return Err(cause.unwrap_or_else(|| io::Error::other(error)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What the operating system says to the same wish. The transports wrap its error out of sight.
    fn cause(&self) -> Option<io::Error> {
        let place = (self.host, self.port);
        if self.udp { UdpSocket::bind(place).err() } else { TcpListener::bind(place).err() }
    }

    fn failure(&self, cause: &io::Error) -> Error {
        let remedy = match cause.kind() {
            io::ErrorKind::AddrInUse => "the port is taken; end the other program, or choose another port",
            io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need a privilege, choose a higher one",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address; check listen.hosts",
            _ => "the address cannot be listened on",
        };
        Error::new(ErrorKind::Listen, format!("cannot listen on {}: {remedy} ({cause})", self.address()))
            .with("address", self.address().to_string())
            .with("port", usize::from(self.port))
    }
}

/// IPv6 that is compiled out or disabled, by the numbers of Linux, macOS and Windows.
fn is_missing_stack(cause: &io::Error) -> bool {
    matches!(cause.raw_os_error(), Some(97 | 47 | 10_047))
        || matches!(cause.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

//! Ports of ours that the router of the local network maps to the outside, by `UPnP`.
//!
//! One task keeps them: a round maps or renews each port and asks for the outer address, so that a router that has
//! restarted, or has got another address, is caught up with at the next one. Leases are short, so that what a killed
//! node leaves behind is soon gone.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use igd_next::{
    AddAnyPortError, AddPortError, PortMappingProtocol, SearchOptions,
    aio::{
        Gateway,
        tokio::{Tokio, search_gateway},
    },
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{
    net::UdpSocket,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::addresses::is_public;

/// How often mappings are renewed, and for how long they are asked for: one lost round does no harm.
const ROUND: Duration = Duration::from_secs(5 * 60);
const LEASE: Duration = Duration::from_secs(20 * 60);
/// After a round that failed.
const AGAIN: Duration = Duration::from_secs(30);
/// A machine that moves may find a router later.
const SEARCH_AGAIN: Duration = Duration::from_secs(10 * 60);
/// A router answers a request within this time.
const REQUEST: Duration = Duration::from_secs(3);
/// How the router's own pages name the mapping.
const DESCRIPTION: &str = "depinmesh";

/// A port that we listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub udp: bool,
    pub number: u16,
}

impl Port {
    /// The port of an address of a listener; those of IPv6 need no mapping.
    pub(crate) fn of(listener: &Multiaddr) -> Option<Self> {
        let mut parts = listener.iter();
        match (parts.next()?, parts.next()?) {
            (Protocol::Ip4(_), Protocol::Udp(number)) => Some(Self { udp: true, number }),
            (Protocol::Ip4(_), Protocol::Tcp(number)) => Some(Self { udp: false, number }),
            _ => None,
        }
    }

    const fn protocol(self) -> PortMappingProtocol {
        if self.udp { PortMappingProtocol::UDP } else { PortMappingProtocol::TCP }
    }

    fn at(self, host: Ipv4Addr, port: u16) -> Multiaddr {
        let host = Multiaddr::from(host);
        if self.udp { host.with(Protocol::Udp(port)).with(Protocol::QuicV1) } else { host.with(Protocol::Tcp(port)) }
    }
}

/// The task that keeps the mappings. When this is dropped it takes them back, if the runtime gives it the time.
pub(crate) struct PortMap {
    addresses: watch::Receiver<HashSet<Multiaddr>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl PortMap {
    /// `None`: there is nothing to map, as nobody listens on a private IPv4 address.
    pub(crate) fn start(hosts: &[IpAddr], ports: BTreeSet<Port>) -> Option<Self> {
        let hosts: Vec<Ipv4Addr> = hosts
            .iter()
            .filter_map(|host| match host {
                IpAddr::V4(host) if host.is_unspecified() || (!host.is_loopback() && !is_public(*host)) => Some(*host),
                _ => None,
            })
            .collect();
        if hosts.is_empty() || ports.is_empty() {
            return None;
        }
        let (told, addresses) = watch::channel(HashSet::new());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(Keeper::new(hosts, ports, told).run(None, stopped));
        Some(Self { addresses, stop, task })
    }

    /// Waits until the outer addresses have changed; returns them.
    pub(crate) async fn changed(&mut self) -> HashSet<Multiaddr> {
        if self.addresses.changed().await.is_err() {
            // The task ends with `close` alone.
            std::future::pending::<()>().await;
        }
        self.addresses.borrow_and_update().clone()
    }

    /// Takes the mappings back, and waits for it.
    pub(crate) async fn close(self, until: Instant) {
        _ = self.stop.send(());
        let abort = self.task.abort_handle();
        if tokio::time::timeout_at(until.into(), self.task).await.is_err() {
            abort.abort();
            tracing::debug!("the router did not take the port mappings back in time: they end with their lease");
        }
    }
}

struct Mapped {
    outer: u16,
    until: Instant,
    /// The router knows no leases: it stays until it is taken back.
    permanent: bool,
}

struct Keeper {
    /// Private addresses that we listen on, or all.
    hosts: Vec<Ipv4Addr>,
    ports: BTreeSet<Port>,
    mapped: BTreeMap<Port, Mapped>,
    outer: Option<Ipv4Addr>,
    told: watch::Sender<HashSet<Multiaddr>>,
    /// What was complained of last: the same is said once.
    complaint: Option<String>,
}

impl Keeper {
    fn new(hosts: Vec<Ipv4Addr>, ports: BTreeSet<Port>, told: watch::Sender<HashSet<Multiaddr>>) -> Self {
        Self { hosts, ports, mapped: BTreeMap::new(), outer: None, told, complaint: None }
    }

    async fn run(mut self, mut router: Option<Gateway<Tokio>>, mut stop: oneshot::Receiver<()>) {
        // One that did not answer for once may still have mappings to take back.
        let mut last = None;
        loop {
            if router.is_none() {
                router = tokio::select! {
                    _ = &mut stop => break,
                    found = search_gateway(SearchOptions::default()) => self.found(found.map_err(|e| e.to_string())),
                };
            }
            // Not cut short by `stop`: what was asked for is known afterwards, and can be taken back.
            let pause = match &router {
                None if self.mapped.is_empty() => SEARCH_AGAIN,
                None => AGAIN,
                Some(gateway) => match self.round(gateway).await {
                    Ok(()) => ROUND,
                    Err(error) => {
                        self.complain(error);
                        last = router.take();
                        AGAIN
                    }
                },
            };
            self.tell();
            tokio::select! {
                _ = &mut stop => break,
                () = sleep(pause) => {}
            }
        }
        if let Some(gateway) = router.or(last) {
            self.take_back(&gateway).await;
        }
    }

    fn found(&mut self, found: Result<Gateway<Tokio>, String>) -> Option<Gateway<Tokio>> {
        match found {
            Ok(gateway) => {
                tracing::debug!(router = %gateway.addr, "found a router that maps ports");
                Some(gateway)
            }
            Err(error) => {
                if self.mapped.is_empty() && self.complaint.is_none() {
                    tracing::debug!(error, "no router here maps ports by UPnP");
                    self.complaint = Some(error);
                }
                None
            }
        }
    }

    /// Maps or renews every port. An error: the router does not answer, or maps nothing.
    async fn round(&mut self, gateway: &Gateway<Tokio>) -> Result<(), String> {
        let outer = match in_time(gateway.get_external_ip()).await? {
            IpAddr::V4(outer) if is_public(outer) => outer,
            outer => {
                self.outer = None;
                self.complain(format!("the router has no public address itself, but {outer}: no port is mapped"));
                return Ok(());
            }
        };
        if self.outer.is_some_and(|before| before != outer) {
            tracing::info!(address = %outer, "the router has another address");
        }
        self.outer = Some(outer);
        let own = self.towards(gateway.addr).await?;
        let mut failure = None;
        for port in self.ports.clone() {
            match self.map(gateway, port, own).await {
                Ok(mapped) => {
                    let outer_port = mapped.outer;
                    if self.mapped.insert(port, mapped).is_none_or(|before| before.outer != outer_port) {
                        tracing::info!(address = %port.at(outer, outer_port), "the router maps a port to this node");
                    }
                }
                Err(error) => failure = Some(format!("{} port {}: {error}", port.protocol(), port.number)),
            }
        }
        match failure {
            None => self.complaint = None,
            Some(failure) if self.mapped.is_empty() => return Err(failure),
            Some(failure) => self.complain(failure),
        }
        Ok(())
    }

    async fn map(&self, gateway: &Gateway<Tokio>, port: Port, own: Ipv4Addr) -> Result<Mapped, String> {
        let inner = SocketAddr::from((own, port.number));
        let wanted = self.mapped.get(&port).map_or(port.number, |mapped| mapped.outer);
        let mut lease = u32::try_from(LEASE.as_secs()).unwrap_or_default();
        let add = async |lease| limited(gateway.add_port(port.protocol(), wanted, inner, lease, DESCRIPTION)).await;
        let mut added = add(lease).await?;
        if matches!(added, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            lease = 0;
            added = add(lease).await?;
        }
        let mapped = |outer| Mapped { outer, until: Instant::now() + LEASE, permanent: lease == 0 };
        match added {
            Ok(()) => Ok(mapped(wanted)),
            Err(AddPortError::PortInUse) => {
                let any = limited(gateway.add_any_port(port.protocol(), inner, lease, DESCRIPTION)).await?;
                let outer = any.map_err(|error: AddAnyPortError| error.to_string())?;
                tracing::warn!(
                    port = wanted,
                    instead = outer,
                    "the router maps this port to another machine already: it maps another one to this node; give each \
                     node behind a router ports of its own"
                );
                Ok(mapped(outer))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The address that this machine shows the router; it must be one that we listen on.
    async fn towards(&self, router: SocketAddr) -> Result<Ipv4Addr, String> {
        let own = async {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
            socket.connect(router).await?;
            socket.local_addr()
        };
        match own.await.map_err(|error| error.to_string())?.ip() {
            IpAddr::V4(own) if self.hosts.iter().any(|host| host.is_unspecified() || *host == own) => Ok(own),
            own => Err(format!("the node does not listen on {own}, by which it reaches the router")),
        }
    }

    async fn take_back(&mut self, gateway: &Gateway<Tokio>) {
        for (port, mapped) in std::mem::take(&mut self.mapped) {
            if let Err(error) = in_time(gateway.remove_port(port.protocol(), mapped.outer)).await {
                tracing::debug!(error, port = mapped.outer, "the router did not take a port mapping back");
            }
        }
    }

    fn complain(&mut self, of: String) {
        if self.complaint.as_ref() != Some(&of) {
            tracing::warn!(error = of, "the router does not map all ports to this node: others may not reach it");
            self.complaint = Some(of);
        }
    }

    /// What still holds.
    fn tell(&mut self) {
        let now = Instant::now();
        self.mapped.retain(|_, mapped| mapped.permanent || mapped.until > now);
        let renewed = self.mapped.iter().filter(|(_, mapped)| mapped.until > now);
        let addresses: HashSet<Multiaddr> = self
            .outer
            .map_or_else(HashSet::new, |host| renewed.map(|(port, mapped)| port.at(host, mapped.outer)).collect());
        self.told.send_if_modified(|told| {
            let changed = *told != addresses;
            *told = addresses;
            changed
        });
    }
}

async fn limited<T>(request: impl Future<Output = T>) -> Result<T, String> {
    timeout(REQUEST, request).await.map_err(|_| "the router does not answer".to_owned())
}

async fn in_time<T, E: std::fmt::Display>(request: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    limited(request).await?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;

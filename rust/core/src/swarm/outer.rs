//! How the node is seen from outside: whether others can connect to it, and where.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, StreamProtocol, swarm::ConnectionId};

use crate::{
    addresses::is_outside,
    events::NodeEvent,
    nat::{
        autonat::AutoNatEvent,
        portmap::{Port, PortMap},
        reachability::Reachability,
    },
    swarm::task::Task,
};

/// A peer that tries whether we can be reached does so within this time of our question, at so many addresses.
const DIAL_BACK: Duration = Duration::from_secs(15);
const DIALS_BACK: usize = 8;

#[derive(Default)]
pub(super) struct Outer {
    pub(super) reachability: Reachability,
    /// `None`: off, or nothing to map.
    pub(super) portmap: Option<PortMap>,
    mapped: HashSet<Multiaddr>,
    /// Until when, and how often at most, somebody may knock who tries whether we can be reached.
    asked: Option<(Instant, usize)>,
    /// Addresses beyond those of the listeners.
    beyond: Vec<String>,
    /// What was told last, and whether there may be something new.
    told: (Reachability, Vec<String>),
    changed: bool,
}

impl Outer {
    pub(super) fn expects_dial_back(&mut self, now: Instant) -> bool {
        match &mut self.asked {
            Some((until, left)) if *until > now && *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

/// Waits until the router maps other ports than before.
pub(super) async fn mapped(portmap: &mut Option<PortMap>) -> HashSet<Multiaddr> {
    match portmap {
        Some(portmap) => portmap.changed().await,
        None => std::future::pending().await,
    }
}

impl Task {
    /// The node listens. An operator who names addresses has seen to them.
    pub(super) fn map_ports(&mut self) {
        if self.config.nat.upnp && self.config.listen.announce.is_empty() {
            let ports: BTreeSet<Port> = self.swarm.listeners().filter_map(Port::of).collect();
            self.outer.portmap = PortMap::start(&self.config.listen.hosts, ports);
        }
    }

    pub(super) fn on_mapped(&mut self, addresses: HashSet<Multiaddr>) {
        for gone in self.outer.mapped.difference(&addresses) {
            self.swarm.remove_external_address(gone);
        }
        for new in addresses.difference(&self.outer.mapped) {
            self.swarm.add_external_address(new.clone());
        }
        self.outer.mapped = addresses;
        self.show_outer();
    }

    /// A peer has said what it serves.
    pub(super) fn meet_autonat(&mut self, peer: PeerId, id: ConnectionId, seen: Multiaddr, serves: &[StreamProtocol]) {
        if let Some(remote) = self.peers.remote(&peer, id)
            && let Some(autonat) = self.swarm.behaviour_mut().autonat.as_mut()
        {
            autonat.meet(peer, id, remote, seen, serves);
        }
    }

    /// A peer came at our request, and was sent away.
    pub(super) fn on_dialled_back(&mut self, peer: &PeerId) {
        let behaviour = self.swarm.behaviour_mut();
        // Another connection of it would not be its try.
        behaviour.guard.expect(None);
        if let Some(autonat) = behaviour.autonat.as_mut() {
            autonat.came(peer);
        }
    }

    pub(super) fn on_autonat(&mut self, event: AutoNatEvent) {
        let counters = &self.shared.counters;
        match event {
            AutoNatEvent::Asking => self.outer.asked = Some((Instant::now() + DIAL_BACK, DIALS_BACK)),
            AutoNatEvent::Expects(peer) => self.swarm.behaviour_mut().guard.expect(peer),
            AutoNatEvent::Asked(result) => counters.reachability_asked.add(result, 1),
            AutoNatEvent::Served(result) => counters.reachability_served.add(result, 1),
            AutoNatEvent::Changed(reachability) => {
                self.outer.reachability = reachability;
                match reachability {
                    Reachability::Public => tracing::info!("others can connect to this node directly"),
                    Reachability::Private => {
                        tracing::info!(
                            "others cannot connect to this node directly: it needs a relay, or a mapped port"
                        );
                    }
                    Reachability::Unknown => tracing::info!("whether others can connect to this node is not known"),
                }
                self.show_outer();
            }
        }
    }

    /// Publishes it. The host hears of it in the next turn, when all that belongs together has come.
    pub(super) fn show_outer(&mut self) {
        let own: HashSet<_> = self.swarm.listeners().collect();
        let external: Vec<&Multiaddr> = self.swarm.external_addresses().filter(|address| is_outside(address)).collect();
        let texts = |addresses: &mut dyn Iterator<Item = &Multiaddr>| {
            let texts: BTreeSet<String> = addresses.map(ToString::to_string).collect();
            texts.into_iter().collect::<Vec<_>>()
        };
        // Its listeners tell of themselves.
        let beyond = texts(&mut external.iter().copied().filter(|address| !own.contains(address)));
        let mut views = self.shared.views();
        views.reachability = self.outer.reachability;
        views.public_addresses = texts(&mut external.into_iter());
        views.mapped_addresses = texts(&mut self.outer.mapped.iter());
        drop(views);
        self.outer.beyond = beyond;
        self.outer.changed = true;
        self.hurry(Instant::now());
    }

    pub(super) fn tell_outer(&mut self) {
        if !std::mem::take(&mut self.outer.changed) {
            return;
        }
        let told = (self.outer.reachability, self.outer.beyond.clone());
        if told != self.outer.told {
            self.outer.told = told.clone();
            self.emit(NodeEvent::ReachabilityChanged { reachability: told.0, addresses: told.1 });
        }
    }
}

//! What the finders of peers bring (two tables, rendezvous, mDNS), and what the node makes of it: candidates for the one
//! dialler, behind the gate.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::transport::ListenerId,
    mdns,
    swarm::{ConnectionId, FromSwarm, NetworkBehaviour as _, NewListenAddr, behaviour::toggle::Toggle},
};

use crate::{
    addresses::{Reach, Scope},
    config::DiscoveryConfig,
    discovery::{
        kad::{Table, TableEvent},
        neighbours::Neighbours,
        records::IsListed,
        rendezvous::Work,
    },
    gate::{Gate, Verdict},
    identity::Wallet,
    swarm::{behaviour::Finders, dial::Heard, task::Task},
};

/// The library keeps all addresses that it hears by mDNS for as long as the sender wishes, and goes through them at each
/// turn of the task. Anybody on the local network can make them up.
const MAX_HEARD: usize = 4_096;
/// Then mDNS is off for this time, and begins anew.
const MDNS_PAUSE: Duration = Duration::from_secs(60);

pub(super) fn finders(own: PeerId, config: &DiscoveryConfig, reach: Reach, gate: &Gate) -> io::Result<Finders> {
    let mut finders = Finders::default();
    if config.dht {
        let gate = gate.clone();
        let is_listed: IsListed = Arc::new(move |peer| matches!(gate.check_now(peer), Verdict::Admit(_)));
        finders.wan = Some(Table::new(own, Scope::Wan, reach, Arc::clone(&is_listed)));
        finders.lan = Some(Table::new(own, Scope::Lan, reach, is_listed));
    }
    if config.mdns {
        finders.mdns = Some(neighbourhood(own)?);
    }
    Ok(finders)
}

fn neighbourhood(own: PeerId) -> io::Result<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), own)
}

impl Task {
    /// Rounds of rendezvous whose time has come. They wait while there is nobody to ask.
    pub(super) fn discover(&mut self, now: Instant) {
        if self.swarm.behaviour_mut().tables().all(|(_, table)| table.is_empty()) {
            return;
        }
        if self.swarm.behaviour_mut().tables().fold(false, |moved, (_, table)| table.has_moved() || moved) {
            self.rendezvous.moved(now);
        }
        for (work, key) in self.rendezvous.due(now) {
            let mut begun = false;
            for (scope, table) in self.swarm.behaviour_mut().tables() {
                let query = match work {
                    Work::Advertise(_) => table.advertise(&key),
                    Work::Find(_) => table.find(&key),
                };
                if let Some(query) = query {
                    self.queries.insert((scope, query), work.clone());
                    begun = true;
                }
            }
            if !begun {
                self.rendezvous.ended(&work, false, now);
            } else if matches!(work, Work::Find(_)) {
                self.shared.counters.find_rounds.add(1);
            }
        }
    }

    /// When to look at the rounds again.
    pub(super) fn next_discovery(&mut self) -> Option<Instant> {
        let somebody = self.swarm.behaviour_mut().tables().any(|(_, table)| !table.is_empty());
        self.rendezvous.next().filter(|_| somebody)
    }

    /// Databases came or went.
    pub(super) fn sync_rendezvous(&mut self) {
        let names: Vec<_> = self.shared.topics.databases().into_iter().map(|(_, name)| name).collect();
        let now = Instant::now();
        for key in self.rendezvous.sync(&names, now) {
            for (_, table) in self.swarm.behaviour_mut().tables() {
                table.stop_advertising(&key);
            }
        }
        self.hurry(now);
    }

    pub(super) fn on_table(&mut self, scope: Scope, event: TableEvent) {
        let now = Instant::now();
        match event {
            TableEvent::Wants { peer, addresses } => {
                let heard =
                    if self.wants(&peer, now) { self.candidate(peer, addresses, now) } else { Heard::Pointless };
                if heard == Heard::Pointless
                    && let Some(table) = self.swarm.behaviour_mut().table(scope)
                {
                    table.give_up(peer);
                }
            }
            TableEvent::Found { query, providers } => {
                let Some(work) = self.queries.get(&(scope, query)).cloned() else { return };
                for (peer, addresses) in providers {
                    let verdict = self.gate.check_now(&peer);
                    if matches!(verdict, Verdict::Refuse(_)) || !self.wants(&peer, now) {
                        continue;
                    }
                    // What is known already costs the round nothing.
                    let news = !self.dialer.knows(&peer) && !addresses.is_empty();
                    if !news || self.rendezvous.takes(&work, matches!(verdict, Verdict::Admit(_))) {
                        self.candidate(peer, addresses, now);
                    }
                }
            }
            TableEvent::Ended { query, reached } => {
                let Some(work) = self.queries.remove(&(scope, query)) else { return };
                if reached && matches!(work, Work::Advertise(_)) {
                    self.shared.counters.advertised.add(1);
                }
                // The other table may still be at it.
                if !self.queries.values().any(|other| *other == work) {
                    let well = match &work {
                        Work::Advertise(_) => reached,
                        Work::Find(name) => self.is_ready(name),
                    };
                    self.rendezvous.ended(&work, well, now);
                }
                self.hurry(now);
            }
            TableEvent::Entered => self.hurry(now),
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        match event {
            mdns::Event::Discovered(found) => {
                let now = Instant::now();
                for (peer, address) in found {
                    if self.reach.admits(&address) {
                        self.neighbours.found(peer, &address);
                        if self.wants(&peer, now) {
                            self.candidate(peer, vec![address], now);
                        }
                    }
                }
            }
            mdns::Event::Expired(gone) => gone.iter().for_each(|(peer, address)| self.neighbours.gone(peer, address)),
        }
        let mdns = &mut self.swarm.behaviour_mut().mdns;
        if mdns.as_ref().is_some_and(|mdns| mdns.discovered_nodes().len() > MAX_HEARD) {
            tracing::warn!(
                seconds = MDNS_PAUSE.as_secs(),
                "somebody on the local network makes up neighbours without end: mDNS is off for a while"
            );
            *mdns = Toggle::from(None);
            self.neighbours = Neighbours::default();
            self.mdns_again_at = Some(Instant::now() + MDNS_PAUSE);
        }
    }

    /// Turns mDNS on again.
    pub(super) fn listen_to_neighbours(&mut self, now: Instant) {
        if self.mdns_again_at.is_none_or(|at| at > now) {
            return;
        }
        self.mdns_again_at = match neighbourhood(*self.swarm.local_peer_id()) {
            Ok(mut mdns) => {
                // What it tells others of this node, which the swarm says once.
                for addr in self.swarm.listeners() {
                    let listener_id = ListenerId::next();
                    mdns.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
                }
                self.swarm.behaviour_mut().mdns = Toggle::from(Some(mdns));
                None
            }
            Err(error) => {
                tracing::warn!(%error, "mDNS cannot be turned on again");
                Some(now + MDNS_PAUSE)
            }
        };
    }

    /// Looks at the neighbours again who are not connected, and whom the dialler has given up or was never told of: they
    /// may be on the list by now, or there may be room.
    pub(super) fn offer_neighbours(&mut self, now: Instant) {
        for (peer, addresses) in self.neighbours.due(now) {
            if self.peers.connections(&peer) == 0 && !self.dialer.knows(&peer) && self.wants(&peer, now) {
                self.candidate(peer, addresses, now);
            }
        }
    }

    /// A peer has said who it is, and where.
    pub(super) fn meet(&mut self, peer: &PeerId, id: ConnectionId, serves: &[StreamProtocol], told: &[Multiaddr]) {
        let Some(remote) = self.peers.remote(peer, id) else { return };
        for (_, table) in self.swarm.behaviour_mut().tables() {
            table.meet(peer, remote, serves, told);
        }
    }

    pub(super) fn leave_tables(&mut self, peer: &PeerId) {
        for (_, table) in self.swarm.behaviour_mut().tables() {
            table.leave(peer);
        }
    }

    /// It is no longer listed.
    pub(super) fn forget_in_tables(&mut self, peer: &PeerId) {
        for (_, table) in self.swarm.behaviour_mut().tables() {
            table.forget(peer);
        }
        self.show_tables();
    }

    pub(super) fn show_tables(&mut self) {
        let tables = self.swarm.behaviour_mut().tables();
        let sizes = tables.map(|(scope, table)| (scope.as_str(), table.len(), table.records())).collect();
        self.shared.views().tables = sizes;
    }

    /// There is room for another peer, or this one is none, or a database that has no peer lists it: however many peers
    /// the others have, that one needs some.
    fn wants(&self, peer: &PeerId, now: Instant) -> bool {
        self.peers.len() < self.trimming.wanted(&self.config.connections, now)
            || self.dialer.knows(peer)
            || self.is_missed(peer)
    }

    /// A database that has no peer lists it.
    pub(super) fn is_missed(&self, peer: &PeerId) -> bool {
        let Ok(wallet) = Wallet::from_peer_id(peer) else { return false };
        let databases = self.shared.topics.databases();
        let views = self.shared.views();
        databases.iter().any(|(id, _)| !views.ready_databases.contains(id) && self.gate.listed_in(*id, &wallet))
    }

    /// Somebody to dial, if the gate has no objection.
    fn candidate(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) -> Heard {
        if self.is_refused(&peer) {
            return Heard::Pointless;
        }
        let heard = self.dialer.heard_of(peer, addresses, now);
        if heard == Heard::New {
            self.shared.counters.discovered.add(1);
        }
        if heard != Heard::Pointless {
            self.hurry(now);
        }
        heard
    }

    /// The gate has decided about it already. One that it does not know is asked about before the dial.
    fn is_refused(&self, peer: &PeerId) -> bool {
        matches!(self.gate.check_now(peer), Verdict::Refuse(_))
    }

    fn is_ready(&self, database: &str) -> bool {
        let databases = self.shared.topics.databases();
        let views = self.shared.views();
        databases.iter().any(|(id, name)| name == database && views.ready_databases.contains(id))
    }
}

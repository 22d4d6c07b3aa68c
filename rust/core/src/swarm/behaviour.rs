//! What a connection carries, in the order that security asks for: the guard first (see `swarm/guard.rs`).

use std::time::Duration;

use libp2p::{
    mdns, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::{
    addresses::Scope,
    discovery::kad::Table,
    nat::{autonat::AutoNat, holepunch::HolePunch, relay_server::RelayServer},
    swarm::{after_identify::AfterIdentify, gossip::Gossip, guard::Guard, identify::Identify},
};

/// docs/wire.md section 7. The library's own failure report comes later than our limit, so `swarm/peers.rs`
/// closes connections by the time of the last success.
const PING_INTERVAL: Duration = Duration::from_secs(2);
pub(crate) const PING_LIMIT: Duration = Duration::from_secs(8);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub guard: Guard,
    pub relay_client: Toggle<relay::client::Behaviour>,
    pub relay_server: Toggle<RelayServer>,
    pub hole_punch: Toggle<HolePunch>,
    pub identify: Identify,
    pub ping: ping::Behaviour,
    pub wan: Toggle<Table>,
    pub lan: Toggle<Table>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
    pub autonat: Toggle<AutoNat>,
    pub gossip: AfterIdentify<Gossip>,
}

/// Ways through a NAT, each if it is on.
#[derive(Default)]
pub(crate) struct Passages {
    pub relay_client: Option<relay::client::Behaviour>,
    pub relay_server: Option<RelayServer>,
    pub hole_punch: Option<HolePunch>,
    pub autonat: Option<AutoNat>,
}

/// What looks for others, each if it is on.
#[derive(Default)]
pub(crate) struct Finders {
    pub wan: Option<Table>,
    pub lan: Option<Table>,
    pub mdns: Option<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(crate) fn new(
        guard: Guard,
        identify: Identify,
        passages: Passages,
        finders: Finders,
        gossip: Box<Gossip>,
    ) -> Self {
        Self {
            guard,
            relay_client: passages.relay_client.into(),
            relay_server: passages.relay_server.into(),
            hole_punch: passages.hole_punch.into(),
            identify,
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_LIMIT)),
            wan: finders.wan.into(),
            lan: finders.lan.into(),
            mdns: finders.mdns.into(),
            autonat: passages.autonat.into(),
            gossip: AfterIdentify::new(gossip),
        }
    }

    pub(crate) fn table(&mut self, scope: Scope) -> Option<&mut Table> {
        match scope {
            Scope::Wan => self.wan.as_mut(),
            Scope::Lan => self.lan.as_mut(),
        }
    }

    /// None of them where discovery by tables is off.
    pub(crate) fn tables(&mut self) -> impl Iterator<Item = (Scope, &mut Table)> {
        let wan = self.wan.as_mut().map(|table| (Scope::Wan, table));
        wan.into_iter().chain(self.lan.as_mut().map(|table| (Scope::Lan, table)))
    }
}

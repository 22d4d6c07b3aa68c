//! The metrics that libp2p itself keeps: of connections, identities and round trips.
//!
//! Those of gossip and of the tables stay off. They look up labels in locked tables for each message, in the task that
//! signs and forwards; `metrics.rs` counts what operators ask of them.

use libp2p::{
    Multiaddr, identify,
    metrics::{Metrics, Recorder as _, Registry},
    swarm::SwarmEvent,
};
use prometheus_client::encoding::text::encode;

use crate::{addresses::is_plain, shared::Shared, swarm::behaviour::BehaviourEvent};

/// Of the same prefix as the others, followed by `libp2p_`.
const PREFIX: &str = "depinmesh";
/// What is registered with the others, is never counted, and would be 0 for ever.
const NOT_COUNTED: [&str; 2] = ["depinmesh_libp2p_gossipsub_", "depinmesh_libp2p_kad_"];

pub(super) struct Library(Metrics);

impl Library {
    /// The registry is left where [`text`] finds it.
    pub(super) fn new(shared: &Shared) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let metrics = Metrics::new(&mut registry);
        // A node is started once.
        _ = shared.library.set(registry);
        Self(metrics)
    }

    pub(super) fn record(&self, event: &SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { connection_id, peer_id, info })) => {
                // The protocols of an address become a label: of what a peer says, only the forms that are in use.
                let mut info = info.clone();
                info.listen_addrs.retain(is_plain);
                if !is_plain(&info.observed_addr) {
                    info.observed_addr = Multiaddr::empty();
                }
                let (connection_id, peer_id) = (*connection_id, *peer_id);
                self.0.record(&identify::Event::Received { connection_id, peer_id, info });
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.0.record(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.0.record(event),
            SwarmEvent::Behaviour(_)
            // Peers make these addresses up, and a label is kept for ever.
            | SwarmEvent::NewExternalAddrCandidate { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => {}
            event => self.0.record(event),
        }
    }
}

/// In the text format of `OpenMetrics`; empty before the start.
pub(crate) fn text(shared: &Shared) -> String {
    let mut text = String::new();
    if let Some(registry) = shared.library.get() {
        // Writing into memory does not fail.
        _ = encode(&mut text, registry);
    }
    let counted = |line: &&str| !NOT_COUNTED.iter().any(|family| line.contains(family));
    text.split_inclusive('\n').filter(counted).collect()
}

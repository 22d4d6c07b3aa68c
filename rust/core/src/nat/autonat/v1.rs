//! How the library's behaviour for `AutoNAT` v1 is set, and what its events mean.

use std::time::Duration;

pub(super) use libp2p::autonat::v1::{Behaviour, DEFAULT_PROTOCOL_NAME};
use libp2p::{
    Multiaddr, PeerId,
    autonat::v1::{
        Config, Event, InboundProbeError, InboundProbeEvent, OutboundProbeError, OutboundProbeEvent, ResponseError,
    },
};
use tokio::time::Instant;

use crate::{
    addresses::without_peer,
    nat::{
        autonat::{AGAIN_AFTER, AutoNat, AutoNatEvent, FIRST_AFTER, REFRESH_EVERY, SAME_SERVER_AFTER},
        reachability::Reachability,
    },
};

/// Answers of the other kind that the library asks for before it rests.
const CONFIDENCE: usize = 1;
/// Dials for others in a minute: for all, and for one.
const PERIOD: Duration = Duration::from_secs(60);
const MAX_DIALS: usize = 60;
const MAX_DIALS_OF_PEER: usize = 6;
/// Addresses that are tried for one question.
const MAX_ADDRESSES: usize = 8;

pub(super) fn behaviour(own: PeerId) -> Behaviour {
    let config = Config {
        boot_delay: FIRST_AFTER,
        retry_interval: AGAIN_AFTER,
        refresh_interval: REFRESH_EVERY,
        throttle_server_period: SAME_SERVER_AFTER,
        confidence_max: CONFIDENCE,
        // Those that are told of are servers.
        use_connected: false,
        max_peer_addresses: MAX_ADDRESSES,
        throttle_clients_global_max: MAX_DIALS,
        throttle_clients_peer_max: MAX_DIALS_OF_PEER,
        throttle_clients_period: PERIOD,
        only_global_ips: true,
        ..Config::default()
    };
    Behaviour::new(own, config)
}

impl AutoNat {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::InboundProbe(InboundProbeEvent::Request { peer, addresses, .. }) => {
                self.serving.asked(peer, addresses);
            }
            Event::InboundProbe(InboundProbeEvent::Response { .. }) => self.tell(AutoNatEvent::Served("reached")),
            Event::InboundProbe(InboundProbeEvent::Error { error, .. }) => {
                self.tell(AutoNatEvent::Served(match error {
                    InboundProbeError::Response(ResponseError::DialError) => "not-reached",
                    _ => "refused",
                }));
            }
            Event::OutboundProbe(OutboundProbeEvent::Request { peer, .. }) => {
                self.rounds.asks(peer, Instant::now());
                self.tell(AutoNatEvent::Asking);
            }
            Event::OutboundProbe(OutboundProbeEvent::Response { peer, address, .. }) => self.on_claim(&peer, &address),
            Event::OutboundProbe(OutboundProbeEvent::Error { peer, error, .. }) => match error {
                // There is nobody to ask, or nothing to ask for.
                OutboundProbeError::NoServer | OutboundProbeError::NoAddresses => {}
                OutboundProbeError::Response(ResponseError::DialError)
                    if peer.is_none_or(|peer| !self.rounds.was_asked_too_soon(&peer)) =>
                {
                    self.tell(AutoNatEvent::Asked("not-reached"));
                    self.hear(Reachability::Private);
                }
                OutboundProbeError::Response(_) | OutboundProbeError::OutboundRequest(_) => {
                    self.tell(AutoNatEvent::Asked("failed"));
                }
            },
            // The library's opinion knows only its own answers.
            Event::StatusChanged { .. } => {}
        }
    }

    /// A server says where it has reached us. It can name any address: one that is none of ours is no answer.
    pub(super) fn on_claim(&mut self, peer: &PeerId, address: &Multiaddr) {
        let address = without_peer(address);
        if self.rounds.was_asked_too_soon(peer) || !self.addresses.is_ours(&address) {
            tracing::debug!(peer_id = %peer, %address, "an answer that says nothing: most see this node elsewhere");
            self.tell(AutoNatEvent::Asked("failed"));
            // It believes everybody: a server that lies would have it ask nobody else for minutes.
            return self.wake();
        }
        self.tell(AutoNatEvent::Asked("reached"));
        self.on_reached(&address);
        self.hear(Reachability::Public);
    }
}

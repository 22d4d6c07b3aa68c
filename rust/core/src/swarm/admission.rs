//! What the gate reports, and what it means for connections, meshes and dials.

use std::time::Instant;

use libp2p::PeerId;

use crate::{
    error::{Error, ErrorKind},
    events::{Direction, DisconnectReason, NodeEvent},
    gate::{DatabaseId, GateEvent, Refusal, Revocation},
    identity::Wallet,
    swarm::task::Task,
};

impl Task {
    pub(super) fn on_gate(&mut self, event: GateEvent) {
        match event {
            // Whoever tries whether we can be reached has a key that belongs to nobody.
            GateEvent::Refused { direction: Direction::Inbound, reason: Refusal::NotListed, .. }
                if self.outer.expects_dial_back(Instant::now()) => {}
            GateEvent::Refused { peer, wallet, direction, reason } => {
                self.emit(NodeEvent::PeerRefused {
                    peer: Some(peer),
                    wallet,
                    direction,
                    reason: reason.as_str(),
                    count: 1,
                });
            }
            GateEvent::Revoked(wallets) => {
                self.revocations += 1;
                self.on_revoked(&wallets);
            }
            // Names the whole list when it is the first: who waits to be on it is looked for instead.
            GateEvent::Readmitted(wallets) => {
                wallets.iter().for_each(|wallet| self.receiver.readmit(wallet));
                // However old the list is: whoever is on it is let in as soon as it is fresh, of which no event tells.
                let databases = self.shared.topics.databases();
                let listed = |peer: &PeerId| {
                    Wallet::from_peer_id(peer)
                        .is_ok_and(|wallet| databases.iter().any(|(id, _)| self.gate.listed_in(*id, &wallet)))
                };
                let now = Instant::now();
                self.dialer.admit(listed, now);
                self.neighbours.hurry(now);
                self.offer_neighbours(now);
                self.update_views();
            }
            GateEvent::Changed { database, added, removed, total } => {
                let database = self.name(database);
                tracing::info!(database, added, removed, total, "the list of wallets has changed");
                self.emit(NodeEvent::WalletsChanged { database, added, removed, total });
                self.update_views();
            }
            GateEvent::Failed { database, error, failures, retry_in } => {
                let database = self.name(database);
                tracing::warn!(
                    database,
                    error,
                    failures,
                    retry_in_s = retry_in.as_secs_f64(),
                    "the registry could not be read"
                );
                self.emit(NodeEvent::RegistryFailed { database, error, failures, retry_in });
            }
            // A node that admits and revokes nobody is none, and its supervisor can start another one.
            GateEvent::Died => {
                self.failure = Some(Error::new(ErrorKind::Core, "the core failed: the gate has panicked"));
            }
            GateEvent::Stale { database, age } => {
                let database = self.name(database);
                tracing::error!(
                    database,
                    age_s = age.as_secs(),
                    "the list of wallets is too old: nobody new is admitted"
                );
                self.emit(NodeEvent::RegistryStale { database, age });
            }
            GateEvent::NotListed { database } => {
                let database = self.name(database);
                tracing::warn!(
                    database,
                    wallet = Wallet::from_peer_id(self.swarm.local_peer_id()).ok().map(tracing::field::display),
                    "this node's own wallet is not on the list: other nodes refuse it; register the wallet, or use the key of one that is",
                );
            }
        }
    }

    /// A list is in force that lacks a wallet, and the event that tells of it has not come yet: nothing may leave before,
    /// as who publishes may know the list.
    pub(super) fn awaits_revocation(&self) -> bool {
        self.gate.revocations() != self.revocations
    }

    /// For people; empty when the database has just been closed.
    fn name(&self, database: DatabaseId) -> String {
        self.shared.topics.name(database).unwrap_or_default()
    }

    fn on_revoked(&mut self, wallets: &[Wallet]) {
        let close = matches!(self.config.gate.revocation, Revocation::Close);
        for wallet in wallets {
            let peer = wallet.peer_id();
            self.dialer.bar(&peer);
            self.receiver.forget(wallet);
            self.forget_in_tables(&peer);
            if close {
                self.peers.closing(&peer, DisconnectReason::Revoked);
                // Its connections take a moment to close, and a queue towards it may be long. What others pass on of its
                // events is judged, and counted, as that of any author who is not listed.
                self.swarm.behaviour_mut().gossip.leave(peer);
                // `Err` says that it was not connected.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            self.emit(NodeEvent::WalletRevoked { wallet: *wallet });
        }
        self.update_views();
    }
}

//! Rounds of the bootstrap: where the list comes from, and who on it is dialled.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use futures::FutureExt;
use libp2p::PeerId;

use crate::{
    bridge::requests::Answer,
    events::Question,
    gate::{Refusal, Verdict},
    shared::BootstrapSource,
    swarm::{dial_errors::not_authorized, task::Task},
};

impl Task {
    pub(super) fn ask_bootstrap(&mut self) {
        self.shared.views().bootstrap = self.bootstrap.tally();
        match self.shared.bootstrap_source() {
            BootstrapSource::List(nodes) => self.on_bootstrap_answer(Ok(Answer::Bootstrap(nodes))),
            BootstrapSource::Asked => {
                let ask =
                    Arc::clone(&self.shared.requests).ask(Question::Bootstrap, self.config.bootstrap.connect_timeout);
                self.asked.push(ask.boxed());
            }
        }
    }

    pub(super) fn on_bootstrap_answer(&mut self, answer: Result<Answer, String>) {
        let now = Instant::now();
        let mut nodes = match answer {
            Ok(Answer::Bootstrap(nodes)) => nodes,
            Ok(Answer::Wallets(_) | Answer::Failed(_)) => Vec::new(),
            Err(error) => {
                tracing::warn!(error, "the bootstrap function failed; trying again");
                // Whom it named before goes on being dialled.
                self.bootstrap.answered(false, now);
                return self.hurry(now);
            }
        };
        // Said once, not in each round: and not of whom a list is too old to tell, of which the gate speaks.
        let own = *self.swarm.local_peer_id();
        let unlisted = |peer: &PeerId| matches!(self.gate.check_now(peer), Verdict::Refuse(Refusal::NotListed));
        let named: HashSet<PeerId> = nodes.iter().map(|(peer, _)| *peer).filter(|peer| *peer != own).collect();
        let admitted = |peer: &PeerId| matches!(self.gate.check_now(peer), Verdict::Admit(_));
        self.unlisted.retain(|peer| named.contains(peer) && !admitted(peer));
        for peer in named.into_iter().filter(unlisted).collect::<Vec<_>>() {
            self.warn_unlisted(peer);
        }
        if self.bootstrap.is_ready() {
            let mut room = self.trimming.wanted(&self.config.connections, now).saturating_sub(self.peers.len());
            // In any order, or the dead ones that come first would keep the others from being tried.
            let order = RandomState::new();
            nodes.sort_by_cached_key(|(peer, _)| order.hash_one(peer));
            nodes.retain(|(peer, _)| {
                // Who is refused is not dialled, and the status says why.
                let refused = matches!(self.gate.check_now(peer), Verdict::Refuse(_));
                if refused || *peer == own || self.peers.connections(peer) > 0 {
                    return true;
                }
                let fits = room > 0 || self.is_missed(peer);
                room = room.saturating_sub(1);
                fits
            });
        }
        match nodes.len() {
            0 if self.bootstrap.first_round_over() => tracing::debug!("there still are no bootstrap nodes"),
            0 => tracing::info!("there are no bootstrap nodes; asking for them again from time to time"),
            count if self.bootstrap.is_ready() => tracing::debug!(count, "looked at the bootstrap nodes again"),
            count => tracing::info!(count, "found bootstrap nodes"),
        }
        let dialling = self.dialer.bootstrap(&nodes, now);
        self.bootstrap.answered(dialling, now);
        self.hurry(now);
    }

    /// The gate lets nobody dial this peer; of one that an operator named it is said why.
    pub(super) fn not_dialled(&mut self, peer: PeerId, reason: Refusal) {
        let error = not_authorized(peer, reason).to_string();
        if self.dialer.is_bootstrap(&peer) {
            if reason == Refusal::NotListed {
                self.warn_unlisted(peer);
            }
            self.unreachable.get_or_insert_with(|| error.clone());
        }
        self.dialer.blame(&peer, error);
    }

    fn warn_unlisted(&mut self, peer: PeerId) {
        if self.unlisted.insert(peer) {
            tracing::warn!(peer_id = %peer, "a bootstrap node is not on the list of wallets: it will not be dialled until it is");
        }
    }
}

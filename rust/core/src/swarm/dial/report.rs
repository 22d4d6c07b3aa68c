//! How the dials of bootstrap nodes go, for people.

use std::time::{Instant, SystemTime};

use libp2p::PeerId;

use crate::{
    identity::Wallet,
    peer::BootstrapInfo,
    swarm::dial::{Dialer, target::State},
};

/// Of longer lists those come first that are not connected.
const MAX_REPORTED: usize = 1_024;

impl Dialer {
    /// Why a peer that an operator named is not connected.
    pub(crate) fn blame(&mut self, peer: &PeerId, why: impl Into<String>) {
        if let Some(target) = self.targets.get_mut(peer).filter(|target| target.is_named()) {
            target.error = Some(why.into());
            self.changed = true;
        }
    }

    /// The bootstrap nodes, when something has changed since the last time.
    pub(crate) fn report(&mut self, now: Instant) -> Option<Vec<BootstrapInfo>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let clock = SystemTime::now();
        let mut nodes: Vec<_> = self.targets.iter().filter(|(_, target)| target.bootstrap).collect();
        nodes.sort_unstable_by_key(|(peer, target)| (target.state == State::Connected, **peer));
        let info = |(peer, target): &(&PeerId, &super::Target)| {
            Some(BootstrapInfo {
                peer: **peer,
                wallet: Wallet::from_peer_id(peer).ok()?,
                addresses: target.named().iter().map(ToString::to_string).collect(),
                connected: target.state == State::Connected,
                dialled_at: target.dialled_at.and_then(|at| clock.checked_sub(now.saturating_duration_since(at))),
                error: target.error.clone(),
            })
        };
        Some(nodes.iter().take(MAX_REPORTED).filter_map(info).collect())
    }
}

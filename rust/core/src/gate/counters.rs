//! What the gate counts, and its refusals in the log: under a flood one line a second with a number.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use libp2p::PeerId;

use super::Refusal;
use crate::{
    events::Direction,
    histogram::{Histogram, Reading},
    limited::Limited,
};

/// A reading of the gate's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateCounters {
    /// Calls of a registry.
    pub registry_calls: u64,
    /// Calls of a registry that gave no list.
    pub registry_failures: u64,
    /// How long these calls took.
    pub registry_call: Reading,
    /// Entries of lists that were no wallets, each counted once while it stays on the list.
    pub entries_dropped: u64,
    /// Checks that ended well.
    pub admitted: u64,
    /// Checks that ended in a refusal, for each reason.
    pub refused: [(Refusal, u64); Refusal::ALL.len()],
    /// Refusals whose event found the channel full.
    pub unreported: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) registry_calls: AtomicU64,
    pub(super) registry_failures: AtomicU64,
    pub(super) registry_call: Histogram,
    pub(super) entries_dropped: AtomicU64,
    pub(super) admitted: AtomicU64,
    pub(super) unreported: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    log: Mutex<Limited>,
}

impl Counters {
    pub(super) fn read(&self) -> GateCounters {
        GateCounters {
            registry_calls: self.registry_calls.load(Relaxed),
            registry_failures: self.registry_failures.load(Relaxed),
            registry_call: self.registry_call.read(),
            entries_dropped: self.entries_dropped.load(Relaxed),
            admitted: self.admitted.load(Relaxed),
            refused: Refusal::ALL.map(|reason| (reason, self.refused[reason as usize].load(Relaxed))),
            unreported: self.unreported.load(Relaxed),
        }
    }

    pub(super) fn refused(&self, peer: &PeerId, direction: Direction, reason: Refusal, now: Instant) {
        self.refused[reason as usize].fetch_add(1, Relaxed);
        let passed = self.log.lock().unwrap_or_else(PoisonError::into_inner).pass(now);
        if let Some(held) = passed {
            let (direction, count) = (direction.as_str(), held + 1);
            tracing::info!(peer_id = %peer, direction, reason = reason.as_str(), count, "refused a peer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        for (index, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(index, reason as usize);
        }
    }
}

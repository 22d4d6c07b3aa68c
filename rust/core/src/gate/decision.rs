//! Who may enter: one synchronous function of the snapshot, the key and the time.

use std::{fmt, time::Instant};

use libp2p::PeerId;

use super::{DatabaseId, wallets::Snapshot};
use crate::identity::Wallet;

/// Why a peer stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// An answer that is newer than the question does not name the wallet.
    NotListed,
    /// The peer id is not an Ed25519 identity, so it is nobody's wallet.
    NotEd25519,
    /// The key is not on the curve, not canonical, or of small order: anybody could speak for it.
    WeakKey,
    /// No database is attached, or none has a list in force yet.
    NoList,
    /// The last good list is older than `max_stale`.
    Stale,
    /// The read that was to decide failed.
    RegistryFailed,
    /// No read ended within the time limit.
    TimedOut,
    /// The gate has been shut down.
    Closed,
}

impl Refusal {
    pub const ALL: [Self; 8] = [
        Self::NotListed,
        Self::NotEd25519,
        Self::WeakKey,
        Self::NoList,
        Self::Stale,
        Self::RegistryFailed,
        Self::TimedOut,
        Self::Closed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotListed => "not-listed",
            Self::NotEd25519 => "not-ed25519",
            Self::WeakKey => "weak-key",
            Self::NoList => "no-list",
            Self::Stale => "stale",
            Self::RegistryFailed => "registry-failed",
            Self::TimedOut => "timed-out",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about a peer at this moment. Only `Admit` lets anybody in.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admit(Wallet),
    Refuse(Refusal),
    /// Only a registry can tell.
    Unknown,
}

/// The refusal of one peer, as an error: the gate in the transport fails with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer {peer} is not admitted: {reason}")]
pub struct Denied {
    pub peer: PeerId,
    pub wallet: Option<Wallet>,
    pub reason: Refusal,
}

/// A claim to one read of a database: its number, counted from the attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) database: DatabaseId,
    pub(super) read: u64,
}

/// Judges `key` by the lists in force.
///
/// A list that has grown stale neither admits nor is worth asking for: its registry fails, and is retried anyway.
pub(super) fn decide(snapshot: &Snapshot, key: &[u8; 32], now: Instant) -> Verdict {
    if snapshot.closed {
        return Verdict::Refuse(Refusal::Closed);
    }
    let (mut open, mut stale) = (false, false);
    for listing in snapshot.listings.values() {
        if listing.is_stale(now) {
            stale = true;
        } else if let Some(wallet) = listing.get(key) {
            return Verdict::Admit(wallet);
        } else {
            open |= listing.asked || listing.wallets.is_none();
        }
    }
    match (open, stale) {
        (true, _) => Verdict::Unknown,
        (false, true) => Verdict::Refuse(Refusal::Stale),
        (false, false) if snapshot.listings.is_empty() => Verdict::Refuse(Refusal::NoList),
        (false, false) => Verdict::Refuse(Refusal::NotListed),
    }
}

/// Judges `key` for somebody who holds `tickets`; `None` while a read that could still admit it is awaited.
#[must_use]
pub(super) fn settle(snapshot: &Snapshot, key: &[u8; 32], tickets: &[Ticket], now: Instant) -> Option<Verdict> {
    match decide(snapshot, key, now) {
        Verdict::Unknown => {}
        known => return Some(known),
    }
    let failed = match outcome(snapshot, tickets) {
        Outcome::Waiting => return None,
        Outcome::Failed(_) => true,
        Outcome::Answered => false,
    };
    let listless = snapshot.listings.values().any(|listing| listing.wallets.is_none());
    Some(Verdict::Refuse(match (failed, listless) {
        (true, _) => Refusal::RegistryFailed,
        // The first answer is held back until a second one confirms it, or a database has joined meanwhile.
        (false, true) => Refusal::NoList,
        (false, false) => Refusal::NotListed,
    }))
}

/// What became of the reads that `tickets` claim.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Waiting,
    Answered,
    /// All have ended, and this database's failed.
    Failed(DatabaseId),
}

pub(super) fn outcome(snapshot: &Snapshot, tickets: &[Ticket]) -> Outcome {
    let mut outcome = Outcome::Answered;
    for ticket in tickets {
        match snapshot.listings.get(&ticket.database) {
            // Detached since: nothing more to wait for.
            None => {}
            Some(listing) if listing.answered >= ticket.read => {}
            Some(listing) if listing.ended >= ticket.read => outcome = Outcome::Failed(ticket.database),
            Some(_) => return Outcome::Waiting,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::gate::{testing::wallet, wallets::Listing};

    fn asked(wallets: &[u64], fresh_until: Option<Instant>) -> Listing {
        Listing {
            wallets: Some(Arc::new(wallets.iter().map(|&n| wallet(n)).collect())),
            fresh_until,
            ended: 3,
            answered: 3,
            ..Listing::pending(true)
        }
    }

    fn fixed(wallets: &[u64]) -> Listing {
        Listing { asked: false, ..asked(wallets, None) }
    }

    fn snapshot(listings: impl IntoIterator<Item = Listing>) -> Snapshot {
        Snapshot { listings: (0..).zip(listings).collect(), closed: false }
    }

    #[test]
    fn the_lists_in_force_decide() {
        let now = Instant::now();
        let later = Some(now + Duration::from_secs(1));
        let (admit, unknown) = (Verdict::Admit(wallet(1)), Verdict::Unknown);
        let refuse = Verdict::Refuse;
        for (name, listings, expected) in [
            ("nothing attached", vec![], refuse(Refusal::NoList)),
            ("no answer yet", vec![Listing::pending(true)], unknown),
            ("a list not yet installed", vec![Listing::pending(false)], unknown),
            ("listed", vec![asked(&[1, 2], later)], admit),
            ("listed by code", vec![fixed(&[1])], admit),
            ("a miss", vec![asked(&[2], later)], unknown),
            ("a miss of a fixed list", vec![fixed(&[2])], refuse(Refusal::NotListed)),
            ("the second list has it", vec![fixed(&[2]), asked(&[1], later)], admit),
            ("only a stale list has it", vec![asked(&[1], Some(now))], refuse(Refusal::Stale)),
            ("stale and fixed", vec![asked(&[1], Some(now)), fixed(&[2])], refuse(Refusal::Stale)),
            ("stale here, listed there", vec![asked(&[1], Some(now)), fixed(&[1])], admit),
            ("stale here, a miss there", vec![asked(&[1], Some(now)), asked(&[2], later)], unknown),
        ] {
            assert_eq!(decide(&snapshot(listings), wallet(1).as_bytes(), now), expected, "{name}");
        }
    }

    #[test]
    fn a_closed_gate_refuses_everybody() {
        let closed = Snapshot { closed: true, ..snapshot([fixed(&[1])]) };
        assert_eq!(decide(&closed, wallet(1).as_bytes(), Instant::now()), Verdict::Refuse(Refusal::Closed));
    }

    #[test]
    fn a_ticket_is_settled_by_its_own_read_or_a_later_one() {
        let now = Instant::now();
        let read = |ended, answered| Listing { ended, answered, ..asked(&[2], None) };
        let refuse = |reason| Some(Verdict::Refuse(reason));
        for (name, listing, expected) in [
            ("an older answer does not count", read(6, 6), None),
            ("its own", read(7, 7), refuse(Refusal::NotListed)),
            ("its own failed", read(7, 6), refuse(Refusal::RegistryFailed)),
            ("a later one was good", read(8, 8), refuse(Refusal::NotListed)),
            ("a good one, then a failure", read(8, 7), refuse(Refusal::NotListed)),
            ("held back", Listing { wallets: None, ..read(7, 7) }, refuse(Refusal::NoList)),
            (
                "listed by an older answer",
                Listing { ended: 6, answered: 6, ..asked(&[1], None) },
                Some(Verdict::Admit(wallet(1))),
            ),
        ] {
            let tickets = [Ticket { database: 0, read: 7 }];
            assert_eq!(settle(&snapshot([listing]), wallet(1).as_bytes(), &tickets, now), expected, "{name}");
        }
    }

    #[test]
    fn every_database_is_awaited() {
        let now = Instant::now();
        let tickets = [Ticket { database: 0, read: 3 }, Ticket { database: 1, read: 4 }];
        let mut both = snapshot([asked(&[2], None), asked(&[2], None)]);
        assert_eq!(settle(&both, wallet(1).as_bytes(), &tickets, now), None);
        both.listings.remove(&1);
        assert_eq!(settle(&both, wallet(1).as_bytes(), &tickets, now), Some(Verdict::Refuse(Refusal::NotListed)));
    }

    proptest! {
        #[test]
        fn nobody_outside_the_lists_is_admitted(
            lists in prop::collection::btree_map(
                0u32..4,
                (prop::collection::vec(0u64..40, 0..20), any::<bool>(), 0u64..3),
                0..4,
            ),
            key in 0u64..60, ended in 0u64..5, answered in 0u64..5, ticket in 0u64..5,
        ) {
            let start = Instant::now();
            let now = start + Duration::from_secs(1);
            let listings: BTreeMap<_, _> = lists.iter().map(|(&id, (wallets, asks, fresh))| {
                let until = start + Duration::from_secs(*fresh);
                (id, Listing { asked: *asks, ended, answered, ..asked(wallets, asks.then_some(until)) })
            }).collect();
            let listed = lists.values().any(|(wallets, asks, fresh)| wallets.contains(&key) && (!asks || *fresh > 1));
            let snapshot = Snapshot { listings, closed: false };
            let tickets: Vec<_> = lists.keys().map(|&database| Ticket { database, read: ticket }).collect();
            let admit = Verdict::Admit(wallet(key));
            prop_assert_eq!(decide(&snapshot, wallet(key).as_bytes(), now) == admit, listed);
            prop_assert_eq!(settle(&snapshot, wallet(key).as_bytes(), &tickets, now) == Some(admit), listed);
        }
    }
}

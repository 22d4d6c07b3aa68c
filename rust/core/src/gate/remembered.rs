//! Refusals that are remembered for a while, so that a stranger who keeps knocking costs no registry call.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::refresh::LONGEST;
use crate::identity::Wallet;

/// Wallets whose refusal still holds. Bounded: when it is full the oldest goes, and would only be asked for again.
#[derive(Debug)]
pub(super) struct Remembered {
    ttl: Duration,
    limit: usize,
    until: HashMap<Wallet, Instant>,
    /// Every entry ever made, the oldest first, which is also the order of expiry.
    order: VecDeque<(Wallet, Instant)>,
}

impl Remembered {
    pub(super) fn new(ttl: Duration, limit: usize) -> Self {
        Self { ttl: ttl.min(LONGEST), limit, until: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn remember(&mut self, wallet: Wallet, now: Instant) {
        self.expire(now);
        if self.order.len() >= self.limit {
            self.drop_oldest();
        }
        let until = now + self.ttl;
        self.until.insert(wallet, until);
        self.order.push_back((wallet, until));
    }

    pub(super) fn holds(&mut self, key: &[u8; 32], now: Instant) -> bool {
        self.expire(now);
        self.until.contains_key(key)
    }

    pub(super) fn forget(&mut self, wallet: &Wallet) {
        self.until.remove(wallet);
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, until)| *until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((wallet, until)) = self.order.pop_front() {
            // A wallet that was refused again since has a later entry, which stays.
            if self.until.get(&wallet) == Some(&until) {
                self.until.remove(&wallet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::testing::wallet;

    const TTL: Duration = Duration::from_secs(10);

    #[test]
    fn a_refusal_ends_with_its_time() {
        let (mut remembered, now) = (Remembered::new(TTL, 8), Instant::now());
        remembered.remember(wallet(1), now);
        assert!(remembered.holds(wallet(1).as_bytes(), now + TTL * 9 / 10));
        assert!(!remembered.holds(wallet(2).as_bytes(), now));
        assert!(!remembered.holds(wallet(1).as_bytes(), now + TTL));
        assert!(remembered.order.is_empty());
    }

    #[test]
    fn a_later_refusal_outlives_the_first() {
        let (mut remembered, now) = (Remembered::new(TTL, 8), Instant::now());
        remembered.remember(wallet(1), now);
        remembered.remember(wallet(1), now + TTL / 2);
        assert!(remembered.holds(wallet(1).as_bytes(), now + TTL));
        assert!(!remembered.holds(wallet(1).as_bytes(), now + TTL * 3 / 2));
    }

    #[test]
    fn a_listed_wallet_is_forgotten() {
        let (mut remembered, now) = (Remembered::new(TTL, 8), Instant::now());
        remembered.remember(wallet(1), now);
        remembered.forget(&wallet(1));
        assert!(!remembered.holds(wallet(1).as_bytes(), now));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut remembered, now) = (Remembered::new(TTL, 8), Instant::now());
        (0..100).for_each(|n| remembered.remember(wallet(n), now));
        assert_eq!((remembered.until.len(), remembered.order.len()), (8, 8));
        assert!(remembered.holds(wallet(99).as_bytes(), now) && !remembered.holds(wallet(1).as_bytes(), now));
    }
}

//! Small random variation of delays, so that a fleet that lost the same node does not return in the same instant.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A seeded generator: the state machines that use it can be replayed.
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn random() -> Self {
        Self::seeded(RandomState::new().hash_one(std::process::id()))
    }

    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// `delay`, longer or shorter by up to a fifth.
    pub(crate) fn around(&mut self, delay: Duration) -> Duration {
        // xorshift64: quality does not matter here, only that two nodes differ.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        #[expect(clippy::cast_precision_loss, reason = "the value is below 1000")]
        let part = (self.0 % 1_000) as f64 / 1_000.0;
        delay.mul_f64(0.8 + 0.4 * part)
    }
}

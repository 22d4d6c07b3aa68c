//! Which events were delivered already, for the case that one author signs one event twice.
//!
//! Copies of one signed message are known by its message id, which GossipSub remembers for seconds, and then by their
//! sequence number. What remains is the author that sends an event again under another number, and the one whose numbers
//! do not read as a clock.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    mem,
    time::{Duration, Instant},
};

use crate::identity::Wallet;

/// Events in both generations together, each as many as a table of 2^19 places takes: 18 MB when somebody floods.
const MAX_EVENTS: usize = 2 * (1 << 19) / 8 * 7;

/// Remembers (author, event id) for at least `ttl` and at most twice that.
///
/// Two generations, of which the older one is thrown away as a whole, so that forgetting costs nothing. Ids are texts
/// that a peer chose, as long as it liked: a keyed hash of 128 bits stands for each, so that no peer can make the table
/// large by long ids, or slow by colliding ones.
pub struct Duplicates {
    ttl: Duration,
    limit: usize,
    keys: [RandomState; 2],
    current: Hashes,
    previous: Hashes,
    current_since: Option<Instant>,
    forgotten: u64,
}

type Hashes = HashSet<u128, BuildHasherDefault<AsItIs>>;

/// Half of a keyed hash is as good a hash as another one of it.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(self.0, |half| u64::from_ne_bytes(*half));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Duplicates {
    pub fn new(ttl: Duration) -> Self {
        Self::with_limit(ttl, MAX_EVENTS)
    }

    fn with_limit(ttl: Duration, limit: usize) -> Self {
        Self {
            ttl,
            limit,
            keys: [RandomState::new(), RandomState::new()],
            current: Hashes::default(),
            previous: Hashes::default(),
            current_since: None,
            forgotten: 0,
        }
    }

    /// Whether this author's event was seen before; it is from now on.
    pub fn seen(&mut self, author: &Wallet, id: &str, now: Instant) -> bool {
        self.expire(now);
        let [high, low] = [0, 1].map(|i| u128::from(self.keys[i].hash_one((author, id))));
        let event = high << 64 | low;
        if self.previous.contains(&event) || self.current.contains(&event) {
            return true;
        }
        if self.current.len() >= self.limit / 2 {
            self.forgotten += self.previous.len() as u64;
            self.rotate(now);
        }
        self.current.insert(event);
        false
    }

    /// Events since the last call that had to be forgotten too early, because there were more than memory may hold.
    pub fn take_forgotten(&mut self) -> u64 {
        mem::take(&mut self.forgotten)
    }

    fn expire(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.current_since.get_or_insert(now));
        if age >= self.ttl {
            self.rotate(now);
        }
        if age >= 2 * self.ttl {
            self.previous = Hashes::default();
        }
    }

    fn rotate(&mut self, now: Instant) {
        self.previous = mem::take(&mut self.current);
        self.current_since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

    const TTL: Duration = Duration::from_secs(120);

    fn author(seed: u8) -> Wallet {
        SecretKey::from_seed(&[seed; 32]).wallet()
    }

    #[test]
    fn an_event_is_seen_once_for_each_author() {
        let mut events = Duplicates::new(TTL);
        let now = Instant::now();
        assert!(!events.seen(&author(1), "a", now));
        assert!(events.seen(&author(1), "a", now));
        assert!(!events.seen(&author(2), "a", now));
        assert!(!events.seen(&author(1), "b", now));
        assert!(!events.seen(&author(1), "", now));
        assert!(events.seen(&author(1), "", now));
    }

    #[test]
    fn an_event_is_remembered_for_the_time_and_not_for_ever() {
        for offset in [0, 1, 60, 119] {
            let mut events = Duplicates::new(TTL);
            let start = Instant::now();
            let first = start + Duration::from_secs(offset);
            events.seen(&author(1), "something earlier", start);
            assert!(!events.seen(&author(1), "a", first));
            assert!(events.seen(&author(1), "a", first + TTL.mul_f64(0.999)));
            assert!(!events.seen(&author(1), "a", first + 2 * TTL));
        }
    }

    #[test]
    fn a_long_silence_forgets_everything() {
        let mut events = Duplicates::new(TTL);
        let start = Instant::now();
        assert!(!events.seen(&author(1), "a", start));
        assert!(!events.seen(&author(1), "a", start + 10 * TTL));
    }

    #[test]
    fn a_repeated_event_does_not_live_longer_for_it() {
        let mut events = Duplicates::new(TTL);
        let start = Instant::now();
        let repeats = (0..600).filter(|&second| !events.seen(&author(1), "a", start + Duration::from_secs(second)));
        assert_eq!(repeats.collect::<Vec<_>>(), [0, 240, 480]);
    }

    #[test]
    fn a_flood_drops_the_oldest_and_counts_them() {
        let mut events = Duplicates::with_limit(TTL, 1_000);
        let now = Instant::now();
        for n in 0..10_000 {
            assert!(!events.seen(&author(1), &n.to_string(), now));
            assert!(events.current.len() + events.previous.len() <= 1_000);
        }
        assert_eq!(events.take_forgotten(), 9_000);
        for n in 9_000..10_000 {
            assert!(events.seen(&author(1), &n.to_string(), now));
        }
        assert!(!events.seen(&author(1), "0", now));
    }
}

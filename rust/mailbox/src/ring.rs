//! The bounded queue of one subscription.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    mailbox::Mailbox,
    park::Park,
    sync::{Mutex, lock},
};

/// What a ring does with an item that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Makes room for it by dropping the items that have waited longest.
    DropOldest,
    /// Drops it.
    DropNewest,
}

/// How much may wait in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most so many items.
    pub items: usize,
    /// At most so many bytes, as stated by who pushes. An item above that alone is dropped under either policy.
    pub bytes: usize,
    /// What gives way when there is no room.
    pub overflow: Overflow,
}

/// The answer of [`Ring::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// How many items the limits have cost just now, the pushed one or older ones. 0 for a closed ring, where nothing
    /// overflows, although its counters call the item dropped.
    pub dropped: usize,
}

/// The answer of [`Ring::take`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// At least one item was appended. There may be more: take again.
    Items,
    /// Nothing is there; the next item, or the close, sends one [`Item::Ready`](crate::Item::Ready) to the mailbox.
    Parked,
    /// The ring is closed.
    Ended,
}

/// The counters of a ring, all of one moment: `delivered + dropped + pending` is exactly how often was pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Taken.
    pub delivered: u64,
    /// Dropped by the limits, by the close, or pushed after it.
    pub dropped: u64,
    /// Waiting.
    pub pending: usize,
    /// The stated bytes of those that wait.
    pub pending_bytes: usize,
}

/// What waits for the one consumer of a subscription. Made by [`ring`].
pub struct Ring<C, T> {
    mailbox: Arc<Mailbox<C>>,
    id: u64,
    limits: Limits,
    park: Park,
    state: Mutex<State<T>>,
}

/// Grows as it has to: most subscriptions never hold more than a few items.
struct State<T> {
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    delivered: u64,
    dropped: u64,
    closed: bool,
}

/// An empty ring that tells of itself in `mailbox` by the number `id`.
pub fn ring<C, T>(mailbox: &Arc<Mailbox<C>>, id: u64, limits: Limits) -> Arc<Ring<C, T>> {
    Arc::new(Ring {
        mailbox: Arc::clone(mailbox),
        id,
        limits,
        park: Park::new(),
        state: Mutex::new(State { queue: VecDeque::new(), bytes: 0, delivered: 0, dropped: 0, closed: false }),
    })
}

impl<C, T> Ring<C, T> {
    /// Puts an item of so many bytes, by the limits; never waits. The consumer is woken by [`Mailbox::flush`], not by this.
    pub fn push(&self, item: T, bytes: usize) -> Pushed {
        // Destroyed after the lock is released. Mostly one item makes room for one, and then nothing is allocated for it.
        let mut displaced = None;
        let mut displaced_more = Vec::new();
        {
            let mut state = lock(&self.state);
            if state.closed {
                state.dropped += 1;
                return Pushed { dropped: 0 };
            }
            let possible = self.limits.items > 0 && bytes <= self.limits.bytes;
            let keep = possible && (self.limits.overflow == Overflow::DropOldest || state.fits(bytes, &self.limits));
            if !keep {
                state.dropped += 1;
                return Pushed { dropped: 1 };
            }
            while !state.fits(bytes, &self.limits)
                && let Some((oldest, size)) = state.queue.pop_front()
            {
                state.bytes -= size;
                state.dropped += 1;
                displaced_more.extend(displaced.replace(oldest));
            }
            state.queue.push_back((item, bytes));
            state.bytes += bytes;
        }
        self.ready_if_parked();
        Pushed { dropped: usize::from(displaced.is_some()) + displaced_more.len() }
    }

    /// Appends at most `limit` items to `out`, or parks when there are none. Only one thread may take.
    ///
    /// A `limit` of 0 counts as 1, so that "no items" always means parked or ended.
    pub fn take(&self, limit: usize, out: &mut Vec<T>) -> Taken {
        if let Some(taken) = self.take_now(limit, out) {
            return taken;
        }
        self.park.arm();
        let Some(taken) = self.take_now(limit, out) else {
            return Taken::Parked;
        };
        // Not waiting after all. A producer that claimed first sends its `Ready` for nothing, which is harmless.
        let _ = self.park.claim();
        taken
    }

    /// Ends the ring: what waits is dropped and counted, a parked consumer is told.
    pub fn close(&self) {
        let left;
        {
            let mut state = lock(&self.state);
            state.closed = true;
            left = std::mem::take(&mut state.queue);
            state.bytes = 0;
            state.dropped += left.len() as u64;
        }
        self.ready_if_parked();
        self.mailbox.flush();
        drop(left);
    }

    /// The counters as they are now.
    pub fn stats(&self) -> RingStats {
        let state = lock(&self.state);
        RingStats {
            delivered: state.delivered,
            dropped: state.dropped,
            pending: state.queue.len(),
            pending_bytes: state.bytes,
        }
    }

    fn ready_if_parked(&self) {
        if self.park.claim() {
            self.mailbox.ready(self.id);
        }
    }

    /// `None`: nothing is there, but something may come.
    fn take_now(&self, limit: usize, out: &mut Vec<T>) -> Option<Taken> {
        let mut state = lock(&self.state);
        let count = state.queue.len().min(limit.max(1));
        if count == 0 {
            return state.closed.then_some(Taken::Ended);
        }
        let State { queue, bytes, delivered, .. } = &mut *state;
        out.extend(queue.drain(..count).map(|(item, size)| {
            *bytes -= size;
            item
        }));
        *delivered += count as u64;
        Some(Taken::Items)
    }
}

impl<T> State<T> {
    /// Whether an item of so many bytes has room. What waits never exceeds the limits, so nothing can overflow here.
    fn fits(&self, bytes: usize, limits: &Limits) -> bool {
        self.queue.len() < limits.items && bytes <= limits.bytes - self.bytes
    }
}

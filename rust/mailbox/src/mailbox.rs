//! The mailbox of a node: everything but the events of subscriptions goes through it, in order.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    park::Park,
    sync::{Mutex, lock},
};

/// Wakes the thread that drains a mailbox.
pub trait Wake: Send + Sync + 'static {
    /// Called by any thread, at most once for each time the mailbox was parked. Must not block.
    fn wake(&self);
}

/// One thing taken out of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<C> {
    /// What was posted or offered.
    Control(C),
    /// The parked ring of this number has something to take, or has been closed.
    Ready(u64),
}

/// The answer of [`Mailbox::drain`].
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained<C> {
    /// At least one item, oldest first. There may be more: drain again.
    Items(Vec<Item<C>>),
    /// Nothing is there; the next item, or the close, wakes.
    Parked,
    /// Nothing is there and nothing will come.
    Closed,
}

/// What the threads of a node have to say to the one thread that drains it.
///
/// Items come out in the order in which they went in, whatever their kind, so that no kind can starve another and what
/// was posted last is drained last.
pub struct Mailbox<C> {
    waker: Arc<dyn Wake>,
    event_limit: usize,
    park: Park,
    lanes: Mutex<Lanes<C>>,
}

/// Two queues, because only what was offered may be dropped; each entry has its place in the common order.
struct Lanes<C> {
    posted: VecDeque<(u64, Item<C>)>,
    offered: VecDeque<(u64, C)>,
    next_place: u64,
    dropped: u64,
    closed: bool,
}

impl<C> Mailbox<C> {
    /// An empty mailbox that nobody is parked on. At most `event_limit` offered items wait.
    pub fn new(waker: Arc<dyn Wake>, event_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            waker,
            event_limit,
            park: Park::new(),
            lanes: Mutex::new(Lanes {
                posted: VecDeque::new(),
                offered: VecDeque::new(),
                next_place: 0,
                dropped: 0,
                closed: false,
            }),
        })
    }

    /// Puts an item that is never dropped. The caller bounds how many can wait: those of operations in flight.
    ///
    /// Ignored after [`close`](Self::close).
    pub fn post(&self, item: C) {
        self.put(Item::Control(item));
        self.wake();
    }

    /// Puts an item that may be dropped: when as many as the limit wait, the oldest offered one goes, and is counted.
    ///
    /// Ignored after [`close`](Self::close).
    pub fn offer(&self, item: C) {
        let displaced;
        {
            let mut lanes = lock(&self.lanes);
            if lanes.closed {
                return;
            }
            if self.event_limit == 0 {
                lanes.dropped += 1;
                return;
            }
            displaced = if lanes.offered.len() < self.event_limit { None } else { lanes.offered.pop_front() };
            lanes.dropped += u64::from(displaced.is_some());
            let place = lanes.take_place();
            lanes.offered.push_back((place, item));
        }
        self.wake();
        drop(displaced);
    }

    /// Wakes the consumer when it is parked. Who pushes into rings calls this after the last push of a turn, so that
    /// many events cost one wake: a wake is a system call here and a turn of the event loop there. Nothing to take, as
    /// after most turns of a node that only sends or forwards: nobody is woken for it.
    pub fn flush(&self) {
        if !lock(&self.lanes).is_empty() {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.park.claim() {
            self.waker.wake();
        }
    }

    /// A parked ring has something to take; it is told at the next flush. Each ring sends this once for each time that it
    /// was parked, and its consumer parks it again only after that was drained, so what waits here is bounded by the
    /// number of rings.
    pub(crate) fn ready(&self, ring: u64) {
        self.put(Item::Ready(ring));
    }

    /// Lets nothing more in. What is in can still be drained, after that the answer is [`Drained::Closed`].
    pub fn close(&self) {
        lock(&self.lanes).closed = true;
        self.wake();
    }

    /// Takes at most `limit` items, or parks when there are none. Only one thread may drain.
    ///
    /// A `limit` of 0 counts as 1, so that "no items" always means parked or closed.
    pub fn drain(&self, limit: usize) -> Drained<C> {
        if let Some(drained) = self.drain_now(limit) {
            return drained;
        }
        self.park.arm();
        let Some(drained) = self.drain_now(limit) else {
            return Drained::Parked;
        };
        // Not waiting after all. A producer that claimed first wakes for nothing, which is harmless.
        let _ = self.park.claim();
        drained
    }

    /// How many offered items were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        lock(&self.lanes).dropped
    }

    fn put(&self, item: Item<C>) {
        let mut lanes = lock(&self.lanes);
        if !lanes.closed {
            let place = lanes.take_place();
            lanes.posted.push_back((place, item));
        }
    }

    /// `None`: nothing is there, but something may come.
    fn drain_now(&self, limit: usize) -> Option<Drained<C>> {
        let mut lanes = lock(&self.lanes);
        let count = (lanes.posted.len() + lanes.offered.len()).min(limit.max(1));
        if count == 0 {
            return lanes.closed.then_some(Drained::Closed);
        }
        let mut items = Vec::with_capacity(count);
        items.extend(std::iter::from_fn(|| lanes.pop()).take(count));
        Some(Drained::Items(items))
    }
}

impl<C> Lanes<C> {
    fn is_empty(&self) -> bool {
        self.posted.is_empty() && self.offered.is_empty()
    }

    fn take_place(&mut self) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        place
    }

    /// The oldest item of both lanes.
    fn pop(&mut self) -> Option<Item<C>> {
        let posted = self.posted.front().map_or(u64::MAX, |(place, _)| *place);
        let offered = self.offered.front().map_or(u64::MAX, |(place, _)| *place);
        if offered < posted {
            self.offered.pop_front().map(|(_, item)| Item::Control(item))
        } else {
            self.posted.pop_front().map(|(_, item)| item)
        }
    }
}

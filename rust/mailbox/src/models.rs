//! Runs small programs in every order that their threads and the memory model allow, by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p depinmesh-mailbox --lib`, best with a target folder of its own.
//!
//! Where a consumer waits it really sleeps until it is woken, so that a lost wake is a deadlock, which loom reports.

use std::sync::{Arc, atomic::Ordering};

use loom::{
    sync::{Notify, atomic::AtomicUsize},
    thread,
};

use crate::{Drained, Item, Limits, Mailbox, Overflow, Ring, Taken, Wake, park::Park, ring};

const LIMITS: Limits = Limits { items: 8, bytes: 8, overflow: Overflow::DropOldest };

/// Runs a model in every order with at most five preemptions: those with a mailbox have too many orders for all of them
/// to be tried, and a fault of this kind needs one or two. The models of the flag by itself are tried in full.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(model);
}

/// The thread of the event loop, which sleeps until it is woken.
struct EventLoop(Notify);

impl Wake for EventLoop {
    fn wake(&self) {
        self.0.notify();
    }
}

impl EventLoop {
    /// The next items, or `None` for the end.
    fn next(&self, mailbox: &Mailbox<u32>) -> Option<Vec<Item<u32>>> {
        loop {
            match mailbox.drain(8) {
                Drained::Items(items) => return Some(items),
                Drained::Closed => return None,
                Drained::Parked => self.0.wait(),
            }
        }
    }

    /// What the ring gives until it ends or has given `wanted` items.
    fn take(&self, mailbox: &Mailbox<u32>, ring: &Ring<u32, u32>, wanted: usize) -> Vec<u32> {
        let mut out = Vec::new();
        while out.len() < wanted {
            match ring.take(8, &mut out) {
                Taken::Items => {}
                Taken::Ended => break,
                Taken::Parked => {
                    let items = self.next(mailbox).unwrap();
                    assert!(items.iter().all(|item| *item == Item::Ready(7)));
                }
            }
        }
        out
    }
}

fn mailbox() -> (Arc<EventLoop>, Arc<Mailbox<u32>>) {
    let event_loop = Arc::new(EventLoop(Notify::new()));
    let mailbox = Mailbox::new(Arc::clone(&event_loop) as Arc<dyn Wake>, 8);
    (event_loop, mailbox)
}

/// The flag by itself: no lock helps it, the "queue" is a relaxed counter.
#[test]
fn a_push_is_seen_or_wakes() {
    loom::model(|| {
        let park = Arc::new(Park::new());
        let queue = Arc::new(AtomicUsize::new(0));
        let producer = {
            let (park, queue) = (Arc::clone(&park), Arc::clone(&queue));
            thread::spawn(move || {
                queue.store(1, Ordering::Relaxed);
                park.claim()
            })
        };
        park.arm();
        let seen = queue.load(Ordering::Relaxed) == 1;
        let woken = producer.join().unwrap();
        assert!(seen || woken, "the item is neither seen nor announced");
    });
}

#[test]
fn one_arming_is_claimed_once() {
    loom::model(|| {
        let park = Arc::new(Park::new());
        park.arm();
        let other = {
            let park = Arc::clone(&park);
            thread::spawn(move || park.claim())
        };
        let here = park.claim();
        assert!(here != other.join().unwrap());
    });
}

#[test]
fn two_producers_against_drain() {
    bounded(|| {
        let (event_loop, mailbox) = mailbox();
        let producers = [1, 2].map(|item| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || if item == 1 { mailbox.post(item) } else { mailbox.offer(item) })
        });
        let mut sum = 0;
        while sum < 3 {
            for item in event_loop.next(&mailbox).unwrap() {
                match item {
                    Item::Control(item) => sum += item,
                    Item::Ready(id) => panic!("no ring {id}"),
                }
            }
        }
        for producer in producers {
            producer.join().unwrap();
        }
        assert_eq!(mailbox.dropped(), 0);
    });
}

#[test]
fn close_against_drain() {
    bounded(|| {
        let (event_loop, mailbox) = mailbox();
        let producer = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                mailbox.post(1);
                mailbox.close();
                mailbox.post(2);
            })
        };
        let mut items = Vec::new();
        while let Some(more) = event_loop.next(&mailbox) {
            items.extend(more);
        }
        assert_eq!(items, [Item::Control(1)]);
        producer.join().unwrap();
    });
}

#[test]
fn ring_push_against_take_arming() {
    bounded(|| {
        let (event_loop, mailbox) = mailbox();
        let ring = ring(&mailbox, 7, LIMITS);
        let producer = {
            let (mailbox, ring) = (Arc::clone(&mailbox), Arc::clone(&ring));
            thread::spawn(move || {
                ring.push(1, 1);
                ring.push(2, 1);
                mailbox.flush();
            })
        };
        let out = event_loop.take(&mailbox, &ring, 2);
        assert_eq!(out, [1, 2]);
        producer.join().unwrap();
        let stats = ring.stats();
        assert_eq!((stats.delivered, stats.dropped, stats.pending, stats.pending_bytes), (2, 0, 0, 0));
    });
}

#[test]
fn ring_close_against_take_arming() {
    bounded(|| {
        let (event_loop, mailbox) = mailbox();
        let ring = ring(&mailbox, 7, LIMITS);
        let closer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                ring.push(1, 1);
                ring.close();
            })
        };
        let out = event_loop.take(&mailbox, &ring, usize::MAX);
        closer.join().unwrap();
        let stats = ring.stats();
        assert_eq!(stats.delivered, out.len() as u64);
        assert_eq!((stats.delivered + stats.dropped, stats.pending), (1, 0));
    });
}

#[test]
fn one_arming_of_a_ring_sends_one_ready() {
    bounded(|| {
        let (_, mailbox) = mailbox();
        let ring = ring(&mailbox, 7, LIMITS);
        assert_eq!(ring.take(8, &mut Vec::new()), Taken::Parked);
        let producers = [1, 2].map(|item| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || ring.push(item, 1))
        });
        for producer in producers {
            producer.join().unwrap();
        }
        assert_eq!(mailbox.drain(8), Drained::Items(vec![Item::Ready(7)]));
        assert_eq!(mailbox.drain(8), Drained::Parked);
    });
}

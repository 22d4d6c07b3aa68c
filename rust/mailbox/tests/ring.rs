//! The rules of a ring, one by one.
#![cfg(not(loom))]

use std::sync::Arc;

use depinmesh_mailbox::{Drained, Item, Limits, Mailbox, Overflow, Pushed, Ring, RingStats, Taken, Wake, ring};

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

type TestRing<T> = Arc<Ring<(), T>>;

fn limited<T>(items: usize, bytes: usize, overflow: Overflow) -> (Arc<Mailbox<()>>, TestRing<T>) {
    let mailbox = Mailbox::new(Arc::new(Silent), 0);
    let ring = ring(&mailbox, 7, Limits { items, bytes, overflow });
    (mailbox, ring)
}

fn take(ring: &Ring<(), u32>, limit: usize) -> (Taken, Vec<u32>) {
    let mut out = Vec::new();
    (ring.take(limit, &mut out), out)
}

fn ready() -> Drained<()> {
    Drained::Items(vec![Item::Ready(7)])
}

#[test]
fn takes_in_order_at_most_the_limit() {
    let (_, ring) = limited(8, 80, Overflow::DropOldest);
    for item in 0..5 {
        assert_eq!(ring.push(item, 10), Pushed { dropped: 0 });
    }
    assert_eq!(take(&ring, 3), (Taken::Items, vec![0, 1, 2]));
    assert_eq!(ring.stats(), RingStats { delivered: 3, dropped: 0, pending: 2, pending_bytes: 20 });
    assert_eq!(take(&ring, 0), (Taken::Items, vec![3]));
    assert_eq!(take(&ring, 3), (Taken::Items, vec![4]));
    assert_eq!(take(&ring, 3), (Taken::Parked, vec![]));
}

#[test]
fn appends_to_what_the_caller_holds() {
    let (_, ring) = limited(8, 80, Overflow::DropOldest);
    ring.push(2, 1);
    let mut out = vec![1];
    assert_eq!(ring.take(8, &mut out), Taken::Items);
    assert_eq!(out, [1, 2]);
}

#[test]
fn drops_the_oldest_above_the_item_limit() {
    let (_, ring) = limited(2, 80, Overflow::DropOldest);
    ring.push(1, 1);
    ring.push(2, 1);
    assert_eq!(ring.push(3, 1), Pushed { dropped: 1 });
    assert_eq!(ring.stats(), RingStats { delivered: 0, dropped: 1, pending: 2, pending_bytes: 2 });
    assert_eq!(take(&ring, 8), (Taken::Items, vec![2, 3]));
}

#[test]
fn drops_as_many_of_the_oldest_as_the_byte_limit_needs() {
    let (_, ring) = limited(8, 10, Overflow::DropOldest);
    for item in 1..=4 {
        ring.push(item, 2);
    }
    assert_eq!(ring.push(5, 7), Pushed { dropped: 3 });
    assert_eq!(ring.stats(), RingStats { delivered: 0, dropped: 3, pending: 2, pending_bytes: 9 });
    assert_eq!(ring.push(6, 10), Pushed { dropped: 2 });
    assert_eq!(take(&ring, 8), (Taken::Items, vec![6]));
}

#[test]
fn drops_the_newest_above_either_limit() {
    let (_, ring) = limited(2, 10, Overflow::DropNewest);
    assert_eq!(ring.push(1, 8), Pushed { dropped: 0 });
    assert_eq!(ring.push(2, 3), Pushed { dropped: 1 });
    assert_eq!(ring.push(3, 2), Pushed { dropped: 0 });
    assert_eq!(ring.push(4, 0), Pushed { dropped: 1 });
    assert_eq!(ring.stats(), RingStats { delivered: 0, dropped: 2, pending: 2, pending_bytes: 10 });
    assert_eq!(take(&ring, 8), (Taken::Items, vec![1, 3]));
}

#[test]
fn an_item_above_the_byte_limit_costs_no_other_item() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (_, ring) = limited(8, 10, overflow);
        ring.push(1, 5);
        assert_eq!(ring.push(2, 11), Pushed { dropped: 1 });
        assert_eq!(ring.push(3, usize::MAX), Pushed { dropped: 1 });
        assert_eq!(ring.stats(), RingStats { delivered: 0, dropped: 2, pending: 1, pending_bytes: 5 });
    }
}

#[test]
fn a_limit_of_zero_items_drops_all() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (mailbox, ring) = limited(0, 10, overflow);
        assert_eq!(take(&ring, 8).0, Taken::Parked);
        assert_eq!(ring.push(1, 1), Pushed { dropped: 1 });
        assert_eq!(mailbox.drain(8), Drained::Parked, "there is nothing to take");
    }
}

#[test]
fn tells_once_for_each_parking() {
    let (mailbox, ring) = limited(8, 80, Overflow::DropOldest);
    ring.push(1, 1);
    assert_eq!(mailbox.drain(8), Drained::Parked, "nobody has parked on the ring yet");
    assert_eq!(take(&ring, 8), (Taken::Items, vec![1]));
    ring.push(2, 1);
    assert_eq!(mailbox.drain(8), Drained::Parked, "who has just got items has not parked");
    assert_eq!(take(&ring, 8), (Taken::Items, vec![2]));

    assert_eq!(take(&ring, 8), (Taken::Parked, vec![]));
    assert_eq!(take(&ring, 8), (Taken::Parked, vec![]), "parked twice is parked");
    ring.push(3, 1);
    ring.push(4, 1);
    ring.close();
    assert_eq!(mailbox.drain(8), ready());
    assert_eq!(mailbox.drain(8), Drained::Parked);
}

#[test]
fn close_drops_and_counts_what_waits() {
    let (_, ring) = limited(8, 80, Overflow::DropOldest);
    for item in 0..3 {
        ring.push(item, 10);
    }
    assert_eq!(take(&ring, 1), (Taken::Items, vec![0]));
    ring.close();
    ring.close();
    assert_eq!(ring.stats(), RingStats { delivered: 1, dropped: 2, pending: 0, pending_bytes: 0 });
    assert_eq!(take(&ring, 8), (Taken::Ended, vec![]));
    assert_eq!(take(&ring, 8), (Taken::Ended, vec![]));
}

#[test]
fn close_tells_who_is_parked_once() {
    let (mailbox, ring) = limited(8, 80, Overflow::DropOldest);
    assert_eq!(take(&ring, 8), (Taken::Parked, vec![]));
    ring.close();
    ring.close();
    assert_eq!(mailbox.drain(8), ready());
    assert_eq!(mailbox.drain(8), Drained::Parked);
    assert_eq!(take(&ring, 8), (Taken::Ended, vec![]));
}

#[test]
fn a_push_after_close_is_counted_but_is_no_overflow() {
    let (_, ring) = limited(8, 80, Overflow::DropOldest);
    ring.close();
    assert_eq!(ring.push(1, 10), Pushed { dropped: 0 });
    assert_eq!(ring.stats(), RingStats { delivered: 0, dropped: 1, pending: 0, pending_bytes: 0 });
}

#[test]
fn outlives_its_mailbox() {
    let (mailbox, ring) = limited(8, 80, Overflow::DropOldest);
    assert_eq!(take(&ring, 8), (Taken::Parked, vec![]));
    mailbox.close();
    ring.push(1, 1);
    assert_eq!(mailbox.drain(8), Drained::Closed);
    assert_eq!(take(&ring, 8), (Taken::Items, vec![1]));
}

/// An event that uses its ring while it is destroyed.
struct Talkative(TestRing<Talkative>);

impl Drop for Talkative {
    fn drop(&mut self) {
        self.0.stats();
    }
}

#[test]
fn items_are_destroyed_outside_of_the_lock() {
    let (_, ring) = limited(4, 4, Overflow::DropOldest);
    let push = |bytes| ring.push(Talkative(Arc::clone(&ring)), bytes);
    for _ in 0..4 {
        push(1);
    }
    assert_eq!(push(3), Pushed { dropped: 3 });
    assert_eq!(push(5), Pushed { dropped: 1 });
    ring.close();
    push(1);
    assert_eq!(ring.stats(), RingStats { delivered: 0, dropped: 7, pending: 0, pending_bytes: 0 });
}

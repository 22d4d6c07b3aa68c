//! The rules of a mailbox, one by one.
#![cfg(not(loom))]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, Thread},
};

use depinmesh_mailbox::{Drained, Item, Limits, Mailbox, Overflow, Ring, Taken, Wake, ring};

const LIMITS: Limits = Limits { items: 8, bytes: 80, overflow: Overflow::DropOldest };

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn mailbox(event_limit: usize) -> (Arc<Wakes>, Arc<Mailbox<u32>>) {
    let wakes = Arc::new(Wakes::default());
    let mailbox = Mailbox::new(Arc::clone(&wakes) as Arc<dyn Wake>, event_limit);
    (wakes, mailbox)
}

fn items(values: &[u32]) -> Drained<u32> {
    Drained::Items(values.iter().copied().map(Item::Control).collect())
}

#[test]
fn is_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Mailbox<std::cell::Cell<u32>>>();
    check::<Ring<std::cell::Cell<u32>, std::cell::Cell<u32>>>();
}

#[test]
fn drains_in_the_order_of_arrival_whatever_the_lane() {
    let (_, mailbox) = mailbox(8);
    mailbox.offer(1);
    mailbox.post(2);
    mailbox.offer(3);
    mailbox.post(4);
    assert_eq!(mailbox.drain(8), items(&[1, 2, 3, 4]));
}

#[test]
fn drains_at_most_the_limit_and_parks_only_when_empty() {
    let (_, mailbox) = mailbox(8);
    (0..5).for_each(|item| mailbox.post(item));
    assert_eq!(mailbox.drain(3), items(&[0, 1, 2]));
    assert_eq!(mailbox.drain(0), items(&[3]));
    assert_eq!(mailbox.drain(3), items(&[4]));
    assert_eq!(mailbox.drain(3), Drained::Parked);
}

#[test]
fn wakes_once_for_each_parking() {
    let (wakes, mailbox) = mailbox(8);
    mailbox.post(1);
    assert_eq!(wakes.count(), 0, "nobody has parked yet");
    assert_eq!(mailbox.drain(8), items(&[1]));
    mailbox.post(2);
    assert_eq!(wakes.count(), 0, "who has just got items has not parked");
    assert_eq!(mailbox.drain(8), items(&[2]));

    assert_eq!(mailbox.drain(8), Drained::Parked);
    mailbox.offer(3);
    mailbox.post(4);
    assert_eq!(wakes.count(), 1);
    assert_eq!(mailbox.drain(8), items(&[3, 4]));
    assert_eq!(mailbox.drain(8), Drained::Parked);
    mailbox.post(5);
    assert_eq!(wakes.count(), 2);
}

#[test]
fn pushes_wake_once_at_their_flush() {
    let (wakes, mailbox) = mailbox(8);
    let rings: [Arc<Ring<u32, u32>>; 2] = [7, 8].map(|id| ring(&mailbox, id, LIMITS));
    for ring in &rings {
        assert_eq!(ring.take(8, &mut Vec::new()), Taken::Parked);
    }
    assert_eq!(mailbox.drain(8), Drained::Parked);
    rings.iter().chain(&rings).for_each(|ring| assert_eq!(ring.push(1, 1).dropped, 0));
    assert_eq!(wakes.count(), 0);
    mailbox.flush();
    mailbox.flush();
    assert_eq!(wakes.count(), 1);
    assert_eq!(mailbox.drain(8), Drained::Items(vec![Item::Ready(7), Item::Ready(8)]));
}

#[test]
fn a_flush_of_nothing_wakes_nobody() {
    let (wakes, mailbox) = mailbox(8);
    assert_eq!(mailbox.drain(8), Drained::Parked);
    mailbox.flush();
    assert_eq!(wakes.count(), 0);
    mailbox.post(1);
    assert_eq!(wakes.count(), 1);
    assert_eq!(mailbox.drain(8), items(&[1]));
    assert_eq!(mailbox.drain(8), Drained::Parked);
    mailbox.flush();
    assert_eq!(wakes.count(), 1);
}

#[test]
fn what_wakes_at_once_takes_along_what_waits_for_a_flush() {
    let (wakes, mailbox) = mailbox(8);
    let ring: Arc<Ring<u32, u32>> = ring(&mailbox, 7, LIMITS);
    assert_eq!(ring.take(8, &mut Vec::new()), Taken::Parked);
    assert_eq!(mailbox.drain(8), Drained::Parked);
    ring.push(1, 1);
    mailbox.post(2);
    assert_eq!(wakes.count(), 1);
    assert_eq!(mailbox.drain(8), Drained::Items(vec![Item::Ready(7), Item::Control(2)]));
}

#[test]
fn the_oldest_offered_item_gives_way_and_is_counted() {
    let (_, mailbox) = mailbox(2);
    mailbox.post(1);
    (2..=4).for_each(|item| mailbox.offer(item));
    mailbox.post(5);
    mailbox.offer(6);
    assert_eq!(mailbox.dropped(), 2);
    assert_eq!(mailbox.drain(8), items(&[1, 4, 5, 6]));
}

#[test]
fn posted_items_are_never_dropped() {
    let (_, mailbox) = mailbox(1);
    let posted: Vec<u32> = (0..1_000).collect();
    posted.iter().for_each(|item| mailbox.post(*item));
    assert_eq!(mailbox.drain(usize::MAX), items(&posted));
    assert_eq!(mailbox.dropped(), 0);
}

#[test]
fn without_room_for_events_all_are_dropped_and_nobody_is_woken() {
    let (wakes, mailbox) = mailbox(0);
    assert_eq!(mailbox.drain(8), Drained::Parked);
    mailbox.offer(1);
    assert_eq!((mailbox.dropped(), wakes.count()), (1, 0));
    assert_eq!(mailbox.drain(8), Drained::Parked);
}

#[test]
fn after_close_the_rest_is_drained_and_nothing_comes_in() {
    let (_, mailbox) = mailbox(8);
    mailbox.post(1);
    mailbox.offer(2);
    mailbox.close();
    mailbox.post(3);
    mailbox.offer(4);
    assert_eq!(mailbox.drain(1), items(&[1]));
    assert_eq!(mailbox.drain(1), items(&[2]));
    assert_eq!(mailbox.drain(1), Drained::Closed);
    assert_eq!(mailbox.drain(1), Drained::Closed);
    assert_eq!(mailbox.dropped(), 0);
}

#[test]
fn close_wakes_who_is_parked_once() {
    let (wakes, mailbox) = mailbox(8);
    assert_eq!(mailbox.drain(8), Drained::Parked);
    mailbox.close();
    mailbox.close();
    assert_eq!(wakes.count(), 1);
    assert_eq!(mailbox.drain(8), Drained::Closed);
}

/// An event that uses the mailbox while it is destroyed.
struct Talkative(Arc<Mailbox<Option<Talkative>>>);

impl Drop for Talkative {
    fn drop(&mut self) {
        self.0.post(None);
    }
}

#[test]
fn items_are_destroyed_outside_of_the_lock() {
    let mailbox = Mailbox::new(Arc::new(Wakes::default()), 1);
    mailbox.offer(Some(Talkative(Arc::clone(&mailbox))));
    mailbox.offer(None);
    mailbox.close();
    mailbox.offer(Some(Talkative(Arc::clone(&mailbox))));
    mailbox.post(Some(Talkative(Arc::clone(&mailbox))));
    let Drained::Items(items) = mailbox.drain(8) else { panic!("two items wait") };
    assert_eq!(items.len(), 2);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(&self) {
        self.0.unpark();
    }
}

#[test]
fn loses_nothing_between_real_threads() {
    const THREADS: u32 = 4;
    const EACH: u32 = 5_000;
    let mailbox = Mailbox::new(Arc::new(Unpark(thread::current())), 0);
    let producers: Vec<_> = (0..THREADS)
        .map(|producer| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || (0..EACH).for_each(|item| mailbox.post((producer, item))))
        })
        .collect();
    let mut next = [0; THREADS as usize];
    while next != [EACH; THREADS as usize] {
        match mailbox.drain(256) {
            Drained::Items(items) => {
                for item in items {
                    let Item::Control((producer, item)) = item else { panic!("there is no ring") };
                    assert_eq!(item, next[producer as usize], "the items of one thread stay in order");
                    next[producer as usize] += 1;
                }
            }
            Drained::Parked => thread::park(),
            Drained::Closed => panic!("nobody closed"),
        }
    }
    producers.into_iter().for_each(|producer| producer.join().unwrap());
}

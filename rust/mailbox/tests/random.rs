//! Random calls, compared with the plainest things that could do the same.
#![cfg(not(loom))]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use depinmesh_mailbox::{Drained, Item, Limits, Mailbox, Overflow, RingStats, Taken, Wake, ring};
use proptest::prelude::*;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
enum RingCall {
    Push(usize),
    Take(usize),
    Close,
}

fn ring_call() -> impl Strategy<Value = RingCall> {
    prop_oneof![
        12 => (0_usize..14).prop_map(RingCall::Push),
        6 => (1_usize..6).prop_map(RingCall::Take),
        1 => Just(RingCall::Close),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let overflow = prop_oneof![Just(Overflow::DropOldest), Just(Overflow::DropNewest)];
    (0_usize..6, 0_usize..24, overflow).prop_map(|(items, bytes, overflow)| Limits { items, bytes, overflow })
}

fn bytes(items: &[(usize, usize)]) -> usize {
    items.iter().map(|(_, bytes)| bytes).sum()
}

proptest! {
    #[test]
    fn a_ring_is_a_list_with_limits(limits in limits(), calls in prop::collection::vec(ring_call(), 0..80)) {
        let mailbox = Mailbox::<()>::new(Arc::new(Wakes::default()), 0);
        let ring = ring(&mailbox, 7, limits);
        let mut list: Vec<(usize, usize)> = Vec::new();
        let (mut pushed, mut delivered, mut dropped) = (0, 0, 0);
        let (mut parked, mut closed) = (false, false);
        for (number, call) in calls.into_iter().enumerate() {
            let mut told = false;
            match call {
                RingCall::Push(size) => {
                    pushed += 1;
                    list.push((number, size));
                    let before = list.len();
                    let over = |list: &[_]| list.len() > limits.items || bytes(list) > limits.bytes;
                    if closed || over(&list[before - 1..]) || (limits.overflow == Overflow::DropNewest && over(&list)) {
                        list.pop();
                    } else {
                        while over(&list) {
                            list.remove(0);
                        }
                        told = parked;
                    }
                    let lost = before - list.len();
                    dropped += lost as u64;
                    prop_assert_eq!(ring.push(number, size).dropped, if closed { 0 } else { lost });
                }
                RingCall::Take(limit) => {
                    let wanted: Vec<usize> = list.drain(..limit.min(list.len())).map(|(number, _)| number).collect();
                    delivered += wanted.len() as u64;
                    let mut out = Vec::new();
                    let taken = ring.take(limit, &mut out);
                    let expected = match (wanted.is_empty(), closed) {
                        (false, _) => Taken::Items,
                        (true, true) => Taken::Ended,
                        (true, false) => Taken::Parked,
                    };
                    prop_assert_eq!((taken, out), (expected, wanted));
                    parked |= expected == Taken::Parked;
                }
                RingCall::Close => {
                    dropped += list.len() as u64;
                    list.clear();
                    closed = true;
                    told = parked;
                    ring.close();
                }
            }
            let stats = ring.stats();
            let pending_bytes = bytes(&list);
            prop_assert_eq!(stats, RingStats { delivered, dropped, pending: list.len(), pending_bytes });
            prop_assert_eq!(stats.delivered + stats.dropped + stats.pending as u64, pushed);
            let items = mailbox.drain(8);
            prop_assert_eq!(items, if told { Drained::Items(vec![Item::Ready(7)]) } else { Drained::Parked });
            parked &= !told;
        }
    }
}

#[derive(Clone, Debug)]
enum MailboxCall {
    Post,
    Offer,
    Drain(usize),
    Close,
}

fn mailbox_call() -> impl Strategy<Value = MailboxCall> {
    prop_oneof![
        8 => Just(MailboxCall::Post),
        8 => Just(MailboxCall::Offer),
        6 => (1_usize..6).prop_map(MailboxCall::Drain),
        1 => Just(MailboxCall::Close),
    ]
}

proptest! {
    #[test]
    fn a_mailbox_is_a_list_that_forgets_old_offers(
        event_limit in 0_usize..5,
        calls in prop::collection::vec(mailbox_call(), 0..80),
    ) {
        let wakes = Arc::new(Wakes::default());
        let mailbox = Mailbox::<usize>::new(Arc::clone(&wakes) as Arc<dyn Wake>, event_limit);
        let mut list: Vec<(usize, bool)> = Vec::new();
        let (mut dropped, mut wanted_wakes) = (0, 0);
        let (mut parked, mut closed) = (false, false);
        for (number, call) in calls.into_iter().enumerate() {
            let mut told = false;
            match call {
                MailboxCall::Post => {
                    mailbox.post(number);
                    if !closed {
                        list.push((number, false));
                        told = true;
                    }
                }
                MailboxCall::Offer => {
                    mailbox.offer(number);
                    if !closed {
                        list.push((number, true));
                        told = event_limit > 0;
                        if list.iter().filter(|(_, offered)| *offered).count() > event_limit {
                            let oldest = list.iter().position(|(_, offered)| *offered).unwrap();
                            list.remove(oldest);
                            dropped += 1;
                        }
                    }
                }
                MailboxCall::Drain(limit) => {
                    let items: Vec<_> =
                        list.drain(..limit.min(list.len())).map(|(number, _)| Item::Control(number)).collect();
                    let expected = match (items.is_empty(), closed) {
                        (false, _) => Drained::Items(items),
                        (true, true) => Drained::Closed,
                        (true, false) => Drained::Parked,
                    };
                    parked |= expected == Drained::Parked;
                    prop_assert_eq!(mailbox.drain(limit), expected);
                }
                MailboxCall::Close => {
                    mailbox.close();
                    closed = true;
                    told = true;
                }
            }
            wanted_wakes += usize::from(told && parked);
            parked &= !told;
            prop_assert_eq!(mailbox.dropped(), dropped);
            prop_assert_eq!(wakes.0.load(Ordering::Relaxed), wanted_wakes);
        }
    }
}

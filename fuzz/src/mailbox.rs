//! Calls of a mailbox and a ring in any order, compared with lists that could do the same.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use depinmesh_mailbox::{Drained, Item, Limits, Mailbox, Overflow, RingStats, Taken, Wake, ring};

const RING: u64 = 7;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The first byte sets the limits, each of the others is one call.
pub fn mailbox(data: &[u8]) {
    let Some((&first, calls)) = data.split_first() else { return };
    let limits = Limits {
        items: usize::from(first & 7),
        bytes: usize::from(first >> 3 & 15),
        overflow: if first & 128 == 0 { Overflow::DropOldest } else { Overflow::DropNewest },
    };
    let wakes = Arc::new(Wakes::default());
    let mailbox = Mailbox::<usize>::new(Arc::clone(&wakes) as Arc<dyn Wake>, limits.items);
    let ring = ring::<usize, usize>(&mailbox, RING, limits);
    let (mut posted, mut drained) = (VecDeque::new(), VecDeque::new());
    let (mut waiting, mut pushed, mut delivered) = (VecDeque::new(), 0_u64, 0_u64);
    let (mut mailbox_closed, mut ring_closed) = (false, false);

    for (number, call) in calls.iter().enumerate() {
        let argument = usize::from(call >> 3);
        match call & 7 {
            0 => {
                mailbox.post(number);
                if !mailbox_closed {
                    posted.push_back(number);
                }
            }
            1 => mailbox.offer(number),
            2 | 3 => match mailbox.drain(argument) {
                Drained::Items(items) => {
                    assert!((1..=argument.max(1)).contains(&items.len()));
                    drained.extend(items.into_iter().filter_map(|item| match item {
                        Item::Control(number) => Some(number),
                        Item::Ready(RING) => None,
                        Item::Ready(other) => panic!("no ring has the number {other}"),
                    }));
                }
                Drained::Parked => assert!(!mailbox_closed, "who parks on a closed mailbox waits for ever"),
                Drained::Closed => assert!(mailbox_closed),
            },
            4 => {
                pushed += 1;
                ring.push(number, argument);
                waiting.push_back((number, argument));
            }
            5 => {
                let mut taken = Vec::new();
                match ring.take(argument, &mut taken) {
                    Taken::Items => assert!((1..=argument.max(1)).contains(&taken.len())),
                    Taken::Parked => assert!(taken.is_empty() && !ring_closed),
                    Taken::Ended => assert!(taken.is_empty() && ring_closed),
                }
                delivered += taken.len() as u64;
                for number in taken {
                    // Those that were pushed before it and are not there have been dropped.
                    while waiting.pop_front().expect("what is taken was pushed").0 != number {}
                }
            }
            6 => mailbox.flush(),
            _ if argument == 0 => {
                ring.close();
                ring_closed = true;
            }
            _ if argument == 1 => {
                mailbox.close();
                mailbox_closed = true;
            }
            _ => {}
        }
        let RingStats { delivered: counted, dropped, pending, pending_bytes } = ring.stats();
        assert_eq!((counted, counted + dropped + pending as u64), (delivered, pushed));
        assert!(pending <= limits.items && pending_bytes <= limits.bytes);
    }
    // Nothing that was posted is lost, and all of it comes in its order; what was offered may be dropped.
    while let Drained::Items(items) = mailbox.drain(64) {
        drained.extend(items.into_iter().filter_map(|item| match item {
            Item::Control(number) => Some(number),
            Item::Ready(_) => None,
        }));
    }
    let mut last = None;
    for number in drained {
        assert!(last < Some(number), "{number} came after {last:?}");
        last = Some(number);
        if posted.front() == Some(&number) {
            posted.pop_front();
        }
    }
    assert!(posted.is_empty(), "lost: {posted:?}");
    assert!(wakes.0.load(Relaxed) <= calls.len());
}

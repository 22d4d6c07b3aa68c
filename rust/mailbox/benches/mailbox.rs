//! What it costs to hand one thing over: `cargo bench -p depinmesh-mailbox`.

use std::{
    hint::black_box,
    sync::Arc,
    thread::{self, Thread},
};

use depinmesh_mailbox::{Drained, Limits, Mailbox, Overflow, Taken, Wake, ring};
use divan::{Bencher, counter::ItemsCount};

const BATCH: usize = 256;
const LIMITS: Limits = Limits { items: 1 << 20, bytes: usize::MAX, overflow: Overflow::DropOldest };

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

/// Stands for the event loop, as waking a thread by a futex costs about what a write to a descriptor costs.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(&self) {
        self.0.unpark();
    }
}

fn main() {
    divan::main();
}

/// A batch of completions, posted and drained by one thread.
#[divan::bench]
fn post_and_drain_256(bencher: Bencher) {
    let mailbox = Mailbox::<u64>::new(Arc::new(Silent), BATCH);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for item in 0..BATCH as u64 {
            mailbox.post(black_box(item));
        }
        black_box(mailbox.drain(BATCH))
    });
}

/// A batch of events, pushed and taken by one thread.
#[divan::bench]
fn ring_push_and_take_256(bencher: Bencher) {
    let mailbox = Mailbox::<u64>::new(Arc::new(Silent), BATCH);
    let ring = ring(&mailbox, 1, LIMITS);
    let event = Arc::new(0);
    let mut out = Vec::with_capacity(BATCH);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            ring.push(Arc::clone(&event), 200);
        }
        out.clear();
        black_box(ring.take(BATCH, &mut out))
    });
}

/// Each push displaces an item: the price of a consumer that does not keep up.
#[divan::bench]
fn ring_push_into_full(bencher: Bencher) {
    let mailbox = Mailbox::<u64>::new(Arc::new(Silent), BATCH);
    let ring = ring(&mailbox, 1, Limits { items: BATCH, ..LIMITS });
    let event = Arc::new(0);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| ring.push(Arc::clone(&event), 200));
}

/// From one thread through ring and mailbox to another one, which parks whenever it finds nothing.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn across_threads_1m(bencher: Bencher) {
    const EVENTS: usize = 1_000_000;
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let mailbox = Mailbox::<u64>::new(Arc::new(Unpark(thread::current())), BATCH);
        let ring = ring(&mailbox, 1, LIMITS);
        let producer = {
            let (mailbox, ring) = (Arc::clone(&mailbox), Arc::clone(&ring));
            thread::spawn(move || {
                let event = Arc::new(0);
                for _ in 0..EVENTS {
                    ring.push(Arc::clone(&event), 200);
                    mailbox.flush();
                }
            })
        };
        let mut out = Vec::with_capacity(BATCH);
        let mut taken = 0;
        while taken < EVENTS {
            out.clear();
            match ring.take(BATCH, &mut out) {
                Taken::Items => taken += out.len(),
                Taken::Ended => break,
                Taken::Parked => {
                    while mailbox.drain(BATCH) == Drained::Parked {
                        thread::park();
                    }
                }
            }
        }
        producer.join().expect("the producer does not panic");
        assert_eq!(taken, EVENTS);
    });
}

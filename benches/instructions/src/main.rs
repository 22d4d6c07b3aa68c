//! One operation of the core, so many times: `depinmesh-instructions NAME TIMES`, or nothing for the names.
//!
//! `benches/instructions.py` runs it under valgrind with two numbers of times; the difference is what the operation costs,
//! to the instruction, whatever else the machine does.

mod gate;

use std::{error::Error, hint::black_box, sync::Arc};

use depinmesh_core::pubsub::envelope::{decode, encode};
use depinmesh_mailbox::{Limits, Mailbox, Overflow, Wake, ring};

type Result = std::result::Result<(), Box<dyn Error>>;
const OPERATIONS: [&str; 4] = ["envelope-write", "envelope-read", "mailbox-item", "gate-decision"];

const ID: &str = "6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b";
const AUTHOR: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
const MESSAGE: &[u8] = br#"{"node":"frankfurt-3","load":0.4375,"users":112}"#;
const TIMESTAMP: i64 = 1_752_700_000;
const BATCH: usize = 256;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        println!("{}", OPERATIONS.join("\n"));
        return Ok(());
    };
    let times = arguments.next().ok_or("how many times?")?.parse()?;
    match name.as_str() {
        "envelope-write" => write(times),
        "envelope-read" => read(times)?,
        "mailbox-item" => hand_over(times),
        "gate-decision" => gate::decide(times)?,
        _ => return Err("there is no such operation".into()),
    }
    Ok(())
}

fn write(times: usize) {
    for _ in 0..times {
        black_box(encode(black_box(ID), AUTHOR, MESSAGE, TIMESTAMP));
    }
}

fn read(times: usize) -> Result {
    let event = encode(ID, AUTHOR, MESSAGE, TIMESTAMP);
    for _ in 0..times {
        black_box(decode(black_box(&event), AUTHOR)).map_err(|error| format!("{error:?}"))?;
    }
    Ok(())
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

/// An event into a ring, and with its batch out of it.
fn hand_over(times: usize) {
    let mailbox = Mailbox::<u64>::new(Arc::new(Silent), BATCH);
    let limits = Limits { items: BATCH, bytes: usize::MAX, overflow: Overflow::DropOldest };
    let ring = ring(&mailbox, 1, limits);
    let event = Arc::new(0);
    let mut out = Vec::with_capacity(BATCH);
    for _ in 0..times.div_ceil(BATCH) {
        for _ in 0..BATCH {
            ring.push(Arc::clone(&event), 200);
        }
        mailbox.flush();
        let _ = black_box(mailbox.drain(BATCH));
        out.clear();
        let _ = black_box(ring.take(BATCH, &mut out));
    }
}

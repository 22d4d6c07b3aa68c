//! The event inside of a signed message: what any listed peer may send.

use depinmesh_core::pubsub::envelope::{Envelope, decode, encode};
use serde_json::{Value, value::RawValue};

const AUTHOR: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
/// What a date of the host language can hold.
const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const MAX_DEPTH: usize = 128;
const MAX_DIGITS: usize = 300;

/// What is read is what stands there, and what is written again is read the same.
pub fn envelope(data: &[u8]) {
    let Ok(event) = decode(data, AUTHOR) else { return };
    let Envelope { id, message, timestamp } = &event;
    assert!(!id.is_empty());
    assert!(YEARS_1_TO_9999.contains(timestamp));
    let text = match message {
        Some(range) => std::str::from_utf8(&data[range.clone()]).expect("it is UTF-8"),
        None => "null",
    };
    let raw: &RawValue = serde_json::from_str(text).expect("the message is one JSON value");
    assert_eq!(raw.get(), text, "with nothing around it");
    assert!(depth(text) <= MAX_DEPTH);
    // The limits of that reader are lower.
    if depth(text) < MAX_DEPTH && digits(text) <= MAX_DIGITS {
        serde_json::from_str::<Value>(text).expect("a reader takes all that was let through");
    }

    let again = encode("id", AUTHOR, text.as_bytes(), *timestamp);
    let read = decode(&again, AUTHOR).expect("what is written can be read");
    let same = read.message.map(|range| &again[range]);
    assert_eq!((read.timestamp, same), (*timestamp, Some(text.as_bytes())));
    assert!(decode(&encode("id", "somebody else", text.as_bytes(), *timestamp), AUTHOR).is_err());
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
    }
    deepest
}

fn digits(text: &str) -> usize {
    text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max().unwrap_or_default()
}

//! Several events in one signed message: what any listed peer may send, two bytes and lengths before each.

use depinmesh_core::pubsub::batch::{Broken, Parts};

use crate::envelope;

const MAGIC: [u8; 2] = [0xb1, 0x01];

/// The parts stand one behind the other, nothing is left out without a word, and each is an event or none by itself.
pub fn batch(data: &[u8]) {
    let parts: Vec<_> = Parts::of(data).collect();
    let Some(inner) = data.strip_prefix(&MAGIC) else {
        assert_eq!(parts, [Ok(0..data.len())]);
        return;
    };
    let mut at = MAGIC.len();
    for (number, part) in parts.iter().enumerate() {
        match part {
            Ok(part) => {
                let header = part.start - at;
                assert!((1..=3).contains(&header) && part.end <= data.len());
                // The length is what the bytes before it say.
                let said = data[at..part.start].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
                assert_eq!(said, part.len());
                at = part.end;
                envelope(&data[part.clone()]);
            }
            Err(Broken) => assert_eq!(number + 1, parts.len(), "nothing can be read behind it"),
        }
    }
    let broken = parts.last().is_none_or(Result::is_err);
    assert!(broken || at == data.len(), "{} of {} bytes were read", at, data.len());
    assert!(!inner.is_empty() || broken, "no event is no batch");
}

use proptest::prelude::*;

use super::*;
use crate::pubsub::envelope;

fn write(limit: usize, envelopes: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let mut batch = Writer::new(limit);
    let taken = envelopes.iter().take_while(|envelope| batch.add(envelope)).count();
    (batch.finish(), taken)
}

fn read(data: &[u8]) -> Vec<Result<&[u8], Broken>> {
    Parts::of(data).map(|part| part.map(|range| &data[range])).collect()
}

#[test]
fn a_batch_has_exactly_these_bytes() {
    let events = [envelope::encode("a", "", b"1", 1), envelope::encode("b", "", b"2", 1)];
    let (data, taken) = write(MAX_BATCH, &events);
    let mut expected = vec![0xb1, 0x01];
    for event in [
        r#"{"id":"a","from_peer":"","message":1,"timestamp":1}"#,
        r#"{"id":"b","from_peer":"","message":2,"timestamp":1}"#,
    ] {
        expected.push(0x33);
        expected.extend_from_slice(event.as_bytes());
    }
    assert_eq!((data, taken), (expected, 2));
}

#[test]
fn an_event_alone_is_no_batch() {
    for data in [envelope::encode("a", "", b"1", 1), vec![], vec![0xb1], vec![0xb1, 2, 0]] {
        assert!(!is_batch(&data));
        assert_eq!(read(&data), [Ok(data.as_slice())]);
    }
}

#[test]
fn a_batch_stays_within_its_limit() {
    for limit in [100, 32_768, usize::MAX] {
        for size in [0, 1, 95, 127, 128, 16_383, 16_384, 32_763, 32_764] {
            let (data, taken) = write(limit, &vec![vec![b' '; size]; 40_000]);
            assert!(data.len() <= limit.min(MAX_BATCH), "{limit} {size}: {}", data.len());
            assert_eq!(taken > 0, size + 5 <= limit.min(MAX_BATCH), "{limit} {size}");
        }
    }
}

#[test]
fn what_is_cut_off_ends_the_reading() {
    assert_eq!(read(&[0xb1, 1]), [Err(Broken)]);
    assert_eq!(read(&[0xb1, 1, 1, b'a', 2, b'b']), [Ok(b"a".as_slice()), Err(Broken)]);
    assert_eq!(read(&[0xb1, 1, 0, 1, b'a']), [Ok(b"".as_slice()), Ok(b"a")]);
    assert_eq!(read(&[0xb1, 1, 0x80]), [Err(Broken)]);
    assert_eq!(read(&[0xb1, 1, 0x80, 0x80, 0x80, 0, 1, b'a']), [Err(Broken)]);
    assert_eq!(read(&[&[0xb1, 1], [0xff; 20].as_slice()].concat()), [Err(Broken)]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..100)) {
        let (data, taken) = write(MAX_BATCH, &events);
        let read: Vec<_> = read(&data).into_iter().map(|part| part.unwrap().to_vec()).collect();
        prop_assert_eq!(&read, &events[..taken]);
    }

    #[test]
    fn reading_ends(data in prop::collection::vec(any::<u8>(), 0..1_000)) {
        let data = [MAGIC.as_slice(), &data].concat();
        let parts = read(&data);
        prop_assert!((1..=data.len()).contains(&parts.len()));
        prop_assert!(parts.iter().rev().skip(1).all(Result::is_ok));
    }
}

use proptest::prelude::*;

use super::*;

/// That is taken.
const LONGEST: usize = 64;

fn number(mut value: usize) -> Vec<u8> {
    let digit = |value: usize| u8::try_from(value % 0x80).expect("seven bits");
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(digit(value) | 0x80);
        value >>= 7;
    }
    bytes.push(digit(value));
    bytes
}

fn field(field: usize, content: &[u8]) -> Vec<u8> {
    [number(field << 3 | 2), number(content.len()), content.to_vec()].concat()
}

fn frame(content: &[u8]) -> Vec<u8> {
    [number(content.len()), content.to_vec()].concat()
}

/// IHAVE, IWANT, IDONTWANT with an id of so many bytes, behind other ids.
fn naming(length: usize) -> [Vec<u8>; 3] {
    let ids = |number| [field(number, &[1; 46]), field(number, &vec![2; length])].concat();
    [field(1, &[field(1, b"db_topic"), ids(2)].concat()), field(2, &ids(1)), field(5, &ids(1))]
        .map(|action| frame(&field(3, &action)))
}

/// Subscriptions, a message, a graft and a prune: everything else that a peer sends.
fn ordinary() -> Vec<u8> {
    let subscription = field(1, &[&[8, 1][..], &field(2, &[b't'; 600])].concat());
    let message = field(2, &[field(1, &[3; 38]), field(2, &vec![4; 70_000]), field(4, b"db_topic")].concat());
    let prune = [field(1, b"db_topic"), field(2, &field(1, &[5; 200])), vec![24, 60]].concat();
    let control = field(3, &[field(3, &field(1, &[b't'; 600])), field(4, &prune), field(6, &[80, 1])].concat());
    frame(&[subscription, message, control].concat())
}

/// What is handed on of pieces that come one after the other, and how many ids were left out.
fn pass<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, u64) {
    let (mut frames, mut out, mut held, mut left_out) = (Frames::default(), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let mut bytes = [&held[..], piece].concat();
        let passed = frames.pass(&mut bytes, held.len());
        assert!(passed.held <= MAX_HELD);
        held = bytes.split_off(bytes.len() - passed.held);
        out.extend(bytes);
        left_out += passed.left_out;
    }
    out.extend(held);
    (out, left_out)
}

fn whole(bytes: &[u8]) -> (Vec<u8>, u64) {
    pass([bytes])
}

#[test]
fn an_id_of_any_message_passes_and_a_longer_one_is_given_a_field_that_there_is_not() {
    for (fits, long) in naming(LONGEST).into_iter().zip(naming(LONGEST + 1)) {
        let bytes = [ordinary(), fits, ordinary()].concat();
        assert_eq!(whole(&bytes), (bytes, 0));
        let (out, left_out) = whole(&long);
        let changed: Vec<_> = out.iter().zip(&long).filter(|(now, before)| now != before).collect();
        assert_eq!((changed.len(), left_out), (1, 1));
        assert_eq!(*changed[0].0, NO_FIELD);
        // The size of the id comes next.
        let at = out.iter().zip(&long).position(|(now, before)| now != before).expect("a change");
        assert_eq!(usize::from(out[at + 1]), LONGEST + 1);
    }
}

#[test]
fn pieces_may_end_anywhere() {
    let bytes = [naming(46).concat(), ordinary(), naming(1_000).concat(), naming(46).concat()].concat();
    let expected = whole(&bytes);
    assert_eq!(expected.1, 3);
    assert_eq!(pass(bytes.chunks(1)), expected);
    for size in 2..40 {
        assert_eq!(pass(bytes.chunks(size)), expected, "{size}");
    }
}

#[test]
fn a_key_that_is_longer_than_it_needs_to_be_hides_nothing() {
    let long = [&[0x8a, 0x80, 0x00][..], &number(65), &[7; 65]].concat();
    let bytes = frame(&field(3, &field(5, &long)));
    for size in [1, 2, 3, 1_000] {
        let (out, left_out) = pass(bytes.chunks(size));
        assert_eq!(left_out, 1);
        assert!(out.windows(3).any(|key| key == [0xfa, 0x80, 0x00]), "{out:?}");
    }
}

#[test]
fn what_cannot_be_decoded_hides_nothing_of_the_next_frame() {
    let [_, _, long] = naming(65);
    let too_long_number = [0xff; 12];
    // No such type; a number that is too long, as a key and as a size; more than the frame has; a key at its end; a
    // message that ends within a field, and within a number; the end of a group that has not begun.
    let cases = [
        vec![],
        vec![3 << 3 | 7, 1, 2],
        too_long_number.to_vec(),
        [&[26][..], &too_long_number].concat(),
        vec![26, 100, 1],
        vec![26],
        vec![26, 3, 42, 1, 10],
        vec![26, 2, 42, 0x80, 0, 0, 0],
        vec![9 << 3 | 4, 26, 2, 1, 1],
    ];
    for case in cases {
        let bytes = [frame(&case), ordinary(), long.clone(), ordinary()].concat();
        for size in [1, 1_000_000] {
            assert_eq!(pass(bytes.chunks(size)).1, 1, "{case:?}");
        }
    }
}

#[test]
fn other_fields_hide_nothing() {
    let long = field(3, &field(5, &field(1, &[0; 65])));
    let (eight, four) = ([9 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8], [9 << 3 | 5, 1, 2, 3, 4]);
    let (number, group) = ([9 << 3, 0xff, 0x01], [9 << 3 | 3, 8, 1, 9 << 3 | 4]);
    // Field 3 in a group is no control, so that what it has may be anything.
    let odd_group = [9 << 3 | 3, 26, 1, 0xff, 9 << 3 | 4];
    let groups = [9 << 3 | 3, 10 << 3 | 3, 26, 1, 0xff, 10 << 3 | 4, 9 << 3 | 4];
    for other in [&eight[..], &four, &number, &group, &odd_group, &groups] {
        assert_eq!(whole(&frame(&[other, &long].concat())).1, 1, "{other:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_gone_through(bytes in prop::collection::vec(any::<u8>(), 0..400), size in 1_usize..400) {
        prop_assert_eq!(pass(bytes.chunks(size)), whole(&bytes));
    }
}

//! As much of the protobuf encoding as a lie needs.

/// A field of bytes.
pub(crate) fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], varint(value.len() as u64).as_slice(), value].concat()
}

/// A field that is a number.
pub(crate) fn number(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3], varint(value).as_slice()].concat()
}

/// The length of a message before it, as on most streams.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [varint(message.len() as u64).as_slice(), message].concat()
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut encoded = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            encoded.push(low);
            return encoded;
        }
        encoded.push(low | 0x80);
    }
}

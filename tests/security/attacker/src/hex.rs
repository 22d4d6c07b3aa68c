//! Bytes as hexadecimal text, the way they come in and go out on the lines of a session.

use crate::Result;

pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<u32>>>();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks_exact(2)
            .map(|pair| u8::try_from(pair[0] << 4 | pair[1]))
            .collect::<std::result::Result<_, _>>()?),
        _ => Err("not an even number of hexadecimal digits".into()),
    }
}

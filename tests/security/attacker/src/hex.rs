//! Bytes as hexadecimal text, the way they come in and go out on the lines of a session.

use crate::Result;

pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Eight bytes at a time: floods are long, and this is built without optimisation.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>> {
    const WRONG: &str = "not an even number of hexadecimal digits";
    if !text.len().is_multiple_of(2) || text.contains('+') {
        return Err(WRONG.into());
    }
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for begin in (0..text.len()).step_by(16) {
        let digits = text.get(begin..text.len().min(begin + 16)).ok_or(WRONG)?;
        let number = u64::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        bytes.extend_from_slice(&number.to_be_bytes()[8 - digits.len() / 2..]);
    }
    Ok(bytes)
}

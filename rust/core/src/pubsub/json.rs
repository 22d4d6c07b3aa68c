//! What the grammar of JSON allows, but a reader in the host language cannot hold.

use super::envelope::Defect;

/// Arrays and objects within each other.
const MAX_DEPTH: usize = 128;

/// Longer integers are refused by Python and its JSON readers, because reading them takes time in the square of the
/// length. The readers count the digits before the point of a fraction too.
const MAX_DIGITS: usize = 4_300;

/// So many digits and no exponent stay below the largest `f64`, about 1.8e308.
const ALWAYS_FINITE: usize = 308;

/// Walks once over `text`, which must be one valid JSON value, without recursion and without allocating.
pub(super) fn check(text: &str) -> Result<(), Defect> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at + 1)?;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                at = end_of_number(text, at)?;
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Defect::Depth);
                }
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// `at` is behind the opening quote, the result behind the closing one.
fn end_of_string(bytes: &[u8], mut at: usize) -> Result<usize, Defect> {
    loop {
        match bytes[at] {
            b'"' => return Ok(at + 1),
            b'\\' if bytes[at + 1] == b'u' => match unit(bytes, at) {
                0xd800..=0xdbff => {
                    let paired = bytes[at + 6..].starts_with(b"\\u") && matches!(unit(bytes, at + 6), 0xdc00..=0xdfff);
                    if !paired {
                        return Err(Defect::Surrogate);
                    }
                    at += 12;
                }
                0xdc00..=0xdfff => return Err(Defect::Surrogate),
                _ => at += 6,
            },
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The UTF-16 code unit of the escape `\uXXXX` at `at`.
fn unit(bytes: &[u8], at: usize) -> u32 {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
    bytes[at + 2..at + 6].iter().fold(0, |unit, &byte| unit << 4 | digit(byte))
}

fn end_of_number(text: &str, at: usize) -> Result<usize, Defect> {
    let belongs = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let length = text.as_bytes()[at..].iter().take_while(|byte| belongs(byte)).count();
    let number = &text[at..at + length];
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let finite = || {
        digits == unsigned.len()
            || (digits <= ALWAYS_FINITE && !unsigned.contains(['e', 'E']))
            || number.parse::<f64>().is_ok_and(f64::is_finite)
    };
    if digits <= MAX_DIGITS && finite() { Ok(at + length) } else { Err(Defect::Number) }
}

#[cfg(test)]
mod tests;

//! Several events of one author and topic in one signed message, between depinmesh nodes only (docs/wire.md section 9).
//!
//! A signature is most of what a small event costs. A batch is two bytes that begin no JSON and no UTF-8, and then the
//! envelopes, each after its length.

use std::ops::Range;

use super::wire::MAX_BATCH;

const MAGIC: [u8; 2] = [0xb1, 0x01];
/// Seven bits of a length in each byte: more than [`MAX_BATCH`] has, so a longer one is no length.
const MAX_LENGTH_BYTES: usize = 3;

/// A batch that is being written; it stays within a number of bytes.
pub(crate) struct Writer {
    data: Vec<u8>,
    limit: usize,
}

impl Writer {
    /// `limit` in bytes, and never more than a batch may have.
    pub(crate) fn new(limit: usize) -> Self {
        Self { data: MAGIC.to_vec(), limit: limit.min(MAX_BATCH) }
    }

    /// Whether the envelope had room, and is in.
    pub(crate) fn add(&mut self, envelope: &[u8]) -> bool {
        let mut length = envelope.len();
        if self.data.len() + MAX_LENGTH_BYTES + length > self.limit {
            return false;
        }
        while length >= 0x80 {
            self.data.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        self.data.push(length.to_le_bytes()[0]);
        self.data.extend_from_slice(envelope);
        true
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.data
    }
}

/// Where in the data of a message its envelopes stand: one alone, or those of a batch. `Err` comes once, and last: nothing
/// can be read from there on.
pub struct Parts<'a> {
    data: &'a [u8],
    /// Where the next one begins; `None` at the end.
    at: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl<'a> Parts<'a> {
    pub fn of(data: &'a [u8]) -> Self {
        Self { data, at: Some(if is_batch(data) { MAGIC.len() } else { 0 }) }
    }

    fn envelope(&self, at: usize) -> Option<Range<usize>> {
        if !is_batch(self.data) {
            return Some(0..self.data.len());
        }
        let (length, bytes) = length(&self.data[at..])?;
        let start = at + bytes;
        (length <= self.data.len() - start).then_some(start..start + length)
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Range<usize>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        let envelope = self.envelope(at);
        self.at = envelope.as_ref().map(|envelope| envelope.end).filter(|end| *end < self.data.len());
        Some(envelope.ok_or(Broken))
    }
}

pub(crate) fn is_batch(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// The length that stands there, and how many bytes it takes.
fn length(data: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (i, byte) in data.iter().take(MAX_LENGTH_BYTES).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((length, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests;

//! Goes through gossip's frames while they are read, and leaves out ids of messages that are longer than any there is.
//!
//! Gossip keeps the ids that a peer names for some seconds, counts them, and takes each at any length: a listed peer could
//! so fill the memory as fast as its link carries it. Nothing of the library lets us look at them before. What is left out
//! gets a number of a field that there is not, which the decoder passes over: an honest peer that passes on what another one
//! has made up keeps its connection.
//!
//! A frame is a protobuf message behind its length; the numbers of the fields are those of the GossipSub specification.
//! What the library cannot decode it throws away, and with it the stream, so the rest of such a frame is passed over here.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use futures::AsyncRead;
use libp2p::{PeerId, core::muxing::SubstreamBox};

use crate::{limited::Limited, metrics::Counters};

/// An author and a sequence number take 46 bytes.
const MAX_ID: u64 = 64;

/// The key of field 15, of bytes: no message of gossip has it.
const NO_FIELD: u8 = 15 << 3 | 2;

/// A key and a size have at most ten bytes each.
const MAX_HELD: usize = 20;

/// Reads a stream of gossip.
pub(super) struct Incoming {
    frames: Frames,
    held: Vec<u8>,
    peer: PeerId,
    long_ids: Arc<LongIds>,
}

impl Incoming {
    pub(super) fn new(peer: PeerId, long_ids: Arc<LongIds>) -> Self {
        Self { frames: Frames::default(), held: Vec::new(), peer, long_ids }
    }

    pub(super) fn poll_read(
        &mut self,
        inner: &mut SubstreamBox,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if into.len() <= MAX_HELD {
            // The codec of gossip reads 8 KiB.
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        loop {
            let held = self.held.len();
            let read = ready!(Pin::new(&mut *inner).poll_read(cx, &mut into[held..]))?;
            into[..held].copy_from_slice(&self.held);
            self.held.clear();
            if read == 0 {
                return Poll::Ready(Ok(held));
            }
            let end = held + read;
            let passed = self.frames.pass(&mut into[..end], held);
            if passed.left_out > 0 {
                self.long_ids.left_out(&self.peer, passed.left_out);
            }
            let (ready, rest) = into[..end].split_at(end - passed.held);
            self.held.extend_from_slice(rest);
            if !ready.is_empty() {
                return Poll::Ready(Ok(ready.len()));
            }
        }
    }
}

/// Tells of the ids that were left out, of all connections.
pub(super) struct LongIds {
    counters: Arc<Counters>,
    lines: Mutex<Limited>,
}

impl LongIds {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, lines: Mutex::default() }
    }

    fn left_out(&self, peer: &PeerId, count: u64) {
        self.counters.dropped.add("long-id", count);
        let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
        if let Some(more) = line {
            tracing::warn!(peer_id = %peer, more, "a peer names messages by ids that none has: they are left out");
        }
    }
}

/// What has been read of a stream, up to any byte.
#[derive(Default)]
struct Frames {
    /// The messages that the next byte belongs to, outermost first, and where each of them ends. None between two frames.
    open: Vec<(u64, Message)>,
    /// Groups that are open in the innermost one: what is in them belongs to no field.
    groups: u32,
    /// Bytes read, all in all.
    at: u64,
    /// Bytes from here that are of no interest.
    skip: u64,
    expected: Expected,
    /// Of the number that is being read.
    value: u64,
    shift: u32,
    /// Where the key that was read last stands in the piece at hand.
    key_at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Message {
    Rpc,
    Control,
    /// IHAVE, IWANT or IDONTWANT, and its field with ids.
    Named {
        ids: u64,
    },
}

/// What the number that comes next says.
#[derive(Clone, Copy, Default)]
enum Expected {
    #[default]
    FrameSize,
    Key,
    Size {
        field: u64,
    },
    Nothing,
}

/// What came of a piece.
#[derive(Debug, Default, PartialEq)]
struct Passed {
    /// Bytes at its end that are to be handed on only with the next piece, in front of it.
    held: usize,
    /// Ids that were left out.
    left_out: u64,
}

impl Frames {
    /// Takes what comes next, in pieces of any size. The first `held` bytes are those that were held back before.
    fn pass(&mut self, bytes: &mut [u8], held: usize) -> Passed {
        let (mut next, mut left_out) = (held, 0);
        self.key_at = 0;
        while next < bytes.len() {
            if self.skip > 0 {
                let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len() - next);
                next += passed;
                self.skip -= passed as u64;
                self.at = self.at.saturating_add(passed as u64);
            } else {
                if self.shift == 0 && matches!(self.expected, Expected::Key) {
                    self.key_at = next;
                }
                self.at = self.at.saturating_add(1);
                if self.digit(bytes[next]) {
                    bytes[self.key_at] = bytes[self.key_at] & 0x80 | NO_FIELD;
                    left_out += 1;
                }
                next += 1;
            }
            self.leave();
        }
        Passed { held: if self.may_be_an_id() { bytes.len() - self.key_at } else { 0 }, left_out }
    }

    /// A key, or the size behind it, has not ended yet.
    fn may_be_an_id(&self) -> bool {
        let named = matches!(self.open.last(), Some((_, Message::Named { .. }))) && self.skip == 0 && self.groups == 0;
        named
            && (matches!(self.expected, Expected::Size { .. })
                || matches!(self.expected, Expected::Key) && self.shift > 0)
    }

    /// One of the seven-bit digits of which a number is made, the lowest first. `true`: that of an id that is too long.
    fn digit(&mut self, byte: u8) -> bool {
        self.value |= u64::from(byte & 0x7f) << self.shift;
        if byte & 0x80 == 0 {
            let value = std::mem::take(&mut self.value);
            self.shift = 0;
            return self.number(value);
        }
        self.shift += 7;
        if self.shift >= u64::BITS {
            self.pass_over();
        }
        false
    }

    fn number(&mut self, value: u64) -> bool {
        match self.expected {
            Expected::FrameSize => self.enter(value, Message::Rpc),
            Expected::Key => match value & 7 {
                0 => self.expected = Expected::Nothing,
                1 => self.skip(8),
                2 => self.expected = Expected::Size { field: value >> 3 },
                3 => self.groups = self.groups.saturating_add(1),
                4 if self.groups > 0 => self.groups -= 1,
                5 => self.skip(4),
                _ => self.pass_over(),
            },
            Expected::Size { field } => {
                self.expected = Expected::Key;
                match (self.open.last().map(|(_, message)| *message), field) {
                    _ if self.groups > 0 => self.skip(value),
                    (Some(Message::Rpc), 3) => self.enter(value, Message::Control),
                    (Some(Message::Control), 1) => self.enter(value, Message::Named { ids: 2 }),
                    (Some(Message::Control), 2 | 5) => self.enter(value, Message::Named { ids: 1 }),
                    (Some(Message::Named { ids }), field) => {
                        self.skip(value);
                        return field == ids && value > MAX_ID;
                    }
                    _ => self.skip(value),
                }
            }
            Expected::Nothing => self.expected = Expected::Key,
        }
        false
    }

    fn enter(&mut self, size: u64, message: Message) {
        if size > self.room() {
            return self.pass_over();
        }
        self.open.push((self.at.saturating_add(size), message));
        self.expected = Expected::Key;
    }

    fn skip(&mut self, size: u64) {
        if size > self.room() {
            return self.pass_over();
        }
        self.skip = size;
    }

    /// What is left of the innermost message. A frame may be as long as it likes: the decoder judges that.
    fn room(&self) -> u64 {
        self.open.last().map_or(u64::MAX, |(end, _)| end.saturating_sub(self.at))
    }

    /// Leaves the messages that end here.
    fn leave(&mut self) {
        while let Some((end, message)) = self.open.last().copied()
            && end <= self.at
        {
            let complete = matches!(self.expected, Expected::Key) && self.shift == 0 && self.groups == 0;
            if message == Message::Rpc {
                self.open.clear();
                (self.expected, self.value, self.shift, self.groups) = (Expected::FrameSize, 0, 0, 0);
            } else if complete {
                self.open.pop();
            } else {
                self.pass_over();
            }
        }
    }

    /// It cannot be decoded: on to the next frame, or to the end of the stream when not even the size of this one can.
    fn pass_over(&mut self) {
        self.open.truncate(1);
        self.skip = self.room();
        (self.expected, self.value, self.shift, self.groups) = (Expected::Key, 0, 0, 0);
    }
}

#[cfg(test)]
mod tests;

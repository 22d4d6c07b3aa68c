//! Ends a connection on which the other side has stopped to read gossip, and one that cannot be closed in order; leaves ids
//! out of what gossip reads that no message has (`frames.rs`), and has a closing node wait for its peers (`farewell.rs`).
//!
//! Gossip bounds what waits for a peer by number alone, and drops what has waited too long only when it can send something
//! again. A peer that answers pings and reads nothing would so hold thousands of messages, of any size, for as long as it
//! likes. Only streams of gossip are watched: one that carries a circuit stands still when its other end does.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use libp2p::{
    PeerId, Transport as _,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
        transport::Boxed,
    },
};

use crate::{
    metrics::Counters,
    swarm::{
        farewell::{Connection, Outflow, Shared},
        frames::{Incoming, LongIds},
    },
};

/// As long as gossip lets a message wait. Pings wake the connection, and with it its streams, more often than that.
const LIMIT: Duration = Duration::from_secs(5);
/// What has to pass within that time of a stream that had stood still: a byte now and then is no reading.
const PROGRESS: usize = 32 * 1024;

/// A connection that is closed gets this long to send what it still holds, and its goodbye. Nobody at the other end may
/// take it any more: TCP would try for a quarter of an hour, and for ever at a peer that is there and does not read. A
/// peer that is back waits for it before the door (`door.rs`), a little longer than this.
const CLOSE_LIMIT: Duration = Duration::from_millis(300);

/// What the names of gossip's protocols begin with.
const GOSSIP: [&[u8]; 2] = [b"/meshsub/", b"/floodsub/"];
/// What multistream-select says first, which is no name of a protocol.
const GREETING: &[u8] = b"/multistream/";

pub(crate) fn watched(
    transport: Boxed<(PeerId, StreamMuxerBox)>,
    counters: Arc<Counters>,
    outflow: Arc<Outflow>,
) -> Boxed<(PeerId, StreamMuxerBox)> {
    let long_ids = Arc::new(LongIds::new(counters));
    transport
        .map(move |(peer, inner), _| {
            let unread = Arc::new(AtomicBool::new(false));
            let (long_ids, outflow) = (Arc::clone(&long_ids), Arc::clone(&outflow));
            let farewell = outflow.connection();
            let muxer = Muxer { inner, peer, unread, long_ids, outflow, farewell, closing: None };
            (peer, StreamMuxerBox::new(muxer))
        })
        .boxed()
}

struct Muxer {
    inner: StreamMuxerBox,
    peer: PeerId,
    unread: Arc<AtomicBool>,
    long_ids: Arc<LongIds>,
    outflow: Arc<Outflow>,
    farewell: Arc<Connection>,
    /// Runs from the first try to close it.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Muxer {
    fn stream(&self, inner: SubstreamBox, incoming: Option<Incoming>) -> Stream {
        Stream {
            inner: Shared::new(inner),
            unread: self.unread.clone(),
            outflow: Arc::clone(&self.outflow),
            farewell: Arc::clone(&self.farewell),
            opening: Some(Opening::default()),
            gossip: false,
            incoming,
            blocked_since: None,
            passed: 0,
        }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        // Gossip comes in on streams that the other side has opened.
        let incoming = Incoming::new(self.peer, Arc::clone(&self.long_ids));
        Poll::Ready(Ok(self.stream(inner, Some(incoming))))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(self.stream(inner, None)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.farewell.closes();
        let closed = Pin::new(&mut self.inner).poll_close(cx);
        if closed.is_pending() {
            let limit = self.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_LIMIT)));
            ready!(limit.as_mut().poll(cx));
            // Whoever closes it lets go of it now, and of its socket.
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        closed
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        if self.unread.load(Relaxed) {
            let text = "the other side has stopped to read what gossip sends it";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        self.farewell.poll(&self.outflow, cx);
        Pin::new(&mut self.inner).poll(cx)
    }
}

struct Stream {
    inner: Shared,
    unread: Arc<AtomicBool>,
    outflow: Arc<Outflow>,
    farewell: Arc<Connection>,
    /// Until what was written shows what the stream is for.
    opening: Option<Opening>,
    gossip: bool,
    incoming: Option<Incoming>,
    blocked_since: Option<Instant>,
    /// What has passed since then.
    passed: usize,
}

/// What is written first on a stream: the lines of multistream-select, each behind its length. The other side cannot hide
/// which protocol it is about by asking for others first, as those are answered by lines that name none.
#[derive(Default)]
struct Opening {
    /// Of the line: what of it is to come, and how it begins.
    left: usize,
    line: Vec<u8>,
    /// Of its length, seven bits at a time.
    length: usize,
    shift: u32,
}

impl Opening {
    /// Returns whether the stream is one of gossip as soon as a line says so.
    fn is_gossip(&mut self, bytes: &[u8]) -> Option<bool> {
        for &byte in bytes {
            if self.left == 0 {
                self.length |= usize::from(byte & 0x7f) << self.shift;
                self.shift += 7;
                if byte & 0x80 == 0 {
                    *self = Self { left: self.length, ..Self::default() };
                } else if self.shift > 14 {
                    return Some(false);
                }
                continue;
            }
            if self.line.len() < GREETING.len() {
                self.line.push(byte);
            }
            self.left -= 1;
            if self.left == 0 && self.line.starts_with(b"/") && self.line != GREETING {
                return Some(GOSSIP.iter().any(|name| self.line.starts_with(name)));
            }
        }
        None
    }
}

impl Stream {
    fn opened(&mut self, bytes: &[u8]) {
        if let Some(opening) = &mut self.opening
            && let Some(gossip) = opening.is_gossip(bytes)
        {
            (self.gossip, self.opening) = (gossip, None);
            if gossip && self.incoming.is_none() {
                self.farewell.opened(self.inner.clone());
            }
        }
    }

    fn stand_still(&mut self, since: Option<Instant>) {
        if since.is_some() != self.blocked_since.is_some() {
            self.outflow.block(since.is_some());
        }
        (self.blocked_since, self.passed) = (since, 0);
    }

    /// Takes the time for which too little passes; the connection ends when that is too long. Nothing is left to send when
    /// `all` of it has passed.
    fn judge<T>(&mut self, polled: Poll<io::Result<T>>, all: bool) -> Poll<io::Result<T>> {
        if !self.gossip || (all && polled.is_ready()) || self.passed >= PROGRESS {
            self.stand_still(None);
        }
        if self.gossip && polled.is_pending() && self.blocked_since.is_none() {
            self.stand_still(Some(Instant::now()));
        }
        if self.blocked_since.is_some_and(|since| since.elapsed() >= LIMIT) {
            self.unread.store(true, Relaxed);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { inner, incoming, gossip, .. } = &mut *self;
        inner.with(|mut inner| match incoming {
            Some(incoming) if *gossip => incoming.poll_read(&mut inner, cx, into),
            _ => inner.poll_read(cx, into),
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Gossip would open another stream in the place of one that fails, and the peer forget this one, unread.
        if self.inner.has_ended() {
            return Poll::Pending;
        }
        let polled = self.inner.with(|inner| inner.poll_write(cx, bytes));
        if let Poll::Ready(Ok(written)) = &polled {
            if self.gossip {
                self.inner.wrote(*written, &self.outflow);
            }
            self.opened(&bytes[..*written]);
            self.passed = self.passed.saturating_add(*written);
        }
        self.judge(polled, false)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.inner.has_ended() {
            return Poll::Pending;
        }
        let polled = self.inner.with(|inner| inner.poll_flush(cx));
        self.judge(polled, true)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.with(|inner| inner.poll_close(cx))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stand_still(None);
        if self.gossip && self.incoming.is_none() {
            self.farewell.dropped(&self.inner, &self.outflow);
        }
    }
}

#[cfg(test)]
mod tests;

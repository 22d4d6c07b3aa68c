//! Counts what a remote did on the streams of a connection, below every protocol: from the bytes themselves, so that no
//! behaviour has to report it. A gate that holds leaves all of this at zero.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Transport as _,
    core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
};
use serde_json::{Map, Value};

use crate::{sniffer::Sniffer, transport::Connections};

#[derive(Default)]
pub(crate) struct Counters {
    /// Streams that we opened.
    opened: AtomicU64,
    /// Streams that the remote opened.
    accepted: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    /// For each protocol: on how many of our streams the remote agreed to it.
    served: Mutex<BTreeMap<String, u64>>,
}

/// The counters at one moment; the difference of two is what happened in between.
#[derive(Clone, Default)]
pub(crate) struct Counted {
    opened: u64,
    accepted: u64,
    pub(crate) bytes_read: u64,
    bytes_written: u64,
    served: BTreeMap<String, u64>,
}

impl Counters {
    pub(crate) fn now(&self) -> Counted {
        Counted {
            opened: self.opened.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            served: self.served.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn serve(&self, protocol: String) {
        *self.served.lock().unwrap_or_else(PoisonError::into_inner).entry(protocol).or_default() += 1;
    }
}

impl Counted {
    /// What was counted after `before`.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        self.opened -= before.opened;
        self.accepted -= before.accepted;
        self.bytes_read -= before.bytes_read;
        self.bytes_written -= before.bytes_written;
        for (protocol, count) in &before.served {
            if let Some(now) = self.served.get_mut(protocol) {
                *now -= count;
            }
        }
        self.served.retain(|_, count| *count > 0);
        self
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.accepted += other.accepted;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        for (protocol, count) in &other.served {
            *self.served.entry(protocol.clone()).or_default() += count;
        }
    }

    pub(crate) fn streams_served(&self) -> u64 {
        self.served.values().sum()
    }

    /// Adds the counters to a line of output.
    pub(crate) fn write(&self, line: &mut Map<String, Value>) {
        line.insert("streams_opened".to_owned(), self.opened.into());
        line.insert("streams_accepted".to_owned(), self.accepted.into());
        line.insert("streams_served".to_owned(), self.streams_served().into());
        line.insert("protocols".to_owned(), serde_json::json!(self.served));
        line.insert("bytes_read".to_owned(), self.bytes_read.into());
        line.insert("bytes_written".to_owned(), self.bytes_written.into());
    }
}

pub(crate) fn observed(transport: Connections, counters: Arc<Counters>) -> Connections {
    transport
        .map(move |(peer, inner), _| (peer, StreamMuxerBox::new(Muxer { inner, counters: counters.clone() })))
        .boxed()
}

struct Muxer {
    inner: StreamMuxerBox,
    counters: Arc<Counters>,
}

impl Muxer {
    fn stream(&self, inner: SubstreamBox, sniffer: Option<Sniffer>) -> Stream {
        Stream { inner, counters: self.counters.clone(), sniffer }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        self.counters.accepted.fetch_add(1, Relaxed);
        Poll::Ready(Ok(self.stream(inner, None)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        self.counters.opened.fetch_add(1, Relaxed);
        Poll::Ready(Ok(self.stream(inner, Some(Sniffer::default()))))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

struct Stream {
    inner: SubstreamBox,
    counters: Arc<Counters>,
    /// Only on streams that we opened: there the first protocol name that comes back is the remote's consent.
    sniffer: Option<Sniffer>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
        self.counters.bytes_read.fetch_add(count as u64, Relaxed);
        let agreed = self.sniffer.as_mut().and_then(|sniffer| sniffer.feed(&into[..count]));
        if let Some(protocol) = agreed {
            self.counters.serve(protocol);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.counters.bytes_written.fetch_add(count as u64, Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

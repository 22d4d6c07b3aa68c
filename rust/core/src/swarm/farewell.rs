//! What gossip has written and its peers have not read yet, at the end of a node.
//!
//! A QUIC connection that is closed drops what it has not sent, of which it holds megabytes, and one over TCP what its window
//! did not let through. So a stream of gossip on which much was written lately is ended in order before: its other end
//! answers with its own when it has read everything, as rust-libp2p and Go do.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncWrite, task::AtomicWaker};
use libp2p::core::muxing::SubstreamBox;

/// What is less has left within the time that a node lingers anyway, also where it went to many peers.
const MUCH: usize = 8 * 1024;
/// For how long a slow link may be busy with what was written.
const LATELY: Duration = Duration::from_secs(5);

/// Of all connections of a node.
#[derive(Default)]
pub(crate) struct Outflow {
    /// Streams of gossip that stand still.
    blocked: AtomicUsize,
    written: AtomicU64,
    connections: Mutex<Vec<Weak<Connection>>>,
    ends: AtomicBool,
}

/// What a connection has to say when the node closes.
#[derive(Default)]
pub(super) struct Connection {
    waker: AtomicWaker,
    /// The peer has read what was written to it.
    read: AtomicBool,
    /// The streams of gossip that it has opened: one, unless it was tried again.
    opened: Mutex<Vec<Shared>>,
}

impl Outflow {
    pub(super) fn connection(&self) -> Arc<Connection> {
        let connection = Arc::new(Connection::default());
        let mut connections = lock(&self.connections);
        if connections.len() == connections.capacity() {
            connections.retain(|one| one.strong_count() > 0);
        }
        connections.push(Arc::downgrade(&connection));
        connection
    }

    /// The node closes: each connection ends its streams of gossip.
    pub(super) fn end(&self) {
        self.ends.store(true, Release);
        self.each(|connection| connection.waker.wake());
    }

    /// Connections whose peers have not read everything.
    pub(super) fn unread(&self) -> usize {
        let mut unread = 0;
        self.each(|connection| unread += usize::from(!connection.read.load(Relaxed)));
        unread
    }

    fn each(&self, mut work: impl FnMut(&Connection)) {
        lock(&self.connections).iter().filter_map(Weak::upgrade).for_each(|connection| work(&connection));
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) > 0
    }

    pub(super) fn block(&self, blocked: bool) {
        if blocked {
            self.blocked.fetch_add(1, Relaxed);
        } else {
            self.blocked.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }
}

impl Connection {
    pub(super) fn opened(&self, stream: Shared) {
        lock(&self.opened).push(stream);
    }

    /// Gossip has let go of it. At the end of the node the peer may still have to read.
    pub(super) fn dropped(&self, stream: &Shared, outflow: &Outflow) {
        if !outflow.ends.load(Relaxed) {
            lock(&self.opened).retain(|one| !Arc::ptr_eq(&one.0, &stream.0));
        }
    }

    /// It is closed: nobody is waited for any more.
    pub(super) fn closes(&self) {
        self.read.store(true, Relaxed);
    }

    /// To be called before the connection itself is polled, which moves its streams.
    pub(super) fn poll(&self, outflow: &Outflow, cx: &mut Context<'_>) {
        self.waker.register(cx.waker());
        if !outflow.ends.load(Acquire) || self.read.load(Relaxed) {
            return;
        }
        let pending = lock(&self.opened).iter().filter(|stream| lock(&stream.0).poll_end(cx).is_pending()).count();
        self.read.store(pending == 0, Relaxed);
    }
}

/// A stream, in the hands of who writes to it and, if it is one of gossip, of its connection.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Outgoing>>);

struct Outgoing {
    inner: SubstreamBox,
    /// Bytes of the present while and of the one before.
    written: [usize; 2],
    began: Option<Instant>,
    ended: Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Here,
    Both,
}

impl Shared {
    pub(super) fn new(inner: SubstreamBox) -> Self {
        Self(Arc::new(Mutex::new(Outgoing { inner, written: [0; 2], began: None, ended: Ended::No })))
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(Pin<&mut SubstreamBox>) -> T) -> T {
        work(Pin::new(&mut lock(&self.0).inner))
    }

    /// Whether nothing is to be written any more.
    pub(super) fn has_ended(&self) -> bool {
        lock(&self.0).ended != Ended::No
    }

    /// Notes bytes of gossip.
    pub(super) fn wrote(&self, bytes: usize, outflow: &Outflow) {
        outflow.written.fetch_add(bytes as u64, Relaxed);
        let mut outgoing = lock(&self.0);
        outgoing.forget(Instant::now());
        outgoing.written[0] += bytes;
    }
}

impl Outgoing {
    /// Forgets what was written long ago.
    fn forget(&mut self, now: Instant) {
        let whiles = self.began.map_or(2, |began| now.duration_since(began).as_secs() / LATELY.as_secs());
        if whiles > 0 {
            self.written = [0, if whiles == 1 { self.written[0] } else { 0 }];
            self.began = Some(now);
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended == Ended::No {
            self.forget(Instant::now());
            if self.written.iter().sum::<usize>() < MUCH {
                return Poll::Ready(());
            }
            let closed = ready!(Pin::new(&mut self.inner).poll_close(cx));
            self.ended = if closed.is_ok() { Ended::Here } else { Ended::Both };
        }
        while self.ended == Ended::Here {
            // Nothing is said on it in this direction, and an error is an end too.
            if !matches!(ready!(Pin::new(&mut self.inner).poll_read(cx, &mut [0; 64])), Ok(1..)) {
                self.ended = Ended::Both;
            }
        }
        Poll::Ready(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

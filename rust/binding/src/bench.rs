//! The bridge by itself: a thread feeds synthetic events through the real mailbox and ring, with no network behind.
//!
//! Has what the package asks of a subscription, and of a node to wake and drain it, so that benches measure the ways
//! users go.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use depinmesh_core::{
    bridge::waker::Waker,
    events::Control,
    identity::SecretKey,
    pubsub::{Author, Delivered, envelope},
};
use depinmesh_mailbox::{Limits, Mailbox, Overflow, Ring, RingStats, ring};
use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyList};

use crate::{convert::duration, encode::encode, errors::OrRaise as _, mailbox, options::waker_choice, subscription};

/// Its only subscription.
const ID: u64 = 1;

type EventRing = Ring<Control, Arc<Delivered>>;

/// What the feeding thread saw: it stands for a thread of the network.
struct Fed {
    elapsed: Duration,
    in_push: Duration,
    longest_push: Duration,
}

#[pyclass(frozen, module = "depinmesh._core")]
pub(crate) struct BridgeBench {
    mailbox: Arc<Mailbox<Control>>,
    ring: Arc<EventRing>,
    waker: Waker,
    queue_size: usize,
    feeder: Mutex<Option<JoinHandle<Fed>>>,
    stopped: Arc<AtomicBool>,
}

#[pymethods]
impl BridgeBench {
    #[new]
    #[pyo3(signature = (queue_size = 4096, waker = "auto"))]
    fn new(py: Python<'_>, queue_size: usize, waker: &str) -> PyResult<Self> {
        let waker = Waker::new(waker_choice(waker).or_raise(py)?).or_raise(py)?;
        let mailbox = Mailbox::new(waker.wake(), 1024);
        let _ = mailbox.drain(1);
        let limits = Limits { items: queue_size, bytes: usize::MAX, overflow: Overflow::DropNewest };
        let ring = ring(&mailbox, ID, limits);
        Ok(Self { mailbox, ring, waker, queue_size, feeder: Mutex::default(), stopped: Arc::default() })
    }

    /// Starts a thread that pushes `count` events with this message, at most `rate` a second. Where the ring is full
    /// it waits, as the network does not, so that every event arrives.
    #[pyo3(signature = (count, message, rate = f64::INFINITY))]
    fn feed(&self, py: Python<'_>, count: u64, message: &Bound<'_, PyAny>, rate: f64) -> PyResult<()> {
        let json = encode(message).or_raise(py)?.json;
        let (mailbox, ring, stopped) = (Arc::clone(&self.mailbox), Arc::clone(&self.ring), Arc::clone(&self.stopped));
        let room = self.queue_size;
        let feeder = thread::Builder::new()
            .name("depinmesh-bench".to_owned())
            .spawn(move || feed(&mailbox, &ring, count, &json, rate, room, &stopped))?;
        *self.feeder() = Some(feeder);
        Ok(())
    }

    /// Waits for that thread: seconds that it ran, that it spent in pushes, and the longest push.
    fn fed(&self, py: Python<'_>) -> PyResult<(f64, f64, f64)> {
        let feeder = self.feeder().take();
        let fed = py.detach(|| feeder.and_then(|feeder| feeder.join().ok()));
        let fed = fed.ok_or_else(|| PyRuntimeError::new_err("nothing is being fed"))?;
        Ok((fed.elapsed.as_secs_f64(), fed.in_push.as_secs_f64(), fed.longest_push.as_secs_f64()))
    }

    fn wake_fd(&self) -> i32 {
        self.waker.descriptor().unwrap_or(-1)
    }

    fn clear_wake(&self) {
        self.waker.clear();
    }

    #[pyo3(signature = (timeout, /))]
    fn wait_wake(&self, py: Python<'_>, timeout: f64) -> bool {
        py.detach(|| self.waker.wait(duration(timeout)).unwrap_or(false))
    }

    #[pyo3(signature = (limit, /))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Option<Bound<'py, PyList>>> {
        mailbox::drain(py, &self.mailbox, limit)
    }

    fn abort(&self) {
        self.close();
    }

    #[classattr]
    fn id() -> u64 {
        ID
    }

    #[pyo3(signature = (limit, /))]
    fn take<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Option<Bound<'py, PyList>>> {
        subscription::take(py, limit, |events| self.ring.take(limit, events))
    }

    fn stats(&self) -> (u64, u64, usize, usize) {
        let RingStats { delivered, dropped, pending, pending_bytes } = self.ring.stats();
        (delivered, dropped, pending, pending_bytes)
    }

    fn close(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.ring.close();
        self.mailbox.close();
    }
}

impl BridgeBench {
    fn feeder(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<Fed>>> {
        self.feeder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn feed(
    mailbox: &Mailbox<Control>,
    ring: &EventRing,
    count: u64,
    json: &[u8],
    rate: f64,
    room: usize,
    stopped: &AtomicBool,
) -> Fed {
    let key = SecretKey::generate();
    let author = Arc::new(Author::new(key.peer_id(), key.wallet()));
    let topic: Arc<str> = Arc::from("bench");
    let mut fed = Fed { elapsed: Duration::ZERO, in_push: Duration::ZERO, longest_push: Duration::ZERO };
    let started = Instant::now();
    for number in 0..count {
        let event = Arc::new(synthetic(&author, &topic, json, number));
        let due = Duration::try_from_secs_f64(number as f64 / rate).unwrap_or_default();
        while let Some(early) = due.checked_sub(started.elapsed()).filter(|early| !early.is_zero()) {
            thread::sleep(early);
        }
        while ring.stats().pending >= room && !stopped.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_micros(20));
        }
        let bytes = event.data.len();
        let pushing = Instant::now();
        ring.push(event, bytes);
        mailbox.flush();
        let took = pushing.elapsed();
        fed.in_push += took;
        fed.longest_push = fed.longest_push.max(took);
    }
    fed.elapsed = started.elapsed();
    fed
}

/// As an event comes out of the checks of the core.
fn synthetic(author: &Arc<Author>, topic: &Arc<str>, json: &[u8], number: u64) -> Delivered {
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    let data = envelope::encode(&id, &author.peer_text, json, 1_700_000_000);
    // The message stands before `,"timestamp":1700000000}`.
    let end = data.len() - ",\"timestamp\":1700000000}".len();
    Delivered {
        id,
        topic: Arc::clone(topic),
        author: Arc::clone(author),
        message: end - json.len()..end,
        data,
        timestamp: 1_700_000_000,
        received_at: SystemTime::now(),
    }
}

//! Events that wait for the swarm: bounded in number and bytes, so that a publisher without bounds is told, not served.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    error::{Error, ErrorKind},
    pubsub::Delivered,
};

const MAX_EVENTS: usize = 1_024;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// One event on its way to gossip.
pub(crate) struct Outgoing {
    pub full_topic: String,
    pub event: Arc<Delivered>,
}

impl Outgoing {
    pub(crate) fn envelope(&self) -> &[u8] {
        &self.event.data
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    closed: bool,
    /// Operations that wait for room.
    waiting: Vec<u64>,
}

#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

impl Outbox {
    pub(crate) fn push(&self, event: Outgoing) -> Result<(), Error> {
        {
            let mut state = self.state();
            if state.closed {
                return Err(Error::closed());
            }
            let size = event.envelope().len();
            // One event always fits, however large the configured limit.
            if state.queue.len() >= MAX_EVENTS || (state.bytes + size > MAX_BYTES && !state.queue.is_empty()) {
                return Err(Error::new(
                    ErrorKind::Backpressure,
                    "the queue of events to send is full; publish slower, or await publish(), which waits for room",
                )
                .with("queued", state.queue.len()));
            }
            state.bytes += size;
            state.queue.push_back(event);
        }
        self.filled.notify_one();
        Ok(())
    }

    /// `true`: there is room now. Else the operation is among those that [`Outbox::writable`] hands out.
    pub(crate) fn wait(&self, op: u64) -> bool {
        let mut state = self.state();
        if state.closed || state.queue.len() < MAX_EVENTS / 2 && state.bytes < MAX_BYTES / 2 {
            return true;
        }
        state.waiting.push(op);
        false
    }

    pub(crate) fn cancel(&self, op: u64) {
        self.state().waiting.retain(|other| *other != op);
    }

    /// The event that has waited longest.
    pub(crate) fn take(&self) -> Option<Outgoing> {
        let mut state = self.state();
        let event = state.queue.pop_front()?;
        state.bytes -= event.envelope().len();
        Some(event)
    }

    /// Whether another event of the topic waits.
    pub(crate) fn has(&self, full_topic: &str) -> bool {
        self.state().queue.iter().any(|event| event.full_topic == full_topic)
    }

    /// The events of a topic, in their order, up to the first one that `fits` refuses.
    pub(crate) fn take_of(&self, full_topic: &str, mut fits: impl FnMut(&Outgoing) -> bool) -> Vec<Outgoing> {
        let mut state = self.state();
        let State { queue, bytes, .. } = &mut *state;
        let (mut taken, mut others, mut open) = (Vec::new(), VecDeque::new(), true);
        while open && let Some(event) = queue.pop_front() {
            if event.full_topic != full_topic {
                others.push_back(event);
            } else if fits(&event) {
                *bytes -= event.envelope().len();
                taken.push(event);
            } else {
                queue.push_front(event);
                open = false;
            }
        }
        if !others.is_empty() {
            others.append(queue);
            *queue = others;
        }
        taken
    }

    /// The operations that may go on because half of the room is free again.
    pub(crate) fn writable(&self) -> Vec<u64> {
        let mut state = self.state();
        let room = state.queue.len() < MAX_EVENTS / 2 && state.bytes < MAX_BYTES / 2;
        if room { std::mem::take(&mut state.waiting) } else { Vec::new() }
    }

    /// What was taken and could not be sent: first in the queue again, in its order.
    pub(crate) fn put_back(&self, events: impl DoubleEndedIterator<Item = Outgoing>) {
        let mut state = self.state();
        for event in events.rev() {
            state.bytes += event.envelope().len();
            state.queue.push_front(event);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// Events and bytes that wait.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.queue.len(), state.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resolves when an event is there.
    pub(crate) async fn filled(&self) {
        while self.is_empty() {
            self.filled.notified().await;
        }
    }

    /// No more events; those in the queue stay to be sent. Returns the operations that waited for room.
    pub(crate) fn close(&self) -> Vec<u64> {
        let mut state = self.state();
        state.closed = true;
        std::mem::take(&mut state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Events that wait for the swarm: bounded in number and bytes, so that a publisher without bounds is told, not served.
//!
//! A topic of which nobody takes anything at the moment waits aside, within bounds of its own, so that no other topic waits
//! for it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use self::filling::Filling;
use crate::{
    error::{Error, ErrorKind},
    pubsub::Delivered,
};

/// One event on its way to gossip.
pub(crate) struct Outgoing {
    pub full_topic: String,
    pub event: Arc<Delivered>,
}

impl Outgoing {
    pub(crate) fn envelope(&self) -> &[u8] {
        &self.event.data
    }

    fn size(&self) -> usize {
        self.event.data.len()
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Outgoing>,
    filling: Filling,
    /// By topic.
    aside: BTreeMap<String, VecDeque<Outgoing>>,
    aside_filling: Filling,
    /// The topics that are aside, the one first that has not been tried for the longest time.
    to_try: VecDeque<String>,
    closed: bool,
    /// Operations that wait for room for an event of a topic, the one first that has waited longest.
    waiting: Vec<(u64, String)>,
}

impl State {
    /// The filling of the place where an event of the topic waits.
    fn filling_of(&self, full_topic: &str) -> Filling {
        if self.is_aside(full_topic) { self.aside_filling } else { self.filling }
    }

    fn takes(&self, full_topic: &str, size: usize) -> bool {
        self.filling_of(full_topic).takes(size) && self.aside_filling.leaves_room()
    }

    fn place_of(&mut self, full_topic: &str) -> &mut Filling {
        if self.is_aside(full_topic) { &mut self.aside_filling } else { &mut self.filling }
    }

    /// Whether an operation may be told of room for an event of the topic. `true` is kept in mind until the event comes.
    fn promise(&mut self, full_topic: &str) -> bool {
        if !self.aside_filling.leaves_room() {
            return false;
        }
        let place = self.place_of(full_topic);
        let free = place.free() > 0;
        place.promised += usize::from(free);
        free
    }

    /// As many of the operations that wait as have a place. Each of the others would find the queue full once more.
    fn hand_out(&mut self) -> Vec<u64> {
        let aside = if self.aside.is_empty() { 0 } else { self.aside_filling.free() };
        let most = self.filling.free() + aside;
        let mut waiting = std::mem::take(&mut self.waiting);
        let ready = waiting.extract_if(.., |(_, topic)| self.promise(topic)).take(most).map(|(op, _)| op).collect();
        self.waiting = waiting;
        ready
    }

    fn is_aside(&self, full_topic: &str) -> bool {
        !self.aside.is_empty() && self.aside.contains_key(full_topic)
    }

    fn push(&mut self, event: Outgoing) {
        self.filling.add(&event);
        self.queue.push_back(event);
    }

    fn push_aside(&mut self, event: Outgoing) {
        self.aside_filling.add(&event);
        match self.aside.get_mut(&event.full_topic) {
            Some(queue) => queue.push_back(event),
            None => drop(self.aside.insert(event.full_topic.clone(), VecDeque::from([event]))),
        }
    }
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
            if !state.takes(&event.full_topic, event.size()) {
                return Err(Error::new(
                    ErrorKind::Backpressure,
                    "the queue of events to send is full; publish slower, or await publish(), which waits for room",
                )
                .with("queued", state.filling.events + state.aside_filling.events));
            }
            // Whoever it is from. Who was told of room and finds none waits once more.
            let place = state.place_of(&event.full_topic);
            place.promised = place.promised.saturating_sub(1);
            if state.is_aside(&event.full_topic) {
                state.push_aside(event);
                return Ok(());
            }
            state.push(event);
        }
        self.filled.notify_one();
        Ok(())
    }

    /// `true`: there is room now. Else the operation is among those that [`Outbox::writable`] hands out.
    pub(crate) fn wait(&self, op: u64, full_topic: String) -> bool {
        let mut state = self.state();
        if state.closed || state.promise(&full_topic) {
            return true;
        }
        state.waiting.push((op, full_topic));
        false
    }

    pub(crate) fn cancel(&self, op: u64) {
        self.state().waiting.retain(|(other, _)| *other != op);
    }

    /// The event that has waited longest.
    pub(crate) fn take(&self) -> Option<Outgoing> {
        let mut state = self.state();
        let event = state.queue.pop_front()?;
        state.filling.remove(&event);
        Some(event)
    }

    /// Whether another event of the topic waits.
    pub(crate) fn has(&self, full_topic: &str) -> bool {
        self.state().queue.iter().any(|event| event.full_topic == full_topic)
    }

    /// Whether an event of such a topic waits, aside or not.
    pub(crate) fn any(&self, of: impl Fn(&str) -> bool) -> bool {
        let state = self.state();
        state.aside.keys().any(|topic| of(topic)) || state.queue.iter().any(|event| of(&event.full_topic))
    }

    /// The events of a topic, in their order, up to the first one that `fits` refuses.
    pub(crate) fn take_of(&self, full_topic: &str, mut fits: impl FnMut(&Outgoing) -> bool) -> Vec<Outgoing> {
        let mut state = self.state();
        let State { queue, filling, .. } = &mut *state;
        let (mut taken, mut others, mut open) = (Vec::new(), VecDeque::new(), true);
        while open && let Some(event) = queue.pop_front() {
            if event.full_topic != full_topic {
                others.push_back(event);
            } else if fits(&event) {
                filling.remove(&event);
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

    /// The operations that may go on because half of the room is free again: those that have waited longest, and no more
    /// than fit.
    pub(crate) fn writable(&self) -> Vec<u64> {
        self.state().hand_out()
    }

    /// The same, once in a while: operations that were told of room and then cancelled must not keep it from the others.
    pub(crate) fn writable_anew(&self) -> Vec<u64> {
        let mut state = self.state();
        (state.filling.promised, state.aside_filling.promised) = (0, 0);
        state.hand_out()
    }

    /// What was taken and is not to be sent yet: first in the queue again, in its order.
    pub(crate) fn put_back(&self, events: impl DoubleEndedIterator<Item = Outgoing>) {
        let mut state = self.state();
        for event in events.rev() {
            state.filling.add(&event);
            state.queue.push_front(event);
        }
    }

    /// What was taken of a topic and could not be sent, with all that waits of the topic, lets the others pass.
    pub(crate) fn set_aside(&self, full_topic: &str, events: Vec<Outgoing>) {
        let mut state = self.state();
        let behind = state.aside.remove(full_topic).unwrap_or_default();
        for event in &behind {
            state.aside_filling.remove(event);
        }
        let (mine, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.queue).into_iter().partition(|event| event.full_topic == full_topic);
        state.queue = others;
        for event in &mine {
            state.filling.remove(event);
        }
        for event in events.into_iter().chain(behind).chain(mine) {
            state.push_aside(event);
        }
        state.to_try.push_back(full_topic.to_owned());
    }

    /// The first event of some of the topics that wait aside. Each topic is then set aside again, or rejoins the others.
    pub(crate) fn take_aside(&self, topics: usize) -> Vec<Outgoing> {
        let mut state = self.state();
        let State { aside, aside_filling, to_try, .. } = &mut *state;
        let topics = topics.min(to_try.len());
        let first = to_try.drain(..topics).filter_map(|topic| aside.get_mut(&topic)?.pop_front());
        first.inspect(|event| aside_filling.remove(event)).collect()
    }

    /// Topics wait aside that have not been tried since.
    pub(crate) fn has_aside(&self) -> bool {
        !self.state().to_try.is_empty()
    }

    /// What waits aside of a topic waits among the others again.
    pub(crate) fn rejoin(&self, full_topic: &str) {
        let mut state = self.state();
        for event in state.aside.remove(full_topic).unwrap_or_default() {
            state.aside_filling.remove(&event);
            state.push(event);
        }
        drop(state);
        self.filled.notify_one();
    }

    pub(crate) fn len(&self) -> usize {
        self.size().0
    }

    /// Events and bytes that wait.
    pub(crate) fn size(&self) -> (usize, usize) {
        let State { filling, aside_filling, .. } = *self.state();
        (filling.events + aside_filling.events, filling.bytes + aside_filling.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resolves when an event is there that does not wait aside.
    pub(crate) async fn filled(&self) {
        while self.state().queue.is_empty() {
            self.filled.notified().await;
        }
    }

    /// No more events; those in the queue stay to be sent. Returns the operations that waited for room.
    pub(crate) fn close(&self) -> Vec<u64> {
        let mut state = self.state();
        state.closed = true;
        std::mem::take(&mut state.waiting).into_iter().map(|(op, _)| op).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

mod filling;
#[cfg(test)]
mod tests;

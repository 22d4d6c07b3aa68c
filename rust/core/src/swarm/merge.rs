//! Repeated events of one cause become one a second with a count: what strangers and slow readers cause must not
//! push out what matters, nor fill a log.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::events::{Direction, NodeEvent};

const WINDOW: Duration = Duration::from_secs(1);

#[derive(PartialEq, Eq, Hash)]
enum Cause {
    Refused(&'static str, Direction),
    Dropped(String, &'static str),
    Overflow(String),
}

struct Merged {
    until: Instant,
    /// The newest event of the window that was not passed on, its count being the sum.
    held: Option<NodeEvent>,
}

#[derive(Default)]
pub(crate) struct Merger {
    causes: HashMap<Cause, Merged>,
}

impl Merger {
    /// Passes the first event of a cause on, and holds those that follow within a second.
    pub(crate) fn pass(&mut self, mut event: NodeEvent, now: Instant) -> Option<NodeEvent> {
        let Some((cause, _)) = cause(&mut event) else { return Some(event) };
        match self.causes.get_mut(&cause) {
            None => {
                self.causes.insert(cause, Merged { until: now + WINDOW, held: None });
                Some(event)
            }
            Some(merged) => {
                let before = merged.held.as_mut().and_then(|held| self::cause(held)).map_or(0, |(_, count)| *count);
                if let Some((_, count)) = self::cause(&mut event) {
                    *count += before;
                }
                merged.held = Some(event);
                None
            }
        }
    }

    /// What the windows that have ended by now held back.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<NodeEvent> {
        let mut due = Vec::new();
        self.causes.retain(|_, merged| {
            if merged.until > now {
                return true;
            }
            let Some(event) = merged.held.take() else { return false };
            due.push(event);
            merged.until = now + WINDOW;
            true
        });
        due
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.causes.values().map(|merged| merged.until).min()
    }
}

fn cause(event: &mut NodeEvent) -> Option<(Cause, &mut u64)> {
    match event {
        NodeEvent::PeerRefused { reason, direction, count, .. } => Some((Cause::Refused(reason, *direction), count)),
        NodeEvent::MessageDropped { topic, reason, count, .. } => Some((Cause::Dropped(topic.clone(), reason), count)),
        NodeEvent::QueueOverflow { topic, count } => Some((Cause::Overflow(topic.clone()), count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overflow(count: u64) -> NodeEvent {
        NodeEvent::QueueOverflow { topic: "t".to_owned(), count }
    }

    fn count(event: Option<NodeEvent>) -> u64 {
        match event {
            Some(NodeEvent::QueueOverflow { count, .. }) => count,
            _ => 0,
        }
    }

    #[test]
    fn the_first_passes_and_the_rest_of_the_second_comes_as_one() {
        let (mut merger, start) = (Merger::default(), Instant::now());
        assert_eq!(count(merger.pass(overflow(1), start)), 1);
        assert!(merger.pass(overflow(2), start).is_none());
        assert!(merger.pass(overflow(3), start).is_none());
        assert!(merger.due(start).is_empty());
        let due = merger.due(start + WINDOW);
        assert_eq!(count(due.into_iter().next()), 5);
        assert!(merger.due(start + 2 * WINDOW).is_empty(), "nothing is counted twice");
        assert_eq!(count(merger.pass(overflow(7), start + 2 * WINDOW)), 7, "a quiet cause starts afresh");
    }
}

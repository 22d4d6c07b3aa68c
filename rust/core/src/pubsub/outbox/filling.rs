//! How much waits in one of the two places of the outbox, and what still fits.

use super::Outgoing;

pub(super) const MAX_EVENTS: usize = 1_024;
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Events set aside may take this many times the room of the queue: enough that a few topics nobody takes delay no other,
/// not enough that many fill the memory.
pub(super) const ASIDE_AT_MOST: usize = 8;

/// How much waits in one of the two places.
#[derive(Clone, Copy, Default)]
pub(super) struct Filling {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// Operations that were told of room, and whose events have not come yet.
    pub(super) promised: usize,
}

impl Filling {
    pub(super) fn add(&mut self, event: &Outgoing) {
        self.events += 1;
        self.bytes += event.size();
    }

    pub(super) fn remove(&mut self, event: &Outgoing) {
        self.events -= 1;
        self.bytes -= event.size();
    }

    /// One event always fits, however large the configured limit.
    pub(super) const fn takes(&self, size: usize) -> bool {
        self.events < MAX_EVENTS && (self.bytes + size <= MAX_BYTES || self.events == 0)
    }

    const fn is_half_empty(&self) -> bool {
        self.events < MAX_EVENTS / 2 && self.bytes < MAX_BYTES / 2
    }

    /// How many operations may be told of room: none before half of it is free, and then as many as have a place beside
    /// those that were told before, if their events are as large as those that wait.
    pub(super) fn free(&self) -> usize {
        if !self.is_half_empty() {
            return 0;
        }
        let size = (self.bytes / self.events.max(1)).max(1);
        let places = (MAX_EVENTS - self.events).min((MAX_BYTES - self.bytes) / size);
        places.saturating_sub(self.promised)
    }

    /// What waits aside leaves room for another topic that may have to.
    pub(super) const fn leaves_room(&self) -> bool {
        self.events < ASIDE_AT_MOST * MAX_EVENTS && self.bytes < ASIDE_AT_MOST * MAX_BYTES
    }
}

//! Whether a consumer waits to be woken. The protocol is in the documentation of the crate.

use std::sync::atomic::Ordering;

use crate::sync::AtomicBool;

/// The flag between one consumer and its producers.
///
/// It needs no help from the lock of the queue beside it: that these two operations read and write in one step, always, is
/// the whole reason why no wake is lost.
pub(crate) struct Park {
    parked: AtomicBool,
}

impl Park {
    /// Nobody waits yet.
    pub(crate) fn new() -> Self {
        Self { parked: AtomicBool::new(false) }
    }

    /// The consumer found nothing and is about to wait. It has to look again afterwards.
    ///
    /// A swap although nobody wants the old value: a plain store would read nothing of the producers before it, and the
    /// second look could then miss what they put.
    pub(crate) fn arm(&self) {
        self.parked.swap(true, Ordering::AcqRel);
    }

    /// Takes the arming away; `true` for exactly one caller, who has to wake the consumer unless it is the consumer.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.parked.swap(false, Ordering::AcqRel)
    }
}

//! Whether the swarm wants to be polled. Polling it goes through every behaviour and costs as much as the event that it
//! brings, so the task of the node polls it when something has woken it, and not for every turn of its own.

use std::{sync::Arc, task::Wake};

use tokio::sync::Notify;

/// The waker that the swarm is polled with.
#[derive(Default)]
pub(super) struct Nudge(Notify);

impl Nudge {
    /// Resolves at once when the swarm was woken since the last time.
    pub(super) async fn nudged(&self) {
        self.0.notified().await;
    }

    /// There is something to poll it for that it does not know of itself.
    pub(super) fn again(&self) {
        self.0.notify_one();
    }
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.again();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again();
    }
}

//! The end of a node: what is queued is sent, every peer hears a goodbye.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tokio::sync::mpsc;

use crate::{
    error::Error,
    events::{DisconnectReason, Value},
    gate::GateEvent,
    swarm::task::{EVENT_BUDGET, Task, next_event},
};

/// What is in the queues towards the peers gets this long on the wire when a node closes.
const LINGER: Duration = Duration::from_millis(100);
const FLUSH: Duration = Duration::from_secs(1);
/// A router gets this long to take back the ports that it maps.
const UNMAP: Duration = Duration::from_secs(1);
const GOODBYE: Duration = Duration::from_millis(500);

impl Task {
    /// Sends what is queued, says goodbye, ends.
    pub(super) async fn close(
        mut self,
        op: u64,
        until: Instant,
        mut gate_events: mpsc::Receiver<GateEvent>,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let until = until.min(start + FLUSH + GOODBYE);
        let linger =
            self.published_at.is_some_and(|at| start.duration_since(at) < FLUSH) || !self.shared.outbox.is_empty();
        while !self.shared.outbox.is_empty() && Instant::now() < until {
            while let Ok(event) = gate_events.try_recv() {
                self.on_gate(event);
            }
            if self.paused_until.is_none_or(|until| until <= Instant::now()) {
                self.paused_until = None;
                self.publish();
                if self.retry_at.is_some_and(|at| at <= Instant::now()) {
                    self.retry(Instant::now());
                }
            }
            for _ in 0..EVENT_BUDGET {
                let Some(event) = next_event(&mut self.swarm, &self.shared).now_or_never() else { break };
                self.on_swarm(event);
            }
            self.shared.mailbox.flush();
            tokio::task::yield_now().await;
        }
        if linger {
            self.drive(until.min(Instant::now() + LINGER), |_| false).await;
        }
        let unmapped = self.outer.portmap.take().map(|portmap| tokio::spawn(portmap.close(start + UNMAP)));
        // Peers come back to whoever says goodbye, and a handshake that is cut short would hold the port for seconds.
        for listener in std::mem::take(&mut self.listeners) {
            self.swarm.remove_listener(listener);
        }
        for peer in self.peers.all() {
            self.peers.closing(&peer, DisconnectReason::Closed);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.drive(until.min(Instant::now() + GOODBYE), |task| task.peers.is_empty()).await;
        if let Some(unmapped) = unmapped {
            _ = unmapped.await;
        }
        let shared = Arc::clone(&self.shared);
        // The sockets go first: who is told that the node is closed may listen on its ports again.
        drop(self);
        shared.done(op, Value::None);
        Ok(())
    }

    /// Lets the swarm work until then, or until it is done.
    async fn drive(&mut self, until: Instant, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            match tokio::time::timeout_at(until.into(), next_event(&mut self.swarm, &self.shared)).await {
                Ok(event) => {
                    self.on_swarm(event);
                    self.shared.mailbox.flush();
                }
                Err(_) => break,
            }
        }
    }
}

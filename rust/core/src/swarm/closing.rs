//! The end of a node, or of one of its databases: what is queued is sent, and peers hear a goodbye.

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
    pubsub::wire,
    swarm::task::{EVENT_BUDGET, Task, next_event},
};

/// What is in the queues towards the peers gets at least this long on the wire.
const LINGER: Duration = Duration::from_millis(100);
/// A connection may have to ask its peer some times how much it takes before all of it is on its way.
const ROUND_TRIPS: u32 = 4;
pub(super) const FLUSH: Duration = Duration::from_secs(1);
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
        let linger = self.linger(start);
        // The goodbye has its time too.
        let sent_until = until.min(start + FLUSH);
        while !self.shared.outbox.is_empty() && Instant::now() < sent_until {
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
        let left = self.shared.outbox.len();
        if left > 0 {
            self.shared.counters.unsent.add(left as u64);
            tracing::warn!(events = left, "the node closes, and these events were not sent: nobody took them in time");
        }
        if !linger.is_zero() {
            self.drive(sent_until.min(Instant::now() + linger), |_| false).await;
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

    /// How long what gossip was given needs to leave; nothing where nothing was published lately.
    fn linger(&self, now: Instant) -> Duration {
        let lately = self.published_at.is_some_and(|at| now.duration_since(at) < FLUSH);
        if !lately && self.shared.outbox.is_empty() {
            return Duration::ZERO;
        }
        let slowest = self.peers.infos().iter().filter_map(|info| info.rtt).max().unwrap_or_default();
        (slowest * ROUND_TRIPS).clamp(LINGER, FLUSH)
    }

    /// A database whose peers are put out with it is closed when what was published in it has left.
    pub(super) fn check_sent(&mut self, now: Instant) {
        if !self.ops.awaits_sending() {
            return;
        }
        let (topics, outbox) = (&self.shared.topics, &self.shared.outbox);
        let waits = |database| topics.name(database).is_ok_and(|name| outbox.any(|topic| wire::belongs(&name, topic)));
        let linger = self.linger(now);
        self.ops.check_sent(waits, linger, now, &self.shared);
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

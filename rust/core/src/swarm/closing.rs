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
/// Peers that are slow to read get at most this long, and so do those that do not answer the end of a stream (js-, py-libp2p).
const FAREWELL: Duration = Duration::from_secs(3);
/// How often it is looked whether they have.
const STEP: Duration = Duration::from_millis(2);
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
        let linger = self.linger(start);
        let sent_until = until.min(start + FLUSH);
        let farewell = until.min(start + FAREWELL);
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
            self.settle(linger, farewell).await;
        }
        self.part(farewell).await;
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

    /// Lets what gossip was given leave: until none of its streams has stood still, and nothing was written, for a while, or
    /// those that do stand still for long. It also passes on what others say, which may never end.
    async fn settle(&mut self, linger: Duration, until: Instant) {
        let outflow = Arc::clone(&self.shared.outflow);
        let start = Instant::now();
        let (mut free, mut moved, mut written) = (start, start, outflow.written());
        loop {
            let now = Instant::now();
            if outflow.is_blocked() {
                free = now;
            }
            if outflow.written() != written {
                (moved, written) = (now, outflow.written());
            }
            let quiet = now.duration_since(moved);
            let all = now.duration_since(free) >= linger && (quiet >= linger || now.duration_since(start) >= FLUSH);
            if all || quiet >= FLUSH || now >= until {
                return;
            }
            self.drive(until.min(now + STEP), |_| false).await;
        }
    }

    /// Waits until peers have read what was sent to them. Not at the end of the connections: without its listener QUIC drops
    /// what it has not sent.
    async fn part(&mut self, until: Instant) {
        if Instant::now() >= until {
            return;
        }
        self.shared.outflow.end();
        while self.shared.outflow.unread() > 0 && Instant::now() < until {
            self.drive(until.min(Instant::now() + STEP), |_| false).await;
        }
        let connections = self.shared.outflow.unread();
        if connections > 0 {
            tracing::warn!(connections, "the node closes, and these peers had not read all that was sent to them");
        }
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

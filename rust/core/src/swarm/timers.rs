//! What is due by time: each part says when it wants to be looked at again, and one timer of the task serves all.

use std::time::{Duration, Instant};

use crate::{events::Control, swarm::task::Task};

/// The pace while something waits for its time, and while nothing does.
const TICK: Duration = Duration::from_millis(50);
const IDLE_TICK: Duration = Duration::from_millis(500);
/// Round trip times come with every ping; the views show them this often.
const VIEWS_EVERY: Duration = Duration::from_secs(1);

impl Task {
    /// Timers are looked at in the next turn.
    pub(super) const fn hurry(&mut self, now: Instant) {
        self.tick_at = now;
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let overdue = self.peers.overdue(now, self.config.connections.handshake_timeout);
        for connection in overdue {
            self.swarm.close_connection(connection);
        }
        self.opening.give_up(now);
        self.opened();
        self.probe(now);
        self.judge_refusals(now);
        self.reset_due(now);
        self.settle_upgrades(now);
        self.tell_outer();
        self.reserve(now);
        if self.bootstrap.is_dialling() && (self.dialer.round_ended() || self.bootstrap.is_late(now)) {
            let error = self.unreachable.take().unwrap_or_else(|| "no answer in time".to_owned());
            tracing::warn!(error, "no bootstrap node could be reached; trying again");
            self.bootstrap.round_failed(now);
        }
        if self.bootstrap.due(now) {
            self.ask_bootstrap();
        }
        self.discover(now);
        self.dial_due(now);
        self.shared.views().pending_dials = self.swarm.network_info().connection_counters().num_pending_outgoing();
        self.ops.check_first_round(self.bootstrap.first_round_over(), now, &self.shared);
        self.ops.check_deadlines(now, &self.shared);
        self.check_sent(now);
        for event in self.merger.due(now) {
            self.shared.mailbox.offer(Control::Event(event));
        }
        if now >= self.views_at {
            self.views_at = now + VIEWS_EVERY;
            self.trim(now);
            self.listen_to_neighbours(now);
            self.offer_neighbours(now);
            self.kept.forget_old(now);
            self.tell_of_twin(now);
            self.show_peers();
            if let Some(nodes) = self.dialer.report(now) {
                self.shared.views().bootstrap_nodes = nodes;
            }
            self.show_tables();
            self.shared.tell_writable_anew();
        }
        let timers = [
            self.opening.next(),
            self.dialer.next(),
            self.bootstrap.next(),
            self.next_discovery(),
            self.merger.next(),
            self.second_connections.next(),
            self.upgrades.next(),
            self.paused_until.or(self.retry_at),
            self.relays.next(self.needs_relays()),
        ];
        let soonest = timers.into_iter().flatten().min();
        let pause = match soonest {
            _ if self.ops.has_deadlines() => TICK,
            Some(at) => at.saturating_duration_since(now).clamp(TICK, IDLE_TICK),
            None => IDLE_TICK,
        };
        self.tick_at = now + pause;
    }
}

//! When to ask for bootstrap nodes (docs/wire.md section 7). Pure: the caller brings the time.
//!
//! ```text
//! idle --start--> asking --answer--> dialling --all failed--> waiting --retry_interval--> asking
//!                   any of them --ready--> ready --last peer gone--> grace --loss_delay--> asking
//! ```
//! Redialling nodes that are known already is `swarm/dial.rs`; this decides when the list itself is asked for again.

use std::time::Instant;

use crate::{config::BootstrapConfig, swarm::jitter::Jitter};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Asking,
    Dialling { until: Instant },
    Waiting { until: Instant },
    Ready,
    Grace { until: Instant },
}

pub(crate) struct Bootstrap {
    config: BootstrapConfig,
    phase: Phase,
    jitter: Jitter,
    first_round_over: bool,
    tally: Tally,
}

/// Rounds that began, that ended with a peer, and that ended without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub attempts: u64,
    pub successes: u64,
    pub failures: u64,
}

impl Bootstrap {
    pub(crate) const fn new(config: BootstrapConfig, jitter: Jitter) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            jitter,
            first_round_over: false,
            tally: Tally { attempts: 0, successes: 0, failures: 0 },
        }
    }

    /// Ask for the list now? Starts the machine the first time. Single instance: never while one round is under way.
    #[must_use]
    pub(crate) fn start(&mut self) -> bool {
        match self.phase {
            Phase::Asking | Phase::Dialling { .. } | Phase::Ready => false,
            Phase::Idle | Phase::Waiting { .. } | Phase::Grace { .. } => self.ask(),
        }
    }

    /// The list came, and `dialling` says whether anybody in it can be dialled; or the function failed (`false`).
    pub(crate) fn answered(&mut self, dialling: bool, now: Instant) {
        if self.phase != Phase::Asking {
            return;
        }
        if dialling {
            self.phase = Phase::Dialling { until: now + self.config.connect_timeout };
        } else {
            self.round_failed(now);
        }
    }

    /// Every node of the list was dialled without success.
    pub(crate) fn round_failed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Asking | Phase::Dialling { .. }) {
            self.first_round_over = true;
            self.tally.failures += 1;
            self.phase = Phase::Waiting { until: now + self.jitter.around(self.config.retry_interval) };
        }
    }

    pub(crate) const fn ready(&mut self) {
        self.first_round_over = true;
        if matches!(self.phase, Phase::Asking | Phase::Dialling { .. }) {
            self.tally.successes += 1;
        }
        self.phase = Phase::Ready;
    }

    pub(crate) fn not_ready(&mut self, now: Instant) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Grace { until: now + self.config.loss_delay };
        }
    }

    /// Ask now, because the time has come?
    #[must_use]
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Dialling { until } if until <= now => {
                self.round_failed(now);
                false
            }
            Phase::Waiting { until } | Phase::Grace { until } if until <= now => self.ask(),
            _ => false,
        }
    }

    pub(crate) const fn next(&self) -> Option<Instant> {
        match self.phase {
            Phase::Dialling { until } | Phase::Waiting { until } | Phase::Grace { until } => Some(until),
            Phase::Idle | Phase::Asking | Phase::Ready => None,
        }
    }

    pub(crate) const fn first_round_over(&self) -> bool {
        self.first_round_over
    }

    pub(crate) const fn is_dialling(&self) -> bool {
        matches!(self.phase, Phase::Dialling { .. })
    }

    /// A round has taken as long as it may.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Dialling { until } if until <= now)
    }

    pub(crate) const fn tally(&self) -> Tally {
        self.tally
    }

    const fn ask(&mut self) -> bool {
        self.tally.attempts += 1;
        self.phase = Phase::Asking;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn machine() -> (Bootstrap, Instant) {
        let config = BootstrapConfig {
            connect_timeout: Duration::from_secs(30),
            retry_interval: Duration::from_secs(5),
            loss_delay: Duration::from_secs(2),
        };
        (Bootstrap::new(config, Jitter::seeded(7)), Instant::now())
    }

    #[test]
    fn a_failing_function_and_an_empty_list_arm_the_retry() {
        let (mut machine, now) = machine();
        assert!(machine.start());
        assert!(!machine.start(), "one round at a time");
        machine.answered(false, now);
        assert!(machine.first_round_over());
        assert_eq!(machine.tally(), Tally { attempts: 1, successes: 0, failures: 1 });
        assert!(!machine.due(now + Duration::from_secs(3)));
        assert!(machine.due(now + Duration::from_secs(6)));
    }

    #[test]
    fn a_round_of_failed_dials_ends_at_the_last_failure_or_at_the_time_limit() {
        let (mut machine, now) = machine();
        assert!(machine.start());
        machine.answered(true, now);
        assert!(!machine.first_round_over());
        assert!(!machine.due(now + Duration::from_secs(31)));
        assert!(machine.first_round_over());
        assert!(machine.due(now + Duration::from_secs(31 + 6)));
    }

    #[test]
    fn the_loop_ends_only_when_ready_and_begins_again_after_the_loss_delay() {
        let (mut machine, now) = machine();
        assert!(machine.start());
        machine.answered(true, now);
        machine.ready();
        assert_eq!(machine.tally(), Tally { attempts: 1, successes: 1, failures: 0 });
        assert!(!machine.due(now + Duration::from_secs(3_600)));
        machine.not_ready(now);
        assert!(!machine.due(now + Duration::from_millis(1_900)));
        assert!(machine.due(now + Duration::from_secs(2)));
    }

    #[test]
    fn a_peer_that_returns_within_the_loss_delay_stops_the_retry() {
        let (mut machine, now) = machine();
        assert!(machine.start());
        machine.ready();
        machine.not_ready(now);
        machine.ready();
        assert_eq!(machine.next(), None);
    }
}

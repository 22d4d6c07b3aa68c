//! When to ask for bootstrap nodes (docs/wire.md section 7). Pure: the caller brings the time.
//!
//! ```text
//! idle --start--> asking --answer--> dialling --all failed--> waiting --retry_interval--> asking
//!                   any of them --ready--> ready --last peer gone--> grace --loss_delay--> asking
//! ```
//! With `discovery.registry` a node that is ready asks too, now and then, for nodes that are new on the list.
//! Redialling nodes that are known already is `swarm/dial.rs`; this decides when the list itself is asked for again.

use std::time::{Duration, Instant};

use crate::{config::BootstrapConfig, jitter::Jitter};

/// How often a node asks that is ready.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Asking,
    Dialling {
        until: Instant,
    },
    Waiting {
        until: Instant,
    },
    /// `None`: it does not look again, or is asking.
    Ready {
        look_at: Option<Instant>,
    },
    Grace {
        until: Instant,
    },
}

pub(crate) struct Bootstrap {
    config: BootstrapConfig,
    looks_again: bool,
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
    pub(crate) const fn new(config: BootstrapConfig, looks_again: bool, jitter: Jitter) -> Self {
        Self {
            config,
            looks_again,
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
            Phase::Asking | Phase::Dialling { .. } | Phase::Ready { .. } => false,
            Phase::Idle | Phase::Waiting { .. } | Phase::Grace { .. } => self.ask(),
        }
    }

    /// The list came, and `dialling` says whether anybody in it can be dialled; or the function failed (`false`).
    pub(crate) fn answered(&mut self, dialling: bool, now: Instant) {
        match self.phase {
            Phase::Asking if dialling => self.phase = Phase::Dialling { until: now + self.config.connect_timeout },
            Phase::Asking => self.round_failed(now),
            Phase::Ready { .. } => self.look_again(now),
            Phase::Idle | Phase::Dialling { .. } | Phase::Waiting { .. } | Phase::Grace { .. } => {}
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

    pub(crate) fn ready(&mut self, now: Instant) {
        self.first_round_over = true;
        if matches!(self.phase, Phase::Asking | Phase::Dialling { .. }) {
            self.tally.successes += 1;
        }
        if !self.is_ready() {
            self.look_again(now);
        }
    }

    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    fn look_again(&mut self, now: Instant) {
        self.phase = Phase::Ready { look_at: self.looks_again.then(|| now + self.jitter.around(LOOK_AGAIN)) };
    }

    pub(crate) fn not_ready(&mut self, now: Instant) {
        if self.is_ready() {
            self.phase = Phase::Grace { until: now + self.config.loss_delay };
        }
    }

    /// Ask now, because the time has come?
    #[must_use]
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Waiting { until } | Phase::Grace { until } if until <= now => self.ask(),
            Phase::Ready { look_at: Some(at) } if at <= now => {
                self.phase = Phase::Ready { look_at: None };
                true
            }
            _ => false,
        }
    }

    pub(crate) const fn next(&self) -> Option<Instant> {
        match self.phase {
            Phase::Dialling { until } | Phase::Waiting { until } | Phase::Grace { until } => Some(until),
            Phase::Ready { look_at } => look_at,
            Phase::Idle | Phase::Asking => None,
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
        (Bootstrap::new(config, false, Jitter::seeded(7)), Instant::now())
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
        let late = now + Duration::from_secs(31);
        assert!(!machine.first_round_over() && !machine.is_late(now) && machine.is_late(late));
        machine.round_failed(late);
        assert!(machine.first_round_over());
        assert!(machine.due(now + Duration::from_secs(31 + 6)));
    }

    #[test]
    fn the_loop_ends_only_when_ready_and_begins_again_after_the_loss_delay() {
        let (mut machine, now) = machine();
        assert!(machine.start());
        machine.answered(true, now);
        machine.ready(now);
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
        machine.ready(now);
        machine.not_ready(now);
        machine.ready(now);
        assert_eq!(machine.next(), None);
    }
    #[test]
    fn one_that_looks_again_asks_once_a_minute_while_it_is_ready() {
        let (machine, now) = machine();
        let mut machine = Bootstrap { looks_again: true, ..machine };
        assert!(machine.start());
        machine.ready(now);
        machine.answered(true, now);
        let (soon, late) = (now + Duration::from_secs(40), now + Duration::from_secs(75));
        machine.ready(soon);
        assert!(!machine.due(soon), "it is not the first minute that begins anew with each peer");
        assert!(machine.due(late));
        assert!(machine.is_ready());
        assert!(!machine.due(late + Duration::from_secs(600)), "one question at a time");
        machine.answered(false, late);
        assert_eq!(machine.tally().failures, 0, "a list without anybody new is no failure");
        assert!(!machine.due(late + Duration::from_secs(40)));
        assert!(machine.due(late + Duration::from_secs(75)));
        machine.not_ready(late);
        assert!(machine.due(late + Duration::from_secs(2)));
    }
}

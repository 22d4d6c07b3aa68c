//! Each rule of the refresh on a clock of numbers: no sleep, no registry.

use super::*;
use crate::gate::{Revocation, testing::wallet};

const INTERVAL: f64 = 30.0;

/// The machine with a clock in seconds.
struct Bench {
    machine: Refresh,
    start: Instant,
    reading: bool,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Read,
    Installed(usize),
    Held(usize),
    Answered(u64),
    Failed(u64, u32, f64),
    Stale(f64),
}
use Seen::{Answered, Failed, Held, Installed, Read, Stale};

fn list(wallets: std::ops::Range<u64>) -> Arc<WalletSet> {
    Arc::new(wallets.map(wallet).collect())
}

impl Bench {
    fn new() -> Self {
        let config = GateConfig {
            refresh_interval: Duration::from_secs_f64(INTERVAL),
            timeout: Duration::from_secs(10),
            min_interval: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(10),
            max_stale: Duration::from_secs(900),
            revocation: Revocation::Close,
        };
        let start = Instant::now();
        Self { machine: Refresh::new(Timing::from(&config), start), start, reading: false }
    }

    /// A machine that has read `0..n` at second 0.
    fn with(n: u64) -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.at(0.0, Event::Timeout), [Read]);
        assert_eq!(bench.at(0.0, Event::Answered(list(0..n))), [Installed(n as usize), Answered(1)]);
        bench
    }

    fn at(&mut self, second: f64, event: Event) -> Vec<Seen> {
        let now = self.start + Duration::from_secs_f64(second);
        if matches!(event, Event::Answered(_) | Event::Failed(_)) {
            self.reading = false;
        }
        self.machine.handle(event, now);
        let seen = std::iter::from_fn(|| self.machine.poll()).map(|action| match action {
            Action::Read => {
                assert!(!std::mem::replace(&mut self.reading, true), "a second read before the first has ended");
                Read
            }
            Action::Install { list, fresh_until } => {
                assert_eq!(fresh_until, now + Duration::from_secs(900));
                Installed(list.len())
            }
            Action::Held { wallets } => Held(wallets),
            Action::Answered { read } => Answered(read),
            Action::Failed { read, failures, retry_in, .. } => Failed(read, failures, retry_in.as_secs_f64()),
            Action::Stale { age } => Stale(age.as_secs_f64()),
        });
        seen.collect()
    }

    /// The second of the next timeout.
    fn due(&self) -> Option<f64> {
        self.machine.poll_timeout().map(|at| (at - self.start).as_secs_f64())
    }

    /// Lets the next read start when it is due, and answers it at once.
    fn read(&mut self, due: f64, event: Event) -> Vec<Seen> {
        assert_eq!(self.due(), Some(due));
        assert_eq!(self.at(due, Event::Timeout), [Read]);
        self.at(due, event)
    }
}

fn fail() -> Event {
    Event::Failed("unreachable".into())
}

#[test]
fn the_first_read_is_due_at_once_and_then_each_interval() {
    let mut bench = Bench::new();
    assert_eq!(bench.due(), Some(0.0));
    assert_eq!(bench.at(0.0, Event::Timeout), [Read]);
    assert_eq!((bench.due(), bench.at(5.0, Event::Timeout)), (None, vec![]));
    assert_eq!(bench.at(7.0, Event::Answered(list(0..3))), [Installed(3), Answered(1)]);
    assert_eq!(bench.at(36.9, Event::Timeout), []);
    assert_eq!(bench.read(37.0, Event::Answered(list(0..4))), [Installed(4), Answered(2)]);
}

#[test]
fn failures_are_retried_after_a_doubling_pause_and_the_list_stays() {
    let mut bench = Bench::with(3);
    let mut due = INTERVAL;
    for (failures, pause) in (1..).zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
        assert_eq!(bench.read(due, fail()), [Failed(u64::from(failures) + 1, failures, pause)]);
        due += pause;
    }
    assert_eq!(bench.read(due, Event::Answered(list(0..3))), [Installed(3), Answered(9)]);
    assert_eq!(bench.read(due + INTERVAL, fail()), [Failed(10, 1, 1.0)]);
}

#[test]
fn a_first_read_that_fails_is_retried_too() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(0.0, fail()), [Failed(1, 1, 1.0)]);
    assert_eq!(bench.read(1.0, fail()), [Failed(2, 2, 2.0)]);
    assert_eq!(bench.read(3.0, Event::Answered(list(0..1))), [Installed(1), Answered(3)]);
}

#[test]
fn a_list_goes_stale_once_for_each_outage() {
    let mut bench = Bench::with(3);
    let mut stale = vec![];
    let mut outage = |bench: &mut Bench, until: f64| {
        while let Some(due) = bench.due().filter(|&due| due < until) {
            for seen in bench.at(due, Event::Timeout) {
                match seen {
                    Read => drop(bench.at(due, fail())),
                    other => stale.push((due, other)),
                }
            }
        }
    };
    outage(&mut bench, 2000.0);
    let back = bench.due().unwrap();
    assert_eq!(bench.read(back, Event::Answered(list(0..3))).first(), Some(&Installed(3)));
    outage(&mut bench, back + 1000.0);
    assert_eq!(stale, [(900.0, Stale(900.0)), (back + 900.0, Stale(900.0))]);
}

#[test]
fn a_hanging_read_does_not_hide_that_the_list_is_stale() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.at(INTERVAL, Event::Timeout), [Read]);
    assert_eq!(bench.due(), Some(900.0));
    assert_eq!(bench.at(901.0, Event::Timeout), [Stale(901.0)]);
    assert_eq!(bench.due(), None);
}

#[test]
fn a_list_that_loses_too_much_needs_a_second_equal_read() {
    for (name, before, after) in [
        ("empty", 2, 0..0),
        ("one of four", 4, 0..1),
        ("two of five", 5, 0..2),
        ("more wallets, but other ones", 4, 3..30),
    ] {
        let mut bench = Bench::with(before);
        let wallets = after.clone().count();
        assert_eq!(bench.read(30.0, Event::Answered(list(after.clone()))), [Held(wallets), Answered(2)], "{name}");
        assert_eq!(bench.read(32.0, Event::Answered(list(after))), [Installed(wallets), Answered(3)], "{name}");
        assert_eq!(bench.due(), Some(32.0 + INTERVAL));
    }
}

#[test]
fn a_list_that_keeps_half_or_was_short_takes_effect_at_once() {
    for (name, before, after) in [("half", 4, 2..9), ("three of five", 5, 0..3), ("one of three", 3, 0..1), ("none of three", 3, 7..8)] {
        let mut bench = Bench::with(before);
        let wallets = after.clone().count();
        assert_eq!(bench.read(30.0, Event::Answered(list(after))), [Installed(wallets), Answered(2)], "{name}");
    }
}

#[test]
fn an_empty_first_read_is_confirmed_too() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(0.0, Event::Answered(list(0..0))), [Held(0), Answered(1)]);
    assert!(bench.machine.list().is_none());
    assert_eq!(bench.read(2.0, Event::Answered(list(0..0))), [Installed(0), Answered(2)]);
    assert_eq!(bench.read(32.0, Event::Answered(list(0..0))), [Installed(0), Answered(3)]);
}

#[test]
fn a_second_read_that_differs_is_judged_afresh() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, Event::Answered(list(0..1))), [Held(1), Answered(2)]);
    assert_eq!(bench.read(32.0, Event::Answered(list(0..2))), [Held(2), Answered(3)]);
    assert_eq!(bench.read(34.0, Event::Answered(list(0..1))), [Held(1), Answered(4)]);
    assert_eq!(bench.read(36.0, Event::Answered(list(0..7))), [Installed(7), Answered(5)]);
    assert_eq!(bench.read(66.0, Event::Answered(list(0..1))), [Held(1), Answered(6)]);
}

#[test]
fn a_second_read_that_fails_confirms_nothing() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, Event::Answered(list(0..0))), [Held(0), Answered(2)]);
    assert_eq!(bench.read(32.0, fail()), [Failed(3, 1, 1.0)]);
    assert_eq!(bench.read(33.0, Event::Answered(list(0..0))), [Held(0), Answered(4)]);
    assert_eq!(bench.read(35.0, Event::Answered(list(0..0))), [Installed(0), Answered(5)]);
}

#[test]
fn an_early_equal_read_confirms_nothing() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, Event::Answered(list(0..0))), [Held(0), Answered(2)]);
    assert_eq!(bench.at(30.5, Event::Demand), []);
    assert_eq!(bench.at(30.5, Event::Timeout), [Read]);
    assert_eq!(bench.at(33.0, Event::Answered(list(0..0))), [Answered(3)]);
    assert_eq!(bench.due(), Some(32.0));
    assert_eq!(bench.at(33.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(33.0, Event::Answered(list(0..0))), [Installed(0), Answered(4)]);
}

#[test]
fn a_held_list_does_not_keep_the_old_one_fresh() {
    let mut bench = Bench::with(8);
    let lists = [list(0..1), list(1..2)];
    for read in lists.iter().cycle() {
        let due = bench.due().unwrap();
        let seen = bench.at(due, Event::Timeout);
        if seen.contains(&Stale(900.0)) {
            assert_eq!(due, 900.0);
            break;
        }
        assert_eq!(bench.at(due, Event::Answered(Arc::clone(read)))[0], Held(1));
    }
}

#[test]
fn misses_share_one_read_that_starts_after_them() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.machine.next_read(), 2);
    for second in [20.0, 20.0, 20.1] {
        assert_eq!(bench.at(second, Event::Miss), []);
    }
    assert_eq!(bench.at(20.1, Event::Timeout), [Read]);
    // This one came too late for the read in progress.
    assert_eq!(bench.machine.next_read(), 3);
    assert_eq!(bench.at(20.2, Event::Miss), []);
    assert_eq!(bench.at(20.3, Event::Timeout), []);
    assert_eq!(bench.at(20.4, Event::Answered(list(0..3))), [Installed(3), Answered(2)]);
    assert_eq!(bench.read(21.1, Event::Answered(list(0..3))), [Installed(3), Answered(3)]);
    assert_eq!(bench.due(), Some(51.1));
}

#[test]
fn misses_cause_one_read_in_each_min_interval() {
    let mut bench = Bench::with(3);
    let mut reads = 0;
    for tick in 1..=10_000 {
        let second = f64::from(tick) / 1000.0;
        bench.at(second, Event::Miss);
        if bench.at(second, Event::Timeout) == [Read] {
            reads += 1;
            bench.at(second, Event::Answered(list(0..3)));
        }
    }
    assert_eq!(reads, 10);
}

#[test]
fn misses_do_not_shorten_the_pause_of_a_failing_registry() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.read(30.0, fail()), [Failed(2, 1, 1.0)]);
    assert_eq!(bench.read(31.0, fail()), [Failed(3, 2, 2.0)]);
    bench.at(31.5, Event::Miss);
    assert_eq!(bench.read(33.0, fail()), [Failed(4, 3, 4.0)]);
}

#[test]
fn a_demand_is_met_at_once_or_after_the_read_in_progress() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.at(0.1, Event::Demand), []);
    assert_eq!(bench.at(0.1, Event::Timeout), [Read]);
    assert_eq!(bench.machine.next_read(), 3);
    assert_eq!(bench.at(0.2, Event::Demand), []);
    assert_eq!(bench.at(0.2, Event::Timeout), []);
    assert_eq!(bench.at(0.3, fail()), [Failed(2, 1, 1.0)]);
    assert_eq!(bench.at(0.3, Event::Timeout), [Read]);
}

#[test]
fn a_push_takes_effect_at_once_and_overtakes_the_read_in_progress() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.at(30.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(31.0, Event::Pushed(list(0..1))), [Installed(1)]);
    assert_eq!(bench.at(32.0, Event::Answered(list(0..8))), [Answered(2)]);
    assert_eq!(bench.machine.list(), Some(&list(0..1)));
    assert_eq!(bench.read(62.0, Event::Answered(list(0..8))), [Installed(8), Answered(3)]);
}

#[test]
fn a_push_ends_the_wait_for_a_second_read() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, Event::Answered(list(0..1))), [Held(1), Answered(2)]);
    assert_eq!(bench.at(31.0, Event::Pushed(list(0..8))), [Installed(8)]);
    assert_eq!(bench.read(32.0, Event::Answered(list(0..1))), [Held(1), Answered(3)]);
}

#[test]
fn pushes_keep_a_list_fresh_while_the_registry_fails() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.at(30.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(800.0, Event::Pushed(list(0..3))), [Installed(3)]);
    assert_eq!(bench.due(), Some(1700.0));
}

#[test]
fn an_answer_that_nobody_waits_for_is_ignored() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.at(1.0, Event::Answered(list(0..9))), []);
    assert_eq!(bench.at(1.0, fail()), []);
}

#[test]
fn endless_intervals_do_not_overflow() {
    let config = GateConfig {
        refresh_interval: Duration::MAX,
        timeout: Duration::MAX,
        min_interval: Duration::MAX,
        negative_ttl: Duration::MAX,
        max_stale: Duration::MAX,
        revocation: Revocation::Keep,
    };
    let now = Instant::now();
    let mut machine = Refresh::new(Timing::from(&config), now);
    machine.handle(Event::Timeout, now);
    machine.handle(Event::Answered(list(0..1)), now);
    machine.handle(Event::Miss, now);
    assert_eq!(machine.poll_timeout(), Some(now + LONGEST));
}

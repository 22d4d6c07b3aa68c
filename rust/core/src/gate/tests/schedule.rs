//! When a registry is read.

use std::time::{Duration, Instant};

use super::clock::{
    Bench, INTERVAL,
    Seen::{Answered, Failed, Installed, Read, Stale},
    answered, fail, list,
};
use crate::gate::{
    GateConfig, Revocation,
    refresh::{Event, LONGEST, Refresh, Timing},
};

#[test]
fn the_first_read_is_due_at_once_and_then_each_interval() {
    let mut bench = Bench::new();
    assert_eq!(bench.due(), Some(0.0));
    assert_eq!(bench.at(0.0, Event::Timeout), [Read]);
    assert_eq!((bench.due(), bench.at(5.0, Event::Timeout)), (None, vec![]));
    assert_eq!(bench.at(7.0, answered(list(0..3))), [Installed(3), Answered(1)]);
    assert_eq!(bench.at(36.9, Event::Timeout), []);
    assert_eq!(bench.read(37.0, answered(list(0..4))), [Installed(4), Answered(2)]);
}

#[test]
fn failures_are_retried_after_a_doubling_pause_and_the_list_stays() {
    let mut bench = Bench::with(3);
    let mut due = INTERVAL;
    for (failures, pause) in (1..).zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
        assert_eq!(bench.read(due, fail()), [Failed(u64::from(failures) + 1, failures, pause)]);
        due += pause;
    }
    assert_eq!(bench.read(due, answered(list(0..3))), [Installed(3), Answered(9)]);
    assert_eq!(bench.read(due + INTERVAL, fail()), [Failed(10, 1, 1.0)]);
}

#[test]
fn a_first_read_that_fails_is_retried_too() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(0.0, fail()), [Failed(1, 1, 1.0)]);
    assert_eq!(bench.read(1.0, fail()), [Failed(2, 2, 2.0)]);
    assert_eq!(bench.read(3.0, answered(list(0..1))), [Installed(1), Answered(3)]);
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
    assert_eq!(bench.read(back, answered(list(0..3))).first(), Some(&Installed(3)));
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
    assert_eq!(bench.at(20.4, answered(list(0..3))), [Installed(3), Answered(2)]);
    assert_eq!(bench.read(21.1, answered(list(0..3))), [Installed(3), Answered(3)]);
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
            bench.at(second, answered(list(0..3)));
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
fn an_answer_that_nobody_waits_for_is_ignored() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.at(1.0, answered(list(0..9))), []);
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
    machine.handle(answered(list(0..1)), now);
    machine.handle(Event::Miss, now);
    assert_eq!(machine.poll_timeout(), Some(now + LONGEST));
}

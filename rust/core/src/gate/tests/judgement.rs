//! What an answer is worth.

use std::{sync::Arc, time::Duration};

use super::clock::{
    Bench, INTERVAL,
    Seen::{Answered, Failed, Held, Installed, Read, Stale},
    answered, fail, list, pushed,
};
use crate::gate::refresh::Event;

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
        assert_eq!(bench.read(30.0, answered(list(after.clone()))), [Held(wallets), Answered(2)], "{name}");
        assert_eq!(bench.read(32.0, answered(list(after))), [Installed(wallets), Answered(3)], "{name}");
        assert_eq!(bench.due(), Some(32.0 + INTERVAL));
    }
}

#[test]
fn a_list_that_keeps_half_or_was_short_takes_effect_at_once() {
    for (name, before, after) in
        [("half", 4, 2..9), ("three of five", 5, 0..3), ("one of three", 3, 0..1), ("none of three", 3, 7..8)]
    {
        let mut bench = Bench::with(before);
        let wallets = after.clone().count();
        assert_eq!(bench.read(30.0, answered(list(after))), [Installed(wallets), Answered(2)], "{name}");
    }
}

#[test]
fn an_empty_first_read_is_confirmed_too() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(0.0, answered(list(0..0))), [Held(0), Answered(1)]);
    assert!(bench.in_force.is_none());
    assert_eq!(bench.read(2.0, answered(list(0..0))), [Installed(0), Answered(2)]);
    assert_eq!(bench.read(32.0, answered(list(0..0))), [Installed(0), Answered(3)]);
}

#[test]
fn a_second_read_that_differs_is_judged_afresh() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, answered(list(0..1))), [Held(1), Answered(2)]);
    assert_eq!(bench.read(32.0, answered(list(0..2))), [Held(2), Answered(3)]);
    assert_eq!(bench.read(34.0, answered(list(0..1))), [Held(1), Answered(4)]);
    assert_eq!(bench.read(36.0, answered(list(0..7))), [Installed(7), Answered(5)]);
    assert_eq!(bench.read(66.0, answered(list(0..1))), [Held(1), Answered(6)]);
}

#[test]
fn a_second_read_that_fails_confirms_nothing() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, answered(list(0..0))), [Held(0), Answered(2)]);
    assert_eq!(bench.read(32.0, fail()), [Failed(3, 1, 1.0)]);
    assert_eq!(bench.read(33.0, answered(list(0..0))), [Held(0), Answered(4)]);
    assert_eq!(bench.read(35.0, answered(list(0..0))), [Installed(0), Answered(5)]);
}

#[test]
fn an_early_equal_read_confirms_nothing() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, answered(list(0..0))), [Held(0), Answered(2)]);
    assert_eq!(bench.at(30.5, Event::Demand), []);
    assert_eq!(bench.at(30.5, Event::Timeout), [Read]);
    assert_eq!(bench.at(33.0, answered(list(0..0))), [Answered(3)]);
    assert_eq!(bench.due(), Some(32.0));
    assert_eq!(bench.at(33.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(33.0, answered(list(0..0))), [Installed(0), Answered(4)]);
}

#[test]
fn a_held_list_does_not_keep_the_old_one_fresh() {
    let mut bench = Bench::with(8);
    let lists = [list(0..1), list(1..2)];
    for read in lists.iter().cycle() {
        let due = bench.due().unwrap();
        let seen = bench.at(due, Event::Timeout);
        if seen.contains(&Stale(900.0)) {
            assert_eq!(Some(due), Some(900.0));
            break;
        }
        assert_eq!(bench.at(due, answered(Arc::clone(read)))[0], Held(1));
    }
}

#[test]
fn a_push_takes_effect_at_once_and_overtakes_the_read_in_progress() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.at(30.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(31.0, pushed(list(0..1))), [Installed(1)]);
    assert_eq!(bench.at(32.0, answered(list(0..8))), [Answered(2)]);
    assert_eq!(bench.in_force, Some(list(0..1)));
    assert_eq!(bench.read(62.0, answered(list(0..8))), [Installed(8), Answered(3)]);
}

#[test]
fn a_push_that_is_older_than_the_last_read_is_followed_by_another_one() {
    let kept = || Event::Pushed { list: list(0..1), age: Duration::from_secs(800) };

    let mut bench = Bench::with(8);
    assert_eq!(bench.at(30.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(31.0, kept()), [Installed(1)]);
    assert_eq!(bench.at(32.0, answered(list(0..8))), [Answered(2)]);
    assert_eq!(bench.at(33.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(33.0, answered(list(0..8))), [Installed(8), Answered(3)]);
    assert_eq!(bench.due(), Some(33.0 + INTERVAL));

    let mut bench = Bench::with(8);
    assert_eq!(bench.at(1.0, kept()), [Installed(1)]);
    assert_eq!(bench.at(3.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(3.0, answered(list(0..8))), [Installed(8), Answered(2)]);
}

#[test]
fn a_push_ends_the_wait_for_a_second_read() {
    let mut bench = Bench::with(8);
    assert_eq!(bench.read(30.0, answered(list(0..1))), [Held(1), Answered(2)]);
    assert_eq!(bench.at(31.0, pushed(list(0..8))), [Installed(8)]);
    assert_eq!(bench.read(32.0, answered(list(0..1))), [Held(1), Answered(3)]);
}

#[test]
fn pushes_keep_a_list_fresh_while_the_registry_fails() {
    let mut bench = Bench::with(3);
    assert_eq!(bench.at(30.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(800.0, pushed(list(0..3))), [Installed(3)]);
    assert_eq!(bench.due(), Some(1700.0));
}

#[test]
fn an_old_list_is_stale_so_much_sooner() {
    let mut bench = Bench::new();
    let age = Duration::from_secs(800);
    assert_eq!(bench.at(0.0, Event::Timeout), [Read]);
    assert_eq!(bench.at(0.0, fail()), [Failed(1, 1, 1.0)]);
    assert_eq!(bench.at(0.5, Event::Pushed { list: list(0..3), age }), [Installed(3)]);
    assert_eq!(bench.read(1.0, fail()), [Failed(2, 2, 2.0)]);
    assert_eq!(bench.read(3.0, fail()), [Failed(3, 3, 4.0)]);
    assert_eq!(bench.at(100.5, Event::Timeout), [Stale(900.0), Read]);
}

#[test]
fn what_is_certain_needs_no_second_read() {
    let mut bench = Bench::with(8);
    let certain = Event::Answered { list: list(0..1), age: Duration::ZERO, certain: true };
    assert_eq!(bench.read(30.0, certain), [Installed(1), Answered(2)]);
}

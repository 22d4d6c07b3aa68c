use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::identity::SecretKey;

/// 2026-10-01 in nanoseconds.
const START: u64 = 1_790_812_800_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// One author, and a clock that starts at [`START`].
struct Scene {
    window: ReplayWindow,
    author: Wallet,
    start: Instant,
}

impl Scene {
    fn new() -> Self {
        let author = SecretKey::from_seed(&[1; 32]).wallet();
        Self { window: ReplayWindow::default(), author, start: Instant::now() }
    }

    fn hear(&mut self, second: u64, number: u64) -> Verdict {
        let now = self.start + Duration::from_secs(second);
        self.window.check(&self.author, number, START + second * SECOND, now)
    }

    fn reset(&mut self) {
        self.window.reset(&self.author);
    }

    fn runs(&self) -> usize {
        self.window.authors[&self.author].runs.len()
    }
}

fn behind(seconds: u64) -> Verdict {
    Verdict::Behind { by: Duration::from_secs(seconds) }
}

#[test]
fn a_replay_is_recognised_however_late() {
    for lateness in [0, 1, 61, 121, 600, 1_200, 3_600, 20 * 3_600] {
        let mut scene = Scene::new();
        for n in 0..100 {
            assert_eq!(scene.hear(n, START + n), Verdict::Fresh);
        }
        for n in 0..100 {
            assert_eq!(scene.hear(100 + lateness, START + n), Verdict::Replayed, "{lateness} s");
        }
        assert_eq!(scene.hear(100 + lateness, START + 100), Verdict::Fresh);
    }
}

#[test]
fn a_replay_is_recognised_while_the_author_goes_on_and_starts_anew() {
    let mut scene = Scene::new();
    for run in 0..10 {
        let started = START + run * 1_000 * SECOND;
        for n in 0..1_000 {
            assert_eq!(scene.hear(run * 1_000 + n, started + n), Verdict::Fresh);
        }
    }
    for run in 0..10 {
        let started = START + run * 1_000 * SECOND;
        for n in 0..1_000 {
            assert_eq!(scene.hear(10_000, started + n), Verdict::Replayed);
        }
    }
    assert_eq!(scene.runs(), 10);
}

#[test]
fn what_comes_late_and_out_of_order_is_delivered_once() {
    let mut scene = Scene::new();
    assert_eq!(scene.hear(0, START), Verdict::Fresh);
    for n in (1..500).rev() {
        assert_eq!(scene.hear(500 - n, START + n), Verdict::Fresh);
    }
    assert_eq!(scene.hear(1, START - 1), Verdict::Fresh);
    assert_eq!(scene.runs(), 1);
    for n in 0..500 {
        assert_eq!(scene.hear(500, START + n), Verdict::Replayed);
    }
}

#[test]
fn what_is_later_than_the_reach_is_not() {
    let mut scene = Scene::new();
    for n in 0..1_300 {
        if n % 2 == 0 {
            assert_eq!(scene.hear(n, START + n), Verdict::Fresh);
        }
    }
    // The checkpoint was taken at the message of second 600, before that counted.
    assert_eq!(scene.hear(1_300, START + 597), Verdict::Replayed);
    assert_eq!(scene.hear(1_300, START + 599), Verdict::Fresh);
}

#[test]
fn after_a_silence_the_floor_is_the_last_number_heard() {
    let mut scene = Scene::new();
    assert_eq!(scene.hear(0, START), Verdict::Fresh);
    assert_eq!(scene.hear(1, START + 2), Verdict::Fresh);
    assert_eq!(scene.hear(1_201, START + 1), Verdict::Replayed);
    assert_eq!(scene.hear(1_201, START + 3), Verdict::Fresh);
}

#[test]
fn numbers_that_do_not_read_as_a_clock_are_not_judged() {
    let mut scene = Scene::new();
    let day = 24 * 3_600;
    for number in [0, 1, 1_752_700_000, EARLIEST - 1, START + day * SECOND + 1, RANDOM - 1] {
        for _ in 0..3 {
            assert_eq!(scene.hear(0, number), Verdict::Untracked, "{number}");
        }
    }
    assert!(scene.window.authors.is_empty());
    assert_eq!(scene.hear(0, EARLIEST), Verdict::Fresh);
    assert_eq!(scene.hear(0, START + day * SECOND), Verdict::Fresh);
}

#[test]
fn an_author_that_draws_its_numbers_loses_none_that_read_as_a_clock() {
    let mut scene = Scene::new();
    let clock_like = |n: u64| START - n * 100_000 * SECOND;
    // The positive control: who has never drawn one is judged by them.
    assert_eq!(scene.hear(0, clock_like(1)), Verdict::Fresh);
    assert_eq!(scene.hear(1_500, clock_like(0)), Verdict::Fresh);
    assert!(matches!(scene.hear(3_000, clock_like(2)), Verdict::Behind { .. }));
    assert_eq!(scene.hear(3_000, u64::MAX), Verdict::Untracked);
    for n in 0..10 {
        assert_eq!(scene.hear(3_000 + 1_000 * n, clock_like(n)), Verdict::Untracked, "{n}");
    }
    // It may have been started anew, with other software, which is known when it connects or when it counts.
    scene.reset();
    assert_eq!(scene.hear(15_000, START + 2), Verdict::Fresh);
    assert_eq!(scene.hear(15_000, START + 2), Verdict::Replayed);
}

#[test]
fn an_author_that_counts_is_not_taken_for_one_that_draws() {
    let mut scene = Scene::new();
    assert_eq!(scene.hear(0, u64::MAX), Verdict::Untracked);
    assert_eq!(scene.hear(1, START), Verdict::Untracked);
    assert_eq!(scene.hear(1, START + 1), Verdict::Fresh);
    assert_eq!(scene.hear(1, START + 2), Verdict::Fresh);
    // Somebody has kept a message of the time when it drew its numbers.
    assert_eq!(scene.hear(2, u64::MAX), Verdict::Untracked);
    assert_eq!(scene.hear(2, START + 2), Verdict::Replayed);
}

#[test]
fn the_end_of_the_numbers_does_not_overflow() {
    let mut scene = Scene::new();
    for number in [u64::MAX, u64::MAX - 1, u64::MAX - 3, u64::MAX - 2] {
        assert_eq!(scene.window.check(&scene.author, number, u64::MAX, scene.start), Verdict::Fresh);
        assert_eq!(scene.window.check(&scene.author, number, u64::MAX, scene.start), Verdict::Replayed);
    }
    assert_eq!(scene.runs(), 1);
}

#[test]
fn a_clock_that_was_set_back_is_told_until_the_author_connects() {
    let mut scene = Scene::new();
    for n in 0..1_300 {
        assert_eq!(scene.hear(n, START + n), Verdict::Fresh);
    }
    // The author had reached 599 at the checkpoint.
    let restarted = START + 599 - 3_600 * SECOND;
    assert_eq!(scene.hear(1_300, restarted), behind(3_600));
    assert_eq!(scene.hear(1_301, restarted + 1), Verdict::Behind { by: Duration::from_nanos(3_600 * SECOND - 1) });

    scene.reset();
    for n in 0..1_300 {
        assert_eq!(scene.hear(1_302 + n, restarted + n), Verdict::Fresh);
        assert_eq!(scene.hear(1_302 + n, START + n), Verdict::Replayed);
    }
}

#[test]
fn a_reset_of_an_author_never_heard_is_nothing() {
    let mut scene = Scene::new();
    scene.reset();
    assert!(scene.window.authors.is_empty());
}

fn wallet(n: u64) -> Wallet {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    SecretKey::from_seed(&seed).wallet()
}

#[test]
fn who_leaves_the_list_and_comes_back_cannot_be_replayed() {
    let mut scene = Scene::new();
    for n in 0..100 {
        assert_eq!(scene.hear(n, START + 2 * n), Verdict::Fresh);
    }
    for _ in 0..3 {
        scene.window.leave(&scene.author);
    }
    // What was on its way meanwhile is heard.
    assert_eq!(scene.hear(101, START + 197), Verdict::Fresh);
    for n in 0..100 {
        assert_eq!(scene.hear(5_000, START + 2 * n), Verdict::Replayed);
    }
    assert_eq!(scene.hear(5_000, START + 5_000 * SECOND), Verdict::Fresh);
}

#[test]
fn those_who_left_first_are_forgotten_first_and_those_who_are_back_are_not() {
    let mut scene = Scene::new();
    let hear = |window: &mut ReplayWindow, author: &Wallet, n| window.check(author, START + n, START, scene.start);
    let leavers: Vec<_> = (0..=LEFT as u64).map(wallet).collect();
    for author in [&scene.author].into_iter().chain(&leavers) {
        assert_eq!(hear(&mut scene.window, author, 0), Verdict::Fresh);
        scene.window.leave(author);
        // Back, and heard.
        scene.window.come_back(&scene.author);
        let number = 1 + scene.window.departures;
        assert_eq!(hear(&mut scene.window, &scene.author, number), Verdict::Fresh);
    }
    assert_eq!(scene.window.authors.len(), LEFT + 1);
    assert_eq!(hear(&mut scene.window, &scene.author, 0), Verdict::Replayed);
    assert_eq!(hear(&mut scene.window, &leavers[LEFT], 0), Verdict::Replayed);
    assert_eq!(hear(&mut scene.window, &leavers[0], 0), Verdict::Fresh);
}

#[test]
fn little_is_kept_of_who_left_and_nothing_of_it_comes_twice() {
    let mut scene = Scene::new();
    for n in 0..10_000 {
        assert_eq!(scene.hear(0, START + 2 * n), Verdict::Fresh);
    }
    scene.window.leave(&scene.author);
    assert_eq!(scene.runs(), FORMER);
    assert!(scene.window.authors[&scene.author].runs.capacity() <= 2 * FORMER);
    for n in 0..10_000 {
        assert_eq!(scene.hear(0, START + 2 * n), Verdict::Replayed);
    }
}

#[test]
fn memory_is_bounded_and_nothing_comes_twice_for_it() {
    let mut scene = Scene::new();
    // Every second number goes to a topic that we did not subscribe to.
    for n in 0..10_000 {
        assert_eq!(scene.hear(0, START + 2 * n), Verdict::Fresh);
        assert!(scene.runs() <= MAX_RUNS);
    }
    assert_eq!(scene.window.authors[&scene.author].runs.capacity(), 4_096);
    for n in 0..10_000 {
        assert_eq!(scene.hear(0, START + 2 * n), Verdict::Replayed);
    }
    // A late one is missed only below the lowest gap that is kept.
    assert_eq!(scene.hear(0, START + 2 * (10_000 - MAX_RUNS as u64) - 1), Verdict::Replayed);
    assert_eq!(scene.hear(0, START + 2 * (10_000 - MAX_RUNS as u64) + 1), Verdict::Fresh);
}

#[test]
fn an_author_whose_clock_was_set_back_is_heard_when_its_runs_are_full() {
    let mut scene = Scene::new();
    for n in 0..5_000 {
        assert_eq!(scene.hear(0, START + 2 * n), Verdict::Fresh);
    }
    scene.reset();
    let restarted = START - 3_600 * SECOND;
    // What is late is heard too, although the gap is the lowest.
    for n in [3, 5, 1, 0, 4, 2].into_iter().chain(6..100).chain((102..10_000).step_by(2)).chain([9_997, 5_001]) {
        assert_eq!(scene.hear(1, restarted + n), Verdict::Fresh, "{n}");
    }
    for n in 0..5_000 {
        assert_eq!(scene.hear(1, START + 2 * n), Verdict::Replayed);
        assert_eq!(scene.hear(1, restarted + 2 * n), Verdict::Replayed);
    }
    assert!(scene.runs() <= MAX_RUNS);
}

#[test]
fn former_processes_leave_room_for_the_one_that_is_heard() {
    let mut scene = Scene::new();
    let restarted = |n: u64| START + n * 10 * SECOND;
    for n in 0..10_000 {
        assert_eq!(scene.hear(10 * n, restarted(n)), Verdict::Fresh);
    }
    let last = restarted(10_000);
    for n in (0..7_000).step_by(2).chain((0..3_500).rev().map(|n| 2 * n + 1)) {
        assert_eq!(scene.hear(100_000, last + n), Verdict::Fresh, "{n}");
    }
    for n in 0..10_000 {
        assert_eq!(scene.hear(100_000, restarted(n)), Verdict::Replayed);
    }
    // The clock is set back to between the last of them.
    scene.reset();
    for n in 0..100 {
        assert_eq!(scene.hear(100_001, restarted(9_900) + 5 * SECOND + n), Verdict::Fresh);
    }
}

/// What may happen: the author counts up, or is started anew; a message is heard; time passes; the author connects.
#[derive(Clone, Debug)]
enum Step {
    Next(u64),
    Restart(i64),
    Replay(usize),
    Wait(u64),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..4_u64).prop_map(Step::Next),
        1 => (-7_200..7_200_i64).prop_map(Step::Restart),
        4 => any::<usize>().prop_map(Step::Replay),
        2 => (0..900_u64).prop_map(Step::Wait),
        1 => Just(Step::Reset),
    ]
}

proptest! {
    #[test]
    fn no_number_is_accepted_twice(steps in prop::collection::vec(step(), 0..400)) {
        let mut scene = Scene::new();
        let (mut second, mut number) = (0, START);
        let mut accepted: Vec<u64> = Vec::new();
        for step in steps {
            match step {
                Step::Next(by) => number += by,
                Step::Restart(skew) => number = (START + second * SECOND).saturating_add_signed(skew * SECOND.cast_signed()),
                Step::Wait(by) => second += by,
                Step::Reset => scene.reset(),
                Step::Replay(which) => {
                    if let Some(&old) = accepted.get(which % accepted.len().max(1)) {
                        prop_assert_eq!(scene.hear(second, old), Verdict::Replayed);
                    }
                }
            }
            if scene.hear(second, number) == Verdict::Fresh {
                prop_assert!(!accepted.contains(&number));
                accepted.push(number);
            }
        }
    }

    #[test]
    fn each_process_is_heard_after_a_fresh_connection_whatever_its_clock_says(
        processes in prop::collection::vec((0..4_000_u64, 1..4_000_u64, 1..5_u64), 1..8),
    ) {
        let mut scene = Scene::new();
        let mut heard = HashSet::new();
        for (index, (at, count, step)) in (0..).zip(processes) {
            let started = START + (10 * at + index) * SECOND;
            scene.reset();
            for number in (0..count).map(|n| started + n * step) {
                prop_assert_eq!(scene.hear(0, number), Verdict::Fresh);
                heard.insert(number);
            }
            prop_assert!(scene.runs() <= MAX_RUNS);
        }
        for number in heard {
            prop_assert_eq!(scene.hear(0, number), Verdict::Replayed);
        }
    }

    #[test]
    fn any_order_within_the_reach_is_delivered(numbers in prop::collection::hash_set(0..5_000_u64, 0..1_000)) {
        let mut scene = Scene::new();
        for number in &numbers {
            prop_assert_eq!(scene.hear(number % 600, START + number), Verdict::Fresh);
        }
        for number in &numbers {
            prop_assert_eq!(scene.hear(700, START + number), Verdict::Replayed);
        }
        let runs: Vec<_> = scene.window.authors.get(&scene.author).into_iter().flat_map(|author| &author.runs).collect();
        prop_assert!(runs.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
    }
}

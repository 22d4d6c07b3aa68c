use super::*;

const MS: Duration = Duration::from_millis(1);
const TWO: fn(&PeerId) -> Option<View> = |_| Some(View { connections: 2, ours: Some(false) });

/// Two peer ids, the smaller first.
fn pair() -> (PeerId, PeerId) {
    let (a, b) = (PeerId::random(), PeerId::random());
    if a.to_bytes() < b.to_bytes() { (a, b) } else { (b, a) }
}

fn machine(own: PeerId) -> (SecondConnections, Instant) {
    (SecondConnections::new(own, Jitter::seeded(5)), Instant::now())
}

#[test]
fn of_two_that_dial_each_other_the_smaller_denies_the_second_whichever_comes_first() {
    let (small, great) = pair();
    for (first, second) in [(Direction::Inbound, Direction::Outbound), (Direction::Outbound, Direction::Inbound)] {
        assert!(denies(&small, &great, &[first], second));
        assert!(!denies(&great, &small, &[first], second));
    }
}

#[test]
fn of_two_dialled_by_one_side_that_side_denies_the_second() {
    let (small, great) = pair();
    for (dialler, listener) in [(small, great), (great, small)] {
        assert!(denies(&dialler, &listener, &[Direction::Outbound], Direction::Outbound));
        assert!(!denies(&listener, &dialler, &[Direction::Inbound], Direction::Inbound));
    }
}

#[test]
fn a_first_connection_is_never_denied() {
    let (small, great) = pair();
    for direction in [Direction::Inbound, Direction::Outbound] {
        assert!(!denies(&small, &great, &[], direction));
        assert!(!denies(&great, &small, &[], direction));
    }
}

#[test]
fn a_peer_of_another_make_is_reset_once_even_when_one_connection_has_ended_meanwhile() {
    for connections in [1, 2] {
        let (own, peer) = pair();
        let (mut seconds, now) = machine(own);
        seconds.second(peer, now);
        let view = |_: &PeerId| Some(View { connections, ours: Some(false) });
        assert!(seconds.due(now + MS * 200, view).is_empty());
        assert_eq!(seconds.due(now + MS * 400, view), [peer]);
        assert!(seconds.due(now + MS * 800, view).is_empty());
        assert_eq!(seconds.next(), None);
    }
}

#[test]
fn resets_in_a_row_come_at_longer_and_longer_pauses_and_after_a_quiet_time_at_once() {
    let (own, peer) = pair();
    let (mut seconds, mut now) = machine(own);
    seconds.second(peer, now);
    now += MS * 400;
    assert_eq!(seconds.due(now, TWO), [peer]);
    for pause in [1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
        seconds.second(peer, now + MS * 100);
        assert!(seconds.due(now + MS * 600, TWO).is_empty());
        assert!(seconds.due(now + MS * pause, TWO).is_empty());
        now += MS * (pause + 600);
        assert_eq!(seconds.due(now, TWO), [peer]);
    }
    now += RESETS_IN_A_ROW;
    seconds.second(peer, now);
    assert_eq!(seconds.due(now + MS * 400, TWO), [peer]);
}

#[test]
fn a_peer_is_left_alone_for_longer_when_its_reset_had_to_be_repeated() {
    let (own, peer) = pair();
    let (mut seconds, mut now) = machine(own);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        seconds.second(peer, now);
        now += MS * 13_000;
        assert_eq!(seconds.due(now, TWO), [peer]);
        pauses.push(seconds.redial_after(&peer));
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[0] <= 2 * REDIAL_AFTER, "{pauses:?}");
    assert!(pauses[4] >= REDIAL_AFTER_AT_MOST / 2, "{pauses:?}");
}

#[test]
fn a_peer_that_has_not_said_who_it_is_is_waited_for_and_one_that_has_gone_is_forgotten() {
    let (own, peer) = pair();
    let (mut seconds, now) = machine(own);
    seconds.second(peer, now);
    let nameless = |_: &PeerId| Some(View { connections: 2, ours: None });
    assert!(seconds.due(now + MS * 400, nameless).is_empty());
    assert_eq!(seconds.due(now + MS * 800, TWO), [peer]);
    seconds.second(peer, now + MS * 900);
    assert!(seconds.due(now + MS * 60_000, |_| None).is_empty());
    assert_eq!(seconds.next(), None);
}

#[test]
fn between_two_of_ours_one_connection_is_no_cause_and_two_that_stay_end_by_the_smaller_side_first() {
    let (small, great) = pair();
    let held = |connections| move |_: &PeerId| Some(View { connections, ours: Some(true) });
    for (own, peer, patience) in [(small, great, 500), (great, small, 1_000)] {
        let (mut seconds, now) = machine(own);
        seconds.second(peer, now);
        assert!(seconds.due(now + MS * 400, held(1)).is_empty());
        assert_eq!(seconds.next(), None);
        seconds.second(peer, now);
        assert!(seconds.due(now + MS * 400, held(2)).is_empty());
        assert!(seconds.due(now + MS * (patience - 50), held(2)).is_empty());
        assert_eq!(seconds.due(now + MS * patience, held(2)), [peer]);
    }
}

#[test]
fn a_connection_on_which_gossip_has_given_up_is_reset_though_it_is_the_only_one() {
    let (own, peer) = pair();
    let (mut seconds, now) = machine(own);
    seconds.gossip_gone(peer, now);
    let single = |_: &PeerId| Some(View { connections: 1, ours: Some(true) });
    assert!(seconds.due(now + MS * 400, single).is_empty());
    assert_eq!(seconds.due(now + MS * 500, single), [peer]);
}

#[test]
fn a_dial_that_ends_nameless_is_a_refusal_unless_the_peer_may_have_denied_it_as_the_second() {
    let (small, great) = pair();
    let (mut seconds, now) = machine(small);
    seconds.closed_nameless(great, now);
    assert_eq!(seconds.refusals(now, |_| false), [great], "the greater denies nothing");
    let (mut seconds, now) = machine(great);
    seconds.closed_nameless(small, now);
    assert!(seconds.refusals(now, |_| false).is_empty());
    assert_eq!(seconds.refusals(now + MS * 300, |_| false), [small]);
    seconds.closed_nameless(small, now);
    assert!(seconds.refusals(now + MS * 10, |_| true).is_empty());
    assert!(seconds.refusals(now + MS * 300, |_| false).is_empty(), "its first connection has come");
}

use super::*;

fn at(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn two(_: &Multiaddr) -> VecDeque<Multiaddr> {
    [at("/ip4/45.77.0.2/udp/4001/quic-v1"), at("/ip4/45.77.0.2/tcp/4002")].into()
}

/// Rounds that have just begun, with the only server.
fn begun(now: Instant) -> (Rounds, PeerId, ConnectionId) {
    let (mut rounds, peer, connection) = (Rounds::default(), PeerId::random(), ConnectionId::new_unchecked(1));
    rounds.meet(peer, connection, at("/ip4/45.77.0.2/udp/4001/quic-v1"));
    assert!(rounds.begin(now, two));
    (rounds, peer, connection)
}

fn reached(text: &str, first: bool) -> Finding {
    Finding::Reached { address: at(text), first }
}

#[test]
fn one_address_is_asked_for_after_the_other_and_the_first_that_is_reached_is_named() {
    let (mut rounds, _, connection) = begun(Instant::now());
    let answer = rounds.answered(connection, Answer::Connected);
    assert_eq!(answer, Some(reached("/ip4/45.77.0.2/udp/4001/quic-v1", true)));
    assert_eq!(rounds.advance(), None);
    assert_eq!(rounds.answered(connection, Answer::Connected), Some(reached("/ip4/45.77.0.2/tcp/4002", false)));
    assert_eq!(rounds.advance(), Some(false));
    assert!(rounds.question().is_none());
}

#[test]
fn a_server_that_came_to_one_address_of_two_has_reached_us() {
    let (mut rounds, _, connection) = begun(Instant::now());
    assert_eq!(rounds.answered(connection, Answer::NotConnected), Some(Finding::NotReached));
    assert_eq!(rounds.advance(), None);
    assert!(rounds.answered(connection, Answer::Connected).is_some());
    assert_eq!(rounds.advance(), Some(false));
}

#[test]
fn one_that_came_to_none_has_not_and_one_that_did_not_try_says_nothing() {
    for second in [Answer::NotConnected, Answer::Failed] {
        let (mut rounds, _, connection) = begun(Instant::now());
        rounds.answered(connection, Answer::NotConnected);
        rounds.advance();
        rounds.answered(connection, second);
        assert_eq!(rounds.advance(), Some(true));
    }
    let (mut rounds, _, connection) = begun(Instant::now());
    for after in [None, Some(false)] {
        assert_eq!(rounds.answered(connection, Answer::Failed), Some(Finding::Failed));
        assert_eq!(rounds.advance(), after);
    }
}

#[test]
fn who_stood_at_our_door_has_reached_us_whatever_it_knows_of_it_and_only_for_that_question() {
    let (mut rounds, peer, connection) = begun(Instant::now());
    rounds.came(&PeerId::random());
    rounds.came(&peer);
    let answer = rounds.answered(connection, Answer::Unclear);
    assert_eq!(answer, Some(reached("/ip4/45.77.0.2/udp/4001/quic-v1", true)));
    rounds.advance();
    assert_eq!(rounds.answered(connection, Answer::Unclear), Some(Finding::Failed));
    assert_eq!(rounds.answered(ConnectionId::new_unchecked(9), Answer::Connected), None);
}

#[test]
fn the_same_server_is_asked_again_after_a_while_also_where_it_has_reached_us() {
    let now = Instant::now();
    let (mut rounds, _, connection) = begun(now);
    assert!(!rounds.begin(now + SAME_SERVER_AFTER, two), "there is a round");
    for _ in 0..2 {
        rounds.answered(connection, Answer::Connected);
        rounds.advance();
    }
    assert!(!rounds.begin(now + SAME_SERVER_AFTER / 2, two));
    assert!(rounds.begin(now + SAME_SERVER_AFTER, two));
    assert_eq!(rounds.question().map(|(_, asked, _)| asked), Some(connection));
}

#[test]
fn who_was_never_asked_is_first_and_with_its_connection_its_round_ends() {
    let now = Instant::now();
    let (mut rounds, old, connection) = begun(now);
    assert!(rounds.closed(&old, connection));
    rounds.answered(connection, Answer::Failed);
    assert_eq!(rounds.advance(), Some(false));
    assert!(!rounds.begin(now, two), "there is no server");
    let (new, other) = (PeerId::random(), ConnectionId::new_unchecked(2));
    for (peer, connection) in [(old, connection), (new, other)] {
        rounds.meet(peer, connection, at("/ip4/45.77.0.2/udp/4001/quic-v1"));
    }
    assert!(rounds.begin(now + SAME_SERVER_AFTER, two));
    assert_eq!(rounds.question().map(|(peer, ..)| peer), Some(new));
    assert!(!rounds.closed(&new, connection), "another connection of it");
    assert!(rounds.closed(&new, other));
}

#[test]
fn who_comes_anew_or_serves_another_version_is_not_asked_again_before_its_time() {
    let now = Instant::now();
    let (mut rounds, peer, connection) = begun(now);
    assert!(rounds.closed(&peer, connection));
    rounds.answered(connection, Answer::Failed);
    rounds.advance();
    rounds.meet(peer, connection, at("/ip4/45.77.0.2/udp/4001/quic-v1"));
    assert!(!rounds.begin(now + SAME_SERVER_AFTER / 2, two));
    rounds.asks(peer, now + SAME_SERVER_AFTER / 2);
    assert!(rounds.was_asked_too_soon(&peer), "by the other version");
    assert!(!rounds.begin(now + SAME_SERVER_AFTER, two));
    assert!(rounds.begin(now + SAME_SERVER_AFTER * 2, two));
    assert!(!rounds.was_asked_too_soon(&peer));
}

#[test]
fn a_server_that_can_reach_us_nowhere_keeps_no_other_from_being_asked() {
    let now = Instant::now();
    let (mut rounds, able, connection) = begun(now);
    rounds.answered(connection, Answer::Failed);
    rounds.advance();
    assert_eq!(rounds.answered(connection, Answer::Failed), Some(Finding::Failed));
    assert_eq!(rounds.advance(), Some(false));
    rounds.meet(PeerId::random(), ConnectionId::new_unchecked(2), at("/ip6/2606:4700::1/tcp/4002"));
    let by_v4 = |seen: &Multiaddr| if seen.to_string().starts_with("/ip4/") { two(seen) } else { VecDeque::new() };
    assert!(rounds.begin(now + SAME_SERVER_AFTER, by_v4));
    assert_eq!(rounds.question().map(|(peer, ..)| peer), Some(able));
}

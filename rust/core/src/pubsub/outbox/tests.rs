use std::{sync::Arc, time::SystemTime};

use super::{
    filling::{ASIDE_AT_MOST, MAX_BYTES, MAX_EVENTS},
    *,
};
use crate::{identity::SecretKey, pubsub::Author};

fn event(topic: &str, id: usize) -> Outgoing {
    sized(topic, id, 100)
}

fn sized(topic: &str, id: usize, bytes: usize) -> Outgoing {
    let key = SecretKey::from_seed(&[1; 32]);
    let event = Delivered {
        id: id.to_string(),
        topic: Arc::from(topic),
        author: Arc::new(Author::new(key.peer_id(), key.wallet())),
        data: vec![0; bytes],
        message: 0..0,
        timestamp: 0,
        received_at: SystemTime::UNIX_EPOCH,
    };
    Outgoing { full_topic: topic.to_owned(), event: Arc::new(event) }
}

fn fill(outbox: &Outbox, topic: &str) -> usize {
    (0..4 * MAX_EVENTS).take_while(|id| outbox.push(event(topic, *id)).is_ok()).count()
}

fn taken(outbox: &Outbox, topic: &str) -> Vec<usize> {
    let all = std::iter::from_fn(|| outbox.take());
    all.filter(|event| event.full_topic == topic).map(|event| event.event.id.parse().unwrap()).collect()
}

#[test]
fn a_topic_that_is_set_aside_keeps_nobody_else_waiting() {
    let outbox = Outbox::default();
    assert_eq!(fill(&outbox, "deaf"), MAX_EVENTS);
    assert!(outbox.push(event("other", 0)).is_err());
    assert!(!outbox.wait(1, "other".to_owned()));
    assert!(!outbox.wait(2, "deaf".to_owned()));

    let first = outbox.take().unwrap();
    outbox.set_aside("deaf", vec![first]);
    assert_eq!(outbox.writable(), [1]);
    assert_eq!(fill(&outbox, "other"), MAX_EVENTS);
    assert!(outbox.push(event("deaf", 0)).is_err());
    assert_eq!(outbox.size(), (2 * MAX_EVENTS, 2 * MAX_EVENTS * 100));
    assert_eq!(taken(&outbox, "other").len(), MAX_EVENTS);
    assert_eq!(outbox.size(), (MAX_EVENTS, MAX_EVENTS * 100));
    assert!(outbox.writable().is_empty());
}

/// A full queue of which so many events are taken, and operations that wait for room.
fn waited_for(ops: u64, left: usize) -> Outbox {
    let outbox = Outbox::default();
    assert_eq!(fill(&outbox, "t"), MAX_EVENTS);
    assert!((0..ops).all(|op| !outbox.wait(op, "t".to_owned())));
    assert!(outbox.writable().is_empty());
    drain_to(&outbox, left);
    outbox
}

fn drain_to(outbox: &Outbox, left: usize) {
    while outbox.len() > left {
        outbox.take().unwrap();
    }
}

#[test]
fn no_more_operations_are_told_of_room_than_have_some_and_the_oldest_are_first() {
    let outbox = waited_for(3_000, MAX_EVENTS / 2);
    assert!(outbox.writable().is_empty(), "not half empty");
    drain_to(&outbox, 511);
    assert!(outbox.writable().into_iter().eq(0..513));
    assert!(outbox.writable().is_empty(), "all places are promised");
    assert!(!outbox.wait(3_000, "t".to_owned()), "who comes now is behind those who wait");
    // All that were told come.
    assert_eq!(fill(&outbox, "t"), 513);
    assert!(outbox.writable().is_empty());
    drain_to(&outbox, 500);
    assert!(outbox.writable().into_iter().eq(513..1_037));
    // Half of them come: the places of the others stay theirs.
    for id in 0..262 {
        outbox.push(event("t", id)).unwrap();
    }
    drain_to(&outbox, 400);
    assert_eq!(outbox.writable().len(), 1_024 - 400 - 262);
}

#[test]
fn operations_that_are_cancelled_once_they_were_told_keep_nobody_waiting_for_ever() {
    let outbox = waited_for(3_000, 511);
    let told = outbox.writable();
    for op in told.into_iter().chain(513..520) {
        outbox.cancel(op);
    }
    drain_to(&outbox, 0);
    assert!(outbox.writable().into_iter().eq(520..1_031), "what has become free since");
    assert!(outbox.writable().is_empty());
    // The next tick.
    assert!(outbox.writable_anew().into_iter().eq(1_031..2_055));
    assert!(outbox.writable_anew().into_iter().eq(2_055..3_000));
    assert!(outbox.writable_anew().is_empty());
}

#[test]
fn of_large_events_fewer_fit() {
    const MIB: usize = 1 << 20;
    let outbox = Outbox::default();
    let pushed = (0..100).take_while(|id| outbox.push(sized("t", *id, MIB)).is_ok()).count();
    assert_eq!(pushed, MAX_BYTES / MIB);
    assert!((0..100).all(|op| !outbox.wait(op, "t".to_owned())));
    drain_to(&outbox, 3);
    assert_eq!(outbox.writable(), [0, 1, 2, 3, 4]);
}

#[test]
fn places_aside_are_no_places_among_the_others() {
    let outbox = Outbox::default();
    outbox.push(event("deaf", 0)).unwrap();
    let first = outbox.take().unwrap();
    outbox.set_aside("deaf", vec![first]);
    assert_eq!(fill(&outbox, "other"), MAX_EVENTS);
    assert!(!outbox.wait(1, "other".to_owned()));
    assert!(outbox.wait(2, "deaf".to_owned()), "there is room aside");
    assert!(outbox.writable().is_empty());
    drain_to(&outbox, 1);
    assert_eq!(outbox.writable(), [1]);
}

#[test]
fn a_topic_rejoins_in_its_order() {
    let outbox = Outbox::default();
    for id in 0..4 {
        outbox.push(event("deaf", id)).unwrap();
    }
    let first = outbox.take().unwrap();
    outbox.set_aside("deaf", vec![first]);
    outbox.push(event("deaf", 4)).unwrap();
    // Nobody takes it yet.
    let [first] = <[_; 1]>::try_from(outbox.take_aside(8)).ok().unwrap();
    outbox.set_aside("deaf", vec![first]);
    // Somebody does.
    let [first] = <[_; 1]>::try_from(outbox.take_aside(8)).ok().unwrap();
    assert_eq!(first.event.id, "0");
    outbox.push(event("deaf", 5)).unwrap();
    assert!(outbox.take().is_none());
    outbox.rejoin("deaf");
    outbox.push(event("deaf", 6)).unwrap();
    assert_eq!(taken(&outbox, "deaf"), [1, 2, 3, 4, 5, 6]);
    assert!(outbox.is_empty());
    assert!(outbox.take_aside(8).is_empty());
    assert!(outbox.wait(1, "deaf".to_owned()));
}

#[test]
fn many_topics_that_nobody_takes_have_a_bound_together() {
    let outbox = Outbox::default();
    for topic in 0..100 {
        let topic = topic.to_string();
        fill(&outbox, &topic);
        if let Some(first) = outbox.take() {
            outbox.set_aside(&topic, vec![first]);
        }
    }
    assert!(outbox.len() <= (ASIDE_AT_MOST + 1) * MAX_EVENTS, "{} events", outbox.len());
    assert!(outbox.push(event("other", 0)).is_err());
    assert!(!outbox.wait(1, "other".to_owned()));
    // Somebody takes what waits of one of them.
    let first = outbox.take_aside(1);
    outbox.rejoin(&first[0].full_topic);
    while outbox.take().is_some() {}
    assert_eq!(outbox.writable(), [1]);
    assert_eq!(fill(&outbox, "other"), MAX_EVENTS);
}

#[test]
fn topics_that_are_aside_are_tried_in_turn() {
    let outbox = Outbox::default();
    for topic in ["a", "b", "c"] {
        outbox.push(event(topic, 0)).unwrap();
        let first = outbox.take().unwrap();
        outbox.set_aside(topic, vec![first]);
    }
    let mut tried = Vec::new();
    for _ in 0..3 {
        for event in outbox.take_aside(2) {
            tried.push(event.full_topic.clone());
            outbox.set_aside(&event.full_topic.clone(), vec![event]);
        }
    }
    assert_eq!(tried, ["a", "b", "c", "a", "b", "c"]);
}

use std::{sync::Arc, time::SystemTime};

use super::*;
use crate::{identity::SecretKey, pubsub::Author};

fn event(topic: &str, id: usize) -> Outgoing {
    let key = SecretKey::from_seed(&[1; 32]);
    let event = Delivered {
        id: id.to_string(),
        topic: Arc::from(topic),
        author: Arc::new(Author::new(key.peer_id(), key.wallet())),
        data: vec![0; 100],
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

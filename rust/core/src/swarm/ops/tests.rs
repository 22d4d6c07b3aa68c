use std::{cell::Cell, sync::Arc};

use depinmesh_mailbox::{Drained, Item, Mailbox, Wake};

use super::*;
use crate::events::Control;

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

/// The operations that have ended since it was asked last.
fn ended(shared: &Shared) -> Vec<u64> {
    let Drained::Items(items) = shared.mailbox.drain(16) else { return Vec::new() };
    let op = |item: Item<Control>| match item {
        Item::Control(Control::Done { op, .. }) => Some(op),
        _ => None,
    };
    items.into_iter().filter_map(op).collect()
}

#[test]
fn who_waits_for_peers_on_a_topic_is_not_looked_at_when_they_come_to_another() {
    let shared = Shared::new(Mailbox::new(Arc::new(Nobody), 0));
    let mut ops = Ops::default();
    let (looks, peers) = (Cell::new(0), Cell::new(0));
    let has_peers = |database: DatabaseId, full: &str, n: usize| {
        assert_eq!((database, full), (7, "db_a"));
        looks.set(looks.get() + 1);
        peers.get() >= n
    };
    ops.wait_for_peers(1, 7, "db_a".to_owned(), 2);
    for _ in 0..20_000 {
        ops.check_topics(Some("db_b"), has_peers, &shared);
    }
    assert_eq!(looks.get(), 0);

    peers.set(1);
    ops.check_topics(Some("db_a"), has_peers, &shared);
    assert_eq!((looks.get(), ended(&shared)), (1, Vec::new()));
    peers.set(2);
    ops.check_topics(Some("db_a"), has_peers, &shared);
    assert_eq!((looks.get(), ended(&shared)), (2, vec![1]));
    ops.check_topics(None, has_peers, &shared);
    assert_eq!(looks.get(), 2, "it waits no longer");
}

#[test]
fn everybody_is_looked_at_when_anything_may_have_changed() {
    let shared = Shared::new(Mailbox::new(Arc::new(Nobody), 0));
    let mut ops = Ops::default();
    ops.wait_for_peers(1, 7, "db_a".to_owned(), 1);
    ops.wait_for_peers(2, 7, "db_b".to_owned(), 1);
    ops.check_topics(None, |_, full, _| full == "db_b", &shared);
    assert_eq!(ended(&shared), [2]);
    ops.check_topics(None, |_, _, _| true, &shared);
    assert_eq!(ended(&shared), [1]);
}

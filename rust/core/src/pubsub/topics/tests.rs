use depinmesh_mailbox::{Overflow, Wake};

use super::*;

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

const LIMITS: Limits = Limits { items: 1, bytes: 1, overflow: Overflow::DropOldest };

/// All names of one to three letters, of these that can be mistaken for a separator.
fn names() -> Vec<String> {
    let letters = ['a', 'b', '_'];
    let mut names = vec![String::new()];
    let mut begin = 0;
    for _ in 0..3 {
        let end = names.len();
        for shorter in begin..end {
            let longer = letters.map(|letter| format!("{}{letter}", names[shorter]));
            names.extend(longer);
        }
        begin = end;
    }
    names.split_off(1)
}

/// More than a million pairs of two databases and a topic of each: `a` and `b_c` is on the wire what `a_b` and `c` is.
#[test]
fn no_two_databases_of_a_node_share_a_name_on_the_wire() {
    let names = names();
    let (mut pairs, mut refused) = (0, 0);
    for (number, first) in names.iter().enumerate() {
        for second in &names[number + 1..] {
            let topics = Topics::new(Mailbox::new(Arc::new(Nobody), 0));
            topics.attach(1, first).unwrap();
            topics.attach(2, second).unwrap();
            for topic in &names {
                let (id, _) = topics.subscribe(1, topic, LIMITS).unwrap();
                let full = topics.full_name(1, topic).unwrap();
                for other in &names {
                    pairs += 1;
                    let same = topics.full_name(2, other).unwrap() == full;
                    match topics.subscribe(2, other, LIMITS) {
                        Ok((other_id, _)) => {
                            assert!(!same, "{first}, {topic} and {second}, {other}");
                            let theirs = topics.full_name(2, other).unwrap();
                            assert_eq!(topics.route(&theirs).map(|route| route.database), Some(2));
                            topics.unsubscribe(&theirs, other_id);
                        }
                        Err(error) => {
                            assert!(same && error.kind == ErrorKind::Topic, "{error:?}");
                            refused += 1;
                        }
                    }
                    assert_eq!(topics.route(&full).map(|route| route.database), Some(1));
                }
                topics.unsubscribe(&full, id);
            }
        }
    }
    assert_eq!(pairs, 39 * 38 / 2 * 39 * 39);
    assert!(refused > 0, "the control: there are such names");
}

#[test]
fn messages_are_taken_while_gossip_subscribes_to_their_topic() {
    let topics = Topics::new(Mailbox::new(Arc::new(Nobody), 0));
    topics.attach(1, "db").unwrap();
    let subscribe = || topics.subscribe(1, "t", LIMITS).unwrap().0;
    let id = subscribe();
    assert!(!topics.takes("db_t"), "gossip would drop it, and take what comes again for known");
    topics.take_changes();
    assert!(topics.takes("db_t"));
    topics.unsubscribe("db_t", id);
    let id = subscribe();
    assert!(topics.takes("db_t"), "gossip has not been told of either");
    topics.unsubscribe("db_t", id);
    topics.take_changes();
    subscribe();
    assert!(!topics.takes("db_t"));
}

//! The numbers of docs/wire.md section 4: what fits on the wire, and what a name may be.

use std::time::Duration;

use libp2p::gossipsub::TopicHash;

use crate::error::{Error, ErrorKind};

/// A GossipSub RPC of a Go node must stay below this.
pub(crate) const MAX_RPC: usize = 1_048_576;

/// Room above it for the codec, whose check is on the whole read buffer and not on the frame.
pub(crate) const READ_AHEAD: usize = 65_536;

/// Messages in one RPC: more than fit. A Go node answers an IWANT for thousands of small ones with all that fit, and the
/// library's own limit, 500 in spite of what its documents say, ends the stream that they came on.
pub(crate) const MAX_MESSAGES_OF_RPC: usize = 10_000;

/// Envelope and full topic together: what always fits into one RPC beside author, signature and framing.
pub const MAX_PAYLOAD: usize = 1_048_000;

/// The data of a message that carries several events.
pub(crate) const MAX_BATCH: usize = 32_768;

/// All subscriptions go to a new peer in one RPC, each with this much around its name, at most.
const HELLO_OVERHEAD: usize = 12;
const MAX_HELLO: usize = 1_000_000;

/// Topics that a node takes of a peer. Of one that tells of more at once it takes none.
pub(crate) const MAX_TOPICS_OF_PEER: usize = 20_000;

/// How long an author's event id is remembered.
pub(crate) const SEEN_TIME: Duration = Duration::from_secs(120);

/// How long gossip remembers a message id: three times as long as it keeps the message. Each takes some 270 bytes there; a
/// copy that comes later is known by its sequence number and its event id, which take 30.
pub(crate) const MESSAGE_SEEN_TIME: Duration = Duration::from_secs(15);

const MAX_TOPIC: usize = 512;
const MAX_DATABASE: usize = 128;
/// The longest name that [`full_topic`] makes.
const MAX_FULL_TOPIC: usize = MAX_DATABASE + 1 + MAX_TOPIC;

/// `<database>_<topic>`, raw, as Go writes it.
pub(crate) fn full_topic(database: &str, topic: &str) -> Result<String, Error> {
    let problem = if topic.is_empty() {
        "is empty"
    } else if topic.len() > MAX_TOPIC {
        "is longer than 512 bytes in UTF-8"
    } else if topic.chars().any(char::is_control) {
        "contains a control character"
    } else {
        return Ok(format!("{database}_{topic}"));
    };
    let shown: String = topic.chars().take(64).flat_map(char::escape_default).collect();
    Err(Error::new(
        ErrorKind::Topic,
        format!("the topic '{shown}' {problem}; use 1 to 512 bytes of UTF-8 without control characters"),
    )
    .with("topic", topic))
}

/// Whether a name on the wire is one that [`full_topic`] makes for this database.
pub(crate) fn belongs(database: &str, full_topic: &str) -> bool {
    full_topic.strip_prefix(database).is_some_and(|rest| rest.starts_with('_'))
}

/// Nobody here can want a topic with a longer name, and gossip keeps the name of whatever a peer subscribes to.
pub(crate) fn may_be_kept(full_topic: &TopicHash) -> bool {
    full_topic.as_str().len() <= MAX_FULL_TOPIC
}

pub(crate) fn check_database(name: &str) -> Result<(), Error> {
    if (1..=MAX_DATABASE).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, "a database name is 1 to 128 bytes of UTF-8 without control characters")
        .with("database", name))
}

/// What one subscription adds to the first message that a new peer gets.
pub(crate) const fn hello_bytes(full_topic: &str) -> usize {
    full_topic.len() + HELLO_OVERHEAD
}

/// Refuses the subscription that peers would not take, or that would make that message too large to be read.
pub(crate) fn check_hello(topics: usize, bytes: usize, full_topic: &str) -> Result<(), Error> {
    let text = if topics >= MAX_TOPICS_OF_PEER {
        "this node is subscribed to 20,000 topics, which is all that others take of it; unsubscribe some"
    } else if bytes + hello_bytes(full_topic) >= MAX_HELLO {
        "this node is subscribed to as many topic names as one message to a new peer can carry (1,000,000 bytes); \
         unsubscribe some, or use shorter names"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Topic, text).with("topic", full_topic))
}

/// Refuses what would damage the link: a message above the limit ends gossip with a Go peer.
pub(crate) fn check_size(envelope: usize, full_topic: &str, configured: usize) -> Result<(), Error> {
    let limit = configured.min(MAX_PAYLOAD.saturating_sub(full_topic.len()));
    if envelope <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::MessageTooLarge,
        format!("the event has {envelope} bytes, and {limit} is the most that this topic carries; send it in parts"),
    )
    .with("size", envelope)
    .with("limit", limit))
}

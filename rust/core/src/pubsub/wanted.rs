//! What gossip need not look at: messages on topics that nobody here takes.
//!
//! GossipSub keeps a message for five seconds, to hand it out to others, before it looks whether the node is subscribed to
//! the topic, and tells nobody of it if not. So it is refused before: the change that a program may make to the data of a
//! message is the one thing that gossip asks for earlier.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use libp2p::gossipsub::{DataTransform, IdentityTransform, Message, RawMessage, TopicHash};

use crate::pubsub::topics::Topics;

/// By default every topic is wanted.
#[derive(Default)]
pub(crate) struct Wanted(Option<Arc<Topics>>);

impl Wanted {
    pub(crate) const fn by(topics: Arc<Topics>) -> Self {
        Self(Some(topics))
    }
}

impl DataTransform for Wanted {
    fn inbound_transform(&self, message: RawMessage) -> Result<Message, io::Error> {
        if let Some(topics) = &self.0
            && !topics.takes(message.topic.as_str())
        {
            topics.refused.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::NotFound.into());
        }
        IdentityTransform.inbound_transform(message)
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}

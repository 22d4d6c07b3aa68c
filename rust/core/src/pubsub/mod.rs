//! Events on topics: what may be sent, what may come in, and to whom it goes.

pub mod batch;
pub mod duplicates;
pub mod envelope;
mod json;
pub(crate) mod kept;
mod known;
pub(crate) mod outbox;
pub(crate) mod receive;
pub mod replay;
pub mod topics;
pub(crate) mod wanted;
pub mod wire;

use std::{ops::Range, sync::Arc, time::SystemTime};

use libp2p::PeerId;

use crate::identity::Wallet;

/// Who signed an event, in every form that is asked for; shared by all events of the author.
#[derive(Debug)]
pub struct Author {
    pub peer: PeerId,
    pub wallet: Wallet,
    pub peer_text: String,
    pub wallet_text: String,
}

impl Author {
    pub fn new(peer: PeerId, wallet: Wallet) -> Self {
        Self { peer, wallet, peer_text: peer.to_base58(), wallet_text: wallet.to_string() }
    }
}

/// One event, as published or as received: the envelope stays as it was on the wire, `message` is its JSON text in it.
#[derive(Debug)]
pub struct Delivered {
    pub id: String,
    /// The bare name, without the database.
    pub topic: Arc<str>,
    pub author: Arc<Author>,
    pub data: Vec<u8>,
    pub message: Range<usize>,
    pub timestamp: i64,
    pub received_at: SystemTime,
}

impl Delivered {
    /// The JSON text of the message; `null` where the envelope had none.
    pub fn message_json(&self) -> &[u8] {
        match self.data.get(self.message.clone()) {
            Some(text) if !text.is_empty() => text,
            _ => b"null",
        }
    }
}

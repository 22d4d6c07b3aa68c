//! What happens on a node, as the host language hears of it.

use std::time::Duration;

use libp2p::{PeerId, core::ConnectedPoint};

use crate::{error::Error, identity::Wallet, nat::reachability::Reachability, peer::PeerInfo};

/// Why a connection to a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    Closed,
    Timeout,
    Revoked,
    Trimmed,
    Reset,
}

impl DisconnectReason {
    /// As events and metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Revoked => "revoked",
            Self::Trimmed => "trimmed",
            Self::Reset => "reset",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    /// By which end of the connection is ours.
    pub(crate) const fn of(endpoint: &ConnectedPoint) -> Self {
        match endpoint {
            ConnectedPoint::Dialer { .. } => Self::Outbound,
            ConnectedPoint::Listener { .. } => Self::Inbound,
        }
    }

    /// As events and logs name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// One node event. `database` is the name of a database, `None` means the whole node.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    PeerConnected {
        peer: PeerInfo,
    },
    PeerDisconnected {
        peer: PeerId,
        wallet: Wallet,
        reason: DisconnectReason,
    },
    /// `reason` is the gate's own word (`gate::Refusal::as_str`), `"too-many-from-address"` before any identity is known,
    /// or `"refused-by-peer"` when the other side closed before it said who it is, as a gate does.
    PeerRefused {
        peer: Option<PeerId>,
        wallet: Option<Wallet>,
        direction: Direction,
        reason: &'static str,
        count: u64,
    },
    Ready {
        database: Option<String>,
    },
    NotReady {
        database: Option<String>,
    },
    WalletRevoked {
        wallet: Wallet,
    },
    WalletsChanged {
        database: String,
        added: usize,
        removed: usize,
        total: usize,
    },
    RegistryFailed {
        database: String,
        error: String,
        failures: u32,
        retry_in: Duration,
    },
    RegistryStale {
        database: String,
        age: Duration,
    },
    /// `topic` is empty and `author` unknown for copies that a slow peer did not take (`"peer-too-slow"`): gossip counts
    /// them by peer.
    MessageDropped {
        topic: String,
        author: Option<PeerId>,
        reason: &'static str,
        count: u64,
    },
    QueueOverflow {
        topic: String,
        count: u64,
    },
    ListenAddress {
        address: String,
    },
    /// Whether others can connect here directly, or where, has changed.
    ReachabilityChanged {
        reachability: Reachability,
        addresses: Vec<String>,
    },
    /// Another host has our key: it answered there, or came from there.
    DuplicateIdentity {
        address: String,
    },
}

/// What a finished operation gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Text(String),
}

/// What the core wants to know from the host language.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The wallets of this database's registry. `waiting` are those that it is asked about, if it gives no list.
    Wallets { database: u32, waiting: Vec<Wallet> },
    /// The bootstrap nodes.
    Bootstrap,
}

/// Everything on the control lane of a node's mailbox.
#[derive(Clone, Debug)]
pub enum Control {
    Done {
        op: u64,
        result: Result<Value, Error>,
    },
    Request {
        id: u64,
        question: Question,
    },
    /// The answer to this request is no longer wanted.
    Cancel {
        id: u64,
    },
    Event(NodeEvent),
    /// The core has ended: `None` after `close`, else the failure. Always the last item.
    Stopped(Option<Error>),
}

//! What the caller of a dial is told when it comes to nothing.

use std::{error::Error as StdError, io};

use libp2p::{PeerId, TransportError, swarm::DialError};

use crate::{
    error::{Error, ErrorKind, Field},
    gate::{Denied, Refusal},
    identity::Wallet,
};

pub(super) fn not_authorized(peer: PeerId, reason: Refusal) -> Error {
    refusal(peer, format!("no connection to {peer}: {}", sentence(reason)), reason.as_str())
}

/// By the gate of this node, or by that of the peer.
pub(super) fn refusal(peer: PeerId, text: String, reason: &'static str) -> Error {
    let wallet = Wallet::from_peer_id(&peer).map_or(Field::None, |wallet| Field::Text(wallet.to_string()));
    let error = Error::new(ErrorKind::NotAuthorized, text);
    error.with("peer_id", peer.to_base58()).with("wallet", wallet).with("reason", reason)
}

const fn sentence(reason: Refusal) -> &'static str {
    match reason {
        Refusal::NotListed => "its wallet is not on the list of any open database",
        Refusal::NotEd25519 => "its identity is not an Ed25519 key, so it is nobody's wallet",
        Refusal::WeakKey => "its key is weak: anybody could speak for it",
        Refusal::NoList => "there is no list of wallets yet; open a database, or wait for the registry's first answer",
        Refusal::Stale => "the list of wallets is too old; look at the registry",
        Refusal::RegistryFailed => "its wallet is not on the last list, and the registry could not be read",
        Refusal::TimedOut => "the registry did not answer in time",
        Refusal::Closed => "the node is closing",
    }
}

pub(super) fn describe(error: &DialError) -> Error {
    match error {
        DialError::WrongPeerId { obtained, address } => {
            let text = format!("another peer answered at {address}: {obtained}; check the wallet of this address");
            Error::new(ErrorKind::Dial, text).with("causes", vec![error.to_string()])
        }
        DialError::LocalPeerId { address } => {
            let text = format!("{address} is the node itself, or another one with its key");
            Error::new(ErrorKind::Dial, text).with("causes", Vec::new())
        }
        DialError::Transport(causes) => {
            if let Some(denied) = causes.iter().find_map(|(_, cause)| denied_in(cause)) {
                return not_authorized(denied.peer, denied.reason);
            }
            let causes: Vec<String> =
                causes.iter().map(|(address, cause)| format!("{address}: {}", innermost(cause))).collect();
            let text = format!("the peer could not be reached: {}", causes.join("; "));
            Error::new(ErrorKind::Dial, text).with("causes", causes)
        }
        // By us, as it took too long.
        DialError::Aborted => {
            Error::new(ErrorKind::Dial, "the peer did not answer in time").with("causes", vec![error.to_string()])
        }
        other => {
            Error::new(ErrorKind::Dial, format!("the dial failed: {other}")).with("causes", vec![other.to_string()])
        }
    }
}

/// Somebody is there, and yet the handshake came to nothing. Errors of the system are those of nobody, and a limit of time
/// is one of them (`swarm::transport`).
pub(super) fn was_answered(error: &TransportError<io::Error>) -> bool {
    let TransportError::Other(error) = error else { return false };
    let from_the_system = |error: &(dyn StdError + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() != io::ErrorKind::Other)
    };
    denied_in(error).is_none() && !chain(error).any(from_the_system)
}

/// The gate's refusal of whoever answered, below the wrappers of the transport.
fn denied_in(error: &(dyn StdError + 'static)) -> Option<Denied> {
    chain(error).find_map(|error| error.downcast_ref::<Denied>().cloned())
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // `io::Error::other` keeps what it wraps out of `source`.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source())
    })
}

//! The texts that name whom to dial, read once where they come in.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{
    error::{Error, ErrorKind},
    identity,
};

/// Whom to dial, as the caller named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialTarget {
    /// A peer, at these addresses; without any, at those that are known.
    Peer(PeerId, Vec<Multiaddr>),
    /// Whoever answers there; the gate judges by the identity that is shown.
    Address(Multiaddr),
}

impl DialTarget {
    /// One peer id, one multiaddr, or several multiaddrs that end in the same peer id.
    pub(crate) fn parse_all(addresses: &[String]) -> Result<Self, Error> {
        match addresses {
            [one] => Self::parse(one),
            several => parse_node(several).map(|(peer, addresses)| Self::Peer(peer, addresses)),
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        if !text.starts_with('/') {
            return Ok(Self::Peer(identity::parse_peer_id(text)?, Vec::new()));
        }
        let address: Multiaddr = text.parse().map_err(|error| {
            Error::new(ErrorKind::Dial, format!("'{text}' is not a multiaddr: {error}")).with("address", text)
        })?;
        match address.iter().last() {
            Some(Protocol::P2p(peer)) => Ok(Self::Peer(peer, vec![address])),
            _ => Ok(Self::Address(address)),
        }
    }
}

/// Bootstrap nodes, or relays. `Err` is about the first that is none.
pub(crate) fn parse_nodes(nodes: &[Vec<String>]) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, Error> {
    nodes.iter().map(|node| parse_node(node)).collect()
}

/// One bootstrap node: the addresses of one peer.
fn parse_node(addresses: &[String]) -> Result<(PeerId, Vec<Multiaddr>), Error> {
    let mut parsed = Vec::with_capacity(addresses.len());
    let mut owner = None;
    for text in addresses {
        match DialTarget::parse(text)? {
            DialTarget::Peer(peer, mut addresses)
                if !addresses.is_empty() && owner.is_none_or(|owner| owner == peer) =>
            {
                owner = Some(peer);
                parsed.append(&mut addresses);
            }
            _ => {
                let text =
                    format!("'{text}' must be a multiaddr that ends in /p2p/ and the peer id of the bootstrap node");
                return Err(Error::new(ErrorKind::Config, text));
            }
        }
    }
    let owner = owner.ok_or_else(|| Error::new(ErrorKind::Config, "a bootstrap node without an address"))?;
    Ok((owner, parsed))
}

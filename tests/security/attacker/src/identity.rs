//! The key of a node, in the form that Solana and the Go library use, and the wallet behind a peer id.

use libp2p::{PeerId, identity::Keypair};

use crate::Result;

/// The identity multihash of an Ed25519 public key: this prefix and the 32 bytes of the key.
const ED25519_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

pub(crate) fn keypair(secret: Option<&str>) -> Result<Keypair> {
    let Some(text) = secret else {
        return Ok(Keypair::generate_ed25519());
    };
    let mut bytes = bs58::decode(text).into_vec()?;
    let pair = libp2p::identity::ed25519::Keypair::try_from_bytes(&mut bytes)?;
    Ok(pair.into())
}

/// The wallet text of a peer id, `None` for any other key than Ed25519.
pub(crate) fn wallet(peer: &PeerId) -> Option<String> {
    let bytes = peer.to_bytes();
    let key = bytes.strip_prefix(&ED25519_PREFIX)?;
    (key.len() == 32).then(|| bs58::encode(key).into_string())
}

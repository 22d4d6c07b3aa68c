//! Who a node is: a wallet, the libp2p peer id with the same key in it, and the secret behind both.
//!
//! A [`Wallet`] is checked when it is made and free of doubt afterwards. The checks matter: for a public key of small
//! order anybody can make signatures that verify, so such a key on a list would let everybody in, and a key with two
//! encodings could be listed under one and revoked under the other. One check may come later, where a hundred thousand
//! wallets wait for it: nothing verifies with a key that is not on the curve, so that one lets nobody in.

use std::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};
use libp2p::{
    PeerId,
    identity::{Keypair, ed25519},
};
use zeroize::Zeroizing;

use crate::{
    defences,
    error::{Error, ErrorKind},
};

/// What stands before the 32 bytes of the key in an Ed25519 peer id: identity multihash of 36 bytes, then the
/// protobuf of the public key (type Ed25519, 32 bytes of data).
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
const PEER_ID_LENGTH: usize = PEER_ID_PREFIX.len() + 32;

/// Longer text is refused unread, because decoding Base58 takes time in the square of the length. No text that is
/// right has more than 88 characters.
const MAX_TEXT: usize = 128;

/// 2^255 - 19, least byte first: encodings of a coordinate from here on are second names of smaller ones.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The coordinates y of the eight points of small order, least byte first. The canonical encodings of these points are
/// these ten: each coordinate with either sign.
const SMALL_ORDER: [[u8; 32]; 5] = {
    let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], FIELD_PRIME);
    one[0] = 1;
    minus_one[0] -= 1;
    [
        zero,
        one,
        minus_one,
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

/// Why a wallet, a peer id or a secret was refused. None of them shows what was given: it may have been a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    #[error(
        "the {what} is not Base58: character {position} does not occur in Base58, which has no spaces, punctuation, \
         0, O, I or l; copy it again"
    )]
    NotBase58 { what: &'static str, position: usize },
    #[error("the {what} has {found} characters, which is more than any {what} has; copy it again")]
    TextTooLong { what: &'static str, found: usize },
    #[error("a wallet has 32 bytes, this has {found}{}", wallet_hint(*.found))]
    WalletLength { found: usize },
    #[error("a secret key has 64 bytes, the key seed and the public key, this has {found}{}", secret_hint(*.found))]
    SecretLength { found: usize },
    #[error(
        "the wallet is not a point on the Ed25519 curve, so nobody can hold a key for it (an on-chain program address \
         looks like this); use the wallet of a keypair"
    )]
    NotOnCurve,
    #[error(
        "the wallet is a non-canonical encoding of its key, a second name for another wallet; use the wallet as a key tool prints it"
    )]
    NonCanonical,
    #[error("the wallet is a public key of small order, for which anybody can sign; remove it and make a new key")]
    SmallOrder,
    #[error(
        "the public half of the secret key does not belong to its seed, so no peer would accept it; \
         the key is damaged: export it again, or make a new one"
    )]
    HalvesDiffer,
    #[error("neither a JSON array of 64 numbers nor Base58 text")]
    KeyFile,
    #[error(
        "the peer id does not hold an Ed25519 key; a wallet's peer id is 38 bytes and its text starts with 12D3KooW"
    )]
    NotEd25519,
}

fn wallet_hint(found: usize) -> &'static str {
    match found {
        0 => "; give the Base58 text of the public key",
        PEER_ID_LENGTH => ", as a peer id has; give the wallet",
        64 => ", as a secret key has; keep that secret and give its public key",
        _ => "; copy it again, all of it",
    }
}

fn secret_hint(found: usize) -> &'static str {
    match found {
        32 => ", as a bare seed or a wallet has; a seed must be loaded as a seed",
        _ => "; export it again, all of it",
    }
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        Self::new(ErrorKind::Identity, error.to_string())
    }
}

/// A wallet: an Ed25519 public key that is canonical, not of small order, and on the curve. Only of a long list that has
/// just taken effect may some not be on the curve, for the moment until the gate has checked them all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wallet([u8; 32]);

impl Wallet {
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let bytes = bytes.try_into().map_err(|_| IdentityError::WalletLength { found: bytes.len() })?;
        let wallet = Self::before_curve_check(bytes)?;
        VerifyingKey::from_bytes(&bytes).map_err(|_| IdentityError::NotOnCurve)?;
        Ok(wallet)
    }

    /// Refuses the keys that are dangerous, by their bytes alone. Finding out that a key is on the curve takes a hundred
    /// times as long, and whoever uses this has to do it afterwards.
    pub(crate) fn before_curve_check(bytes: [u8; 32]) -> Result<Self, IdentityError> {
        if !defences::WEAK_KEY_CHECK {
            return Ok(Self(bytes));
        }
        let y = without_sign(bytes);
        if !y.iter().rev().lt(FIELD_PRIME.iter().rev()) {
            return Err(IdentityError::NonCanonical);
        }
        if SMALL_ORDER.contains(&y) {
            return Err(IdentityError::SmallOrder);
        }
        Ok(Self(bytes))
    }

    /// Reads the Base58 text of a wallet.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        Self::from_bytes(Decoded::new(text, "wallet")?.bytes())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn peer_id(&self) -> PeerId {
        let mut bytes = [0; PEER_ID_LENGTH];
        bytes[..PEER_ID_PREFIX.len()].copy_from_slice(&PEER_ID_PREFIX);
        bytes[PEER_ID_PREFIX.len()..].copy_from_slice(&self.0);
        PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
    }

    /// The wallet in a peer id. Peer ids of other key types hold only a hash of the key and have none.
    pub fn from_peer_id(peer: &PeerId) -> Result<Self, IdentityError> {
        let key = peer.to_bytes();
        let key = key.strip_prefix(&PEER_ID_PREFIX).filter(|key| key.len() == 32);
        Self::from_bytes(key.ok_or(IdentityError::NotEd25519)?)
    }
}

impl fmt::Display for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.0).into_string())
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({self})")
    }
}

/// Reads the Base58 text of a peer id; it must be the peer id of a valid wallet.
pub fn parse_peer_id(text: &str) -> Result<PeerId, IdentityError> {
    let decoded = Decoded::new(text, "peer id")?;
    let peer = PeerId::from_bytes(decoded.bytes()).map_err(|_| IdentityError::NotEd25519)?;
    Wallet::from_peer_id(&peer)?;
    Ok(peer)
}

/// The secret of a wallet. Wiped from memory when dropped; boxed, so that moving it leaves no copies behind.
#[derive(Clone)]
pub struct SecretKey(Box<SigningKey>);

impl SecretKey {
    pub fn generate() -> Self {
        let pair = Zeroizing::new(ed25519::Keypair::generate().to_bytes());
        Self::from_bytes(pair.as_slice()).expect("a generated key is sound")
    }

    /// The key that grows from 32 secret bytes. Any will do: what grows is canonical and of large order by construction.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }

    /// Reads the 64 bytes of a Solana key file: the seed, then the public key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let (seed, public) = bytes
            .split_first_chunk::<32>()
            .filter(|(_, public)| public.len() == 32)
            .ok_or(IdentityError::SecretLength { found: bytes.len() })?;
        let key = Self::from_seed(seed);
        if key.wallet().as_bytes() != public {
            return Err(IdentityError::HalvesDiffer);
        }
        Ok(key)
    }

    /// Reads the Base58 text of the same 64 bytes.
    pub fn from_base58(text: &str) -> Result<Self, IdentityError> {
        Self::from_bytes(Decoded::new(text, "secret key")?.bytes())
    }

    pub fn wallet(&self) -> Wallet {
        Wallet(self.0.verifying_key().to_bytes())
    }

    pub fn peer_id(&self) -> PeerId {
        self.wallet().peer_id()
    }

    /// The 64 bytes as Base58 text: the one way in which the secret leaves.
    pub fn to_base58(&self) -> Zeroizing<String> {
        let pair = Zeroizing::new(self.0.to_keypair_bytes());
        Zeroizing::new(bs58::encode(pair.as_slice()).into_string())
    }

    pub fn libp2p(&self) -> Keypair {
        let mut pair = Zeroizing::new(self.0.to_keypair_bytes());
        let pair = ed25519::Keypair::try_from_bytes(pair.as_mut_slice()).expect("both halves are of one key");
        Keypair::from(pair)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(wallet={})", self.wallet())
    }
}

/// The coordinate of an encoded point, without the sign bit of the other one, which shares the last byte.
fn without_sign(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] &= 0x7f;
    bytes
}

/// What a Base58 text stands for, in a buffer that is wiped: what was given as a wallet may have been a secret.
struct Decoded {
    buffer: Zeroizing<[u8; MAX_TEXT]>,
    length: usize,
}

impl Decoded {
    fn new(text: &str, what: &'static str) -> Result<Self, IdentityError> {
        if text.len() > MAX_TEXT {
            return Err(IdentityError::TextTooLong { what, found: text.chars().count() });
        }
        let mut buffer = Zeroizing::new([0; MAX_TEXT]);
        let length = bs58::decode(text).onto(buffer.as_mut_slice()).map_err(|error| {
            let index = match error {
                bs58::decode::Error::InvalidCharacter { index, .. }
                | bs58::decode::Error::NonAsciiCharacter { index } => index,
                // The buffer has room for whatever a text of this length can stand for.
                _ => 0,
            };
            IdentityError::NotBase58 { what, position: index + 1 }
        })?;
        Ok(Self { buffer, length })
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

mod key_file;
#[cfg(test)]
mod tests;

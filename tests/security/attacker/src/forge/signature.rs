//! Keys of small order and signatures that they accept.

use curve25519_dalek::{
    EdwardsPoint, Scalar, constants::EIGHT_TORSION, edwards::CompressedEdwardsY, traits::IsIdentity as _,
};
use sha2::{Digest as _, Sha512};

use crate::{Result, hex};

/// Half of the tries hit for the point of order 2, an eighth for those of order 8: this many all but never fail.
const MAX_TRIES: u32 = 1000;

/// A public key as it stands on the wire.
pub(crate) type Key = [u8; 32];

/// Every encoding of a point of small order that the curve library decodes: the eight canonical ones, and six with a sign
/// without a meaning or a coordinate above the field prime.
pub(crate) fn small_order_keys() -> Vec<Key> {
    let canonical = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes());
    canonical.chain(non_canonical()).collect()
}

fn non_canonical() -> [Key; 6] {
    const SIGN: u8 = 0x80;
    let field_prime_plus = |more: u8, sign: u8| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (0xed + more, 0x7f | sign);
        key
    };
    let mut one = [0; 32];
    (one[0], one[31]) = (1, SIGN);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    [
        one,
        minus_one,
        field_prime_plus(0, 0),
        field_prime_plus(0, SIGN),
        field_prime_plus(1, 0),
        field_prime_plus(1, SIGN),
    ]
}

pub(crate) fn is_canonical(key: &Key) -> bool {
    EIGHT_TORSION.iter().any(|point| point.compress().as_bytes() == key)
}

pub(crate) fn parse(text: &str) -> Result<Key> {
    hex::decode(text)?.try_into().map_err(|_| "a point is 64 hexadecimal digits".into())
}

/// A signature of `text` that verifies under `key`, and the number of tries. No private key is involved.
pub(crate) fn forge(key: &Key, text: &[u8]) -> Result<([u8; 64], u32)> {
    let point = CompressedEdwardsY(*key).decompress().ok_or("the key is no point of the curve")?;
    for tries in 1..=MAX_TRIES {
        let mut wide = [0; 64];
        rand::fill(&mut wide);
        let scalar = Scalar::from_bytes_mod_order_wide(&wide);
        let commitment = EdwardsPoint::mul_base(&scalar).compress();
        let digest = Sha512::new().chain_update(commitment.as_bytes()).chain_update(key).chain_update(text).finalize();
        let challenge = Scalar::from_bytes_mod_order_wide(&digest.into());
        if (point * challenge).is_identity() {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(commitment.as_bytes());
            signature[32..].copy_from_slice(scalar.as_bytes());
            return Ok((signature, tries));
        }
    }
    Err("the key is not of small order".into())
}

#[cfg(test)]
mod tests {
    use libp2p::identity::{PublicKey, ed25519};

    use super::{forge, is_canonical, small_order_keys};

    #[test]
    fn libp2p_accepts_a_forgery_under_every_small_order_key() {
        let keys = small_order_keys();
        assert_eq!((keys.len(), keys.iter().filter(|key| is_canonical(key)).count()), (14, 8));
        assert!(keys.contains(&[0; 32]), "the all-zero key is of small order");
        for key in keys {
            let (signature, _) = forge(&key, b"anything").expect("a key of small order");
            let public: PublicKey = ed25519::PublicKey::try_from_bytes(&key).expect("a point of the curve").into();
            assert!(public.verify(b"anything", &signature));
            assert!(!public.verify(b"anything else, mostly", &[1; 64]));
        }
    }

    #[test]
    fn an_honest_key_cannot_be_forged() {
        let honest = ed25519::Keypair::generate().public().to_bytes();
        assert!(forge(&honest, b"anything").is_err());
    }
}

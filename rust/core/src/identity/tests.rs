use libp2p::identity::{self, ed25519::PublicKey};

use super::*;

/// Every encoding of the eight points of small order, canonical or not.
const ENCODINGS_OF_SMALL_ORDER: [&str; 14] = [
    // y = 0: order 4
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    // y = 1: order 1, the second with the sign of a zero
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    // order 8
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    // y = -1: order 2, the second with the sign of a zero
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    // y = p, a second name of 0
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    // y = p + 1, a second name of 1
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn bytes(hex: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

/// 64 bytes whose second half is not the public key of the first.
fn damaged() -> Vec<u8> {
    let mut pair = bs58::decode(&*SecretKey::from_seed(&[7; 32]).to_base58()).into_vec().unwrap();
    pair[63] ^= 1;
    pair
}

#[test]
fn small_order_is_refused_in_every_encoding() {
    for hex in ENCODINGS_OF_SMALL_ORDER {
        let key = bytes(hex);
        let expected = if hex[2..62].bytes().all(|c| c == b'f') && !hex.starts_with("ec") {
            IdentityError::NonCanonical
        } else {
            IdentityError::SmallOrder
        };
        assert_eq!(Wallet::from_bytes(&key), Err(expected.clone()), "{hex}");
        assert_eq!(Wallet::parse(&bs58::encode(key).into_string()), Err(expected), "{hex}");

        let mut peer = PEER_ID_PREFIX.to_vec();
        peer.extend(key);
        let peer = PeerId::from_bytes(&peer).unwrap();
        assert!(Wallet::from_peer_id(&peer).is_err(), "{hex}");
        assert!(parse_peer_id(&peer.to_base58()).is_err(), "{hex}");
    }
    assert_eq!(Wallet::parse("11111111111111111111111111111111"), Err(IdentityError::SmallOrder));
}

/// There are eight such points, so that all is right when each encoding that the library calls weak is refused by its
/// bytes, and each that these bytes refuse is weak.
#[test]
fn small_order_can_be_told_from_the_bytes() {
    let mut canonical = 0;
    for hex in ENCODINGS_OF_SMALL_ORDER {
        let key = bytes(hex);
        assert!(VerifyingKey::from_bytes(&key).unwrap().is_weak(), "{hex}");
        assert!(Wallet::before_curve_check(key).is_err(), "{hex}");
        canonical += usize::from(SMALL_ORDER.contains(&without_sign(key)));
    }
    assert_eq!(canonical, 2 * SMALL_ORDER.len());
    for n in 0..=255 {
        let key = [n; 32];
        let weak = VerifyingKey::from_bytes(&key).is_ok_and(|key| key.is_weak());
        assert_eq!(weak, matches!(Wallet::from_bytes(&key), Err(IdentityError::SmallOrder)), "{n}");
    }
}

#[test]
fn every_coordinate_from_the_prime_on_is_refused() {
    for low in 0xed..=0xff {
        for sign in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            key[0] = low;
            key[31] = sign;
            assert_eq!(Wallet::from_bytes(&key), Err(IdentityError::NonCanonical));
        }
    }
}

#[test]
fn what_is_not_a_point_is_refused() {
    let mut two = [0; 32];
    two[0] = 2;
    assert_eq!(Wallet::from_bytes(&two), Err(IdentityError::NotOnCurve));
}

#[test]
fn what_is_not_a_wallet_is_refused() {
    let not_base58 = |position| Err(IdentityError::NotBase58 { what: "wallet", position });
    let cases = [
        ("", Err(IdentityError::WalletLength { found: 0 })),
        ("FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhi", Err(IdentityError::WalletLength { found: 31 })),
        ("FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF\n", not_base58(44)),
        (" FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF", not_base58(1)),
        ("0Ae4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF", not_base58(1)),
        ("FÄe4", not_base58(2)),
        (&*"z".repeat(1_000_000), Err(IdentityError::TextTooLong { what: "wallet", found: 1_000_000 })),
    ];
    for (text, expected) in cases {
        assert_eq!(Wallet::parse(text), expected);
    }
    for length in [0, 31, 33, 38, 64] {
        assert_eq!(Wallet::from_bytes(&vec![1; length]), Err(IdentityError::WalletLength { found: length }));
    }
}

#[test]
fn the_longest_texts_fit_the_buffer() {
    for text in ["1".repeat(MAX_TEXT), "z".repeat(MAX_TEXT)] {
        assert!(matches!(Wallet::parse(&text), Err(IdentityError::WalletLength { .. })));
    }
}

#[test]
fn what_is_not_a_secret_is_refused() {
    let key = SecretKey::from_seed(&[7; 32]);
    for length in [0, 31, 32, 33, 63, 65, 128] {
        let refused = SecretKey::from_bytes(&vec![7; length]).unwrap_err();
        assert_eq!(refused, IdentityError::SecretLength { found: length });
    }
    let refused = SecretKey::from_base58(&key.wallet().to_string()).unwrap_err();
    assert_eq!(refused, IdentityError::SecretLength { found: 32 });
    assert_eq!(SecretKey::from_bytes(&damaged()).unwrap_err(), IdentityError::HalvesDiffer);
    assert_eq!(SecretKey::from_bytes(&[0; 64]).unwrap_err(), IdentityError::HalvesDiffer);
    let mut weak = vec![7; 32];
    for hex in ENCODINGS_OF_SMALL_ORDER {
        weak.truncate(32);
        weak.extend(bytes(hex));
        assert_eq!(SecretKey::from_bytes(&weak).unwrap_err(), IdentityError::HalvesDiffer);
    }
}

#[test]
fn errors_and_debug_never_show_the_secret() {
    let key = SecretKey::from_seed(&[7; 32]);
    let secret = key.to_base58();
    let damaged = bs58::encode(damaged()).into_string();
    let with_a_typo = format!("{}0", &secret[..80]);
    let errors = [
        Wallet::parse(&secret).unwrap_err(),
        parse_peer_id(&secret).unwrap_err(),
        SecretKey::from_base58(&damaged).unwrap_err(),
        SecretKey::from_base58(&with_a_typo).unwrap_err(),
        SecretKey::from_base58(&secret.repeat(3)).unwrap_err(),
        SecretKey::from_base58(&secret[..60]).unwrap_err(),
    ];
    for error in errors {
        let shown = format!("{error} {error:?} {:?}", Error::from(error.clone()));
        for given in [&**secret, &*damaged, &*with_a_typo] {
            assert!(
                !given.as_bytes().windows(8).any(|part| shown.contains(std::str::from_utf8(part).unwrap())),
                "{shown}"
            );
        }
        assert_eq!(Error::from(error).kind, ErrorKind::Identity);
    }
    assert_eq!(format!("{key:?}"), format!("SecretKey(wallet={})", key.wallet()));
}

#[test]
fn a_damaged_secret_is_named_exactly() {
    let error = SecretKey::from_bytes(&damaged()).unwrap_err().to_string();
    assert!(error.contains("the public half of the secret key does not belong to its seed"), "{error}");
}

#[test]
fn secrets_survive_the_round_trip() {
    for key in [SecretKey::generate(), SecretKey::from_seed(&[0; 32]), SecretKey::from_seed(&[0xff; 32])] {
        let again = SecretKey::from_base58(&key.to_base58()).unwrap();
        assert_eq!(again.wallet(), key.wallet());
        assert_eq!(Wallet::from_bytes(key.wallet().as_bytes()), Ok(key.wallet()));
        assert_eq!(PeerId::from(key.libp2p().public()), key.peer_id());
        let signature = key.libp2p().sign(b"text").unwrap();
        let public = PublicKey::try_from_bytes(key.wallet().as_bytes()).unwrap();
        assert!(public.verify(b"text", &signature));
    }
    assert_ne!(SecretKey::generate().wallet(), SecretKey::generate().wallet());
}

#[test]
fn a_key_file_has_either_form_and_nothing_else() {
    let key = SecretKey::from_seed(&[7; 32]);
    let base58 = key.to_base58();
    let pair = bs58::decode(&*base58).into_vec().unwrap();
    let read = |text: &str| SecretKey::from_file_content(text.into());
    for text in [format!("{pair:?}"), format!("\n {pair:?}\r\n").replace(' ', ""), format!("{}\n", *base58)] {
        assert_eq!(read(&text).unwrap().wallet(), key.wallet(), "{text}");
    }
    let inner = format!("{pair:?}").trim_matches(['[', ']']).to_owned();
    let (rest, last) = inner.rsplit_once(", ").unwrap();
    for text in
        ["", "[]", &format!("[{inner}"), &format!("[{inner},]"), &format!("[{inner}, {last}]"), &format!("[{rest}]")]
    {
        assert_eq!(read(text).unwrap_err(), IdentityError::KeyFile, "{text}");
    }
    for wrong in ["+1", "-1", "256", "1.0", "true", "", "1 2"] {
        assert_eq!(read(&format!("[{rest}, {wrong}]")).unwrap_err(), IdentityError::KeyFile, "{wrong}");
    }
    assert_eq!(SecretKey::from_file_content(vec![0xff; 64]).unwrap_err(), IdentityError::KeyFile);
    assert_eq!(read(&format!("[{rest}, {}]", pair[63] ^ 1)).unwrap_err(), IdentityError::HalvesDiffer);
}

#[test]
fn peer_ids_of_other_keys_have_no_wallet() {
    let hashed = {
        let mut bytes = vec![0x12, 0x20];
        bytes.extend([7; 32]);
        PeerId::from_bytes(&bytes).unwrap()
    };
    let secp256k1_type = {
        let mut bytes = vec![0x00, 0x24, 0x08, 0x02, 0x12, 0x20];
        bytes.extend(SecretKey::from_seed(&[7; 32]).wallet().as_bytes());
        PeerId::from_bytes(&bytes).unwrap()
    };
    let short = PeerId::from_bytes(&[0x00, 0x06, 0x08, 0x01, 0x12, 0x20, 0x07, 0x07]).unwrap();
    let long = {
        let mut bytes = vec![0x00, 0x25, 0x08, 0x01, 0x12, 0x20];
        bytes.extend([7; 33]);
        PeerId::from_bytes(&bytes).unwrap()
    };
    for peer in [hashed, secp256k1_type, short, long, PeerId::random()] {
        assert_eq!(Wallet::from_peer_id(&peer), Err(IdentityError::NotEd25519));
        assert_eq!(parse_peer_id(&peer.to_base58()), Err(IdentityError::NotEd25519));
    }
    for text in ["", "12D3KooW", "FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF"] {
        assert_eq!(parse_peer_id(text), Err(IdentityError::NotEd25519));
    }
    assert!(matches!(parse_peer_id("12D3 KooW"), Err(IdentityError::NotBase58 { what: "peer id", position: 5 })));
    assert!(matches!(parse_peer_id(&"1".repeat(9_999)), Err(IdentityError::TextTooLong { .. })));
}

#[test]
fn a_generated_libp2p_key_has_the_wallet_of_its_public_half() {
    let keypair = identity::Keypair::generate_ed25519();
    let public = keypair.public().try_into_ed25519().unwrap().to_bytes();
    assert_eq!(Wallet::from_peer_id(&PeerId::from(keypair.public())).unwrap().as_bytes(), &public);
}

/// `RUSTFLAGS` in the environment takes the place of `.cargo/config.toml`, and nothing says so: such a build is slower.
#[cfg(target_arch = "x86_64")]
#[test]
fn signatures_are_compiled_for_avx512() {
    // Not in a const block: a build with other flags is to fail this test, not to have none.
    let backend = if cfg!(curve25519_dalek_backend = "avx512") { "avx512" } else { "another" };
    assert_eq!(backend, "avx512", "built without the flags of .cargo/config.toml");
}

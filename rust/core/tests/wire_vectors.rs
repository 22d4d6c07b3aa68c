//! The bytes that make a node of ours and one of the Go library understand each other.
#![allow(
    clippy::cast_possible_truncation,
    clippy::format_collect,
    reason = "bytes are cut out of numbers, and a test has time"
)]

use depinmesh_core::{
    identity::{SecretKey, Wallet, parse_peer_id},
    pubsub::envelope,
};
use libp2p::{PeerId, identity::PublicKey};
use sha2::{Digest, Sha256};

const WALLETS: [(&str, &str); 5] = [
    ("jgtpoApjta2e97hvuSKzUiSKXsYrCS9yHjyADgeJyBN", "12D3KooWAZ44ZvkXvnqX42d8ZWBfmGoGorvBstWdvt6zYCqYCuuJ"),
    ("FLE6aWnEhSqVeyUHzpkHmaxhPJEJj61foYqkL9z1qJpL", "12D3KooWQ9bGKeMwtM6z4ryidRVdYP3XsdGwkn69m9Cmi98ujFYG"),
    ("Dg99EAH5xgLFSqCo8DSsUbaW6wNdFXWVNnXmqofodoKd", "12D3KooWNVWJyHro9abjriiDkpCDFPfLbGRGHDayLNtoDnphXk3Z"),
    ("PBULEPNctA7APBKpMF1Nwof49Ms3VxaqjQvR2eKpUUb", "12D3KooWACYe5My5onRbaGgkSwzM9jtVYUQW5C34oKmwo1oDiRCX"),
    ("FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF", "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"),
];

const SECRET: &str = "1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq";

/// Seed 00 01 .. 1f: the wallet of the last row above.
fn key() -> SecretKey {
    SecretKey::from_seed(&std::array::from_fn(|i| i as u8))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn wallets_and_peer_ids_are_one() {
    for (wallet_text, peer_text) in WALLETS {
        let wallet = Wallet::parse(wallet_text).unwrap();
        let peer = parse_peer_id(peer_text).unwrap();
        assert_eq!(wallet.to_string(), wallet_text);
        assert_eq!(wallet.peer_id().to_string(), peer_text);
        assert_eq!(wallet.peer_id(), peer);
        assert_eq!(Wallet::from_peer_id(&peer), Ok(wallet));
        assert_eq!(Wallet::from_bytes(wallet.as_bytes()), Ok(wallet));
        assert_eq!(hex(&peer.to_bytes()), format!("002408011220{}", hex(wallet.as_bytes())));
        assert_eq!(format!("{wallet:?}"), format!("Wallet({wallet_text})"));
    }
}

#[test]
fn the_secret_is_that_of_the_key_file() {
    let key = SecretKey::from_base58(SECRET).unwrap();
    assert_eq!(key.wallet(), self::key().wallet());
    assert_eq!(key.wallet().to_string(), WALLETS[4].0);
    assert_eq!(key.peer_id().to_string(), WALLETS[4].1);
    assert_eq!(PeerId::from(key.libp2p().public()), key.peer_id());
    assert_eq!(*self::key().to_base58(), SECRET);
}

#[test]
fn a_published_event_is_this_frame() {
    let key = key();
    let from = key.peer_id().to_bytes();
    let seqno = 0x1852_f4c3_a000_0001_u64.to_be_bytes();
    let data = envelope::encode(
        "6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b",
        &key.peer_id().to_string(),
        br#"{"a":1}"#,
        1_752_700_000,
    );
    assert_eq!(data.len(), 153);

    let mut message = Vec::new();
    put_field(&mut message, 1, &from);
    put_field(&mut message, 2, &data);
    put_field(&mut message, 3, &seqno);
    put_field(&mut message, 4, b"depin-network_status");
    let signed = [b"libp2p-pubsub:", &*message].concat();
    let signature = key.libp2p().sign(&signed).unwrap();
    assert_eq!(
        hex(&signature),
        "25ef1a4d26b6536beb2c8643af477b40972bf7fa761ef34e2ff7a2db3cf995ab\
         5d38922273bb1d435eb0b8c7676776984300334ec8c93e136667241f3f48b00d"
    );
    let public = PublicKey::try_decode_protobuf(&from[2..]).unwrap();
    assert!(public.verify(&signed, &signature));

    put_field(&mut message, 5, &signature);
    assert_eq!(message.len(), 294);
    let mut rpc = Vec::new();
    put_field(&mut rpc, 2, &message);
    assert_eq!(rpc.len(), 297);
    let mut frame = Vec::new();
    put_varint(&mut frame, rpc.len());
    frame.extend(&rpc);
    assert!(hex(&frame).starts_with("a90212a6020a260024080112"));
    assert_eq!(hex(&Sha256::digest(&frame)), "8894b39a3c60f2884d7174b130187bba58a7ed00efb4690c4d0566085150adb3");

    assert_eq!(
        hex(&[&*from, &seqno].concat()),
        "00240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b81852f4c3a0000001"
    );
}

/// Protobuf, wire type 2.
fn put_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len());
    out.extend(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

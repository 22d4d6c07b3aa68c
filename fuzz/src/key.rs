//! The texts of wallets, peer ids and secrets: from lists, files, addresses and people.

use std::fmt::Display;

use depinmesh_core::identity::{SecretKey, Wallet, parse_peer_id};
use ed25519_dalek::VerifyingKey;

/// So much of a text cannot stand in a message by chance.
const TELLING: usize = 16;

/// One key has one text, nobody can sign for it without its secret, and no refusal repeats what was given.
pub fn key(data: &[u8]) {
    match SecretKey::from_file_content(data.to_vec()) {
        Ok(key) => sound(&key.wallet()),
        Err(error) => silent(&error, &String::from_utf8_lossy(data)),
    }
    if let Ok(wallet) = Wallet::from_bytes(data) {
        sound(&wallet);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Wallet::parse(text) {
        Ok(wallet) => {
            assert_eq!(wallet.to_string(), text);
            sound(&wallet);
        }
        Err(error) => silent(&error, text),
    }
    match parse_peer_id(text) {
        Ok(peer) => {
            assert_eq!(peer.to_base58(), text);
            sound(&Wallet::from_peer_id(&peer).expect("the peer id of a wallet"));
        }
        Err(error) => silent(&error, text),
    }
    match SecretKey::from_base58(text) {
        Ok(key) => {
            assert_eq!(key.to_base58().as_str(), text);
            sound(&key.wallet());
            assert!(!format!("{key:?}").contains(text));
        }
        Err(error) => silent(&error, text),
    }
}

/// By another implementation's rules: on the curve, in its one encoding, and of large order.
pub(crate) fn sound(wallet: &Wallet) {
    let key = VerifyingKey::from_bytes(wallet.as_bytes()).expect("a point on the curve");
    assert!(!key.is_weak(), "{wallet} is of small order");
    assert_eq!(key.to_edwards().compress().as_bytes(), wallet.as_bytes(), "{wallet} is a second name");
    assert_eq!(Wallet::from_peer_id(&wallet.peer_id()), Ok(*wallet));
}

fn silent(error: &impl Display, text: &str) {
    // No key has words, of which refusals are made.
    let is_words = text.contains(' ') && text.contains(|c: char| c.is_ascii_alphabetic());
    let is_telling = text.len() >= TELLING && !is_words;
    assert!(!is_telling || !error.to_string().contains(text), "a refusal may show a secret");
}

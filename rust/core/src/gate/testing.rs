//! Wallets for the tests of the gate.

use std::{cell::RefCell, collections::HashMap};

use super::Entry;
use crate::identity::{IdentityError, Wallet};

/// The n-th wallet.
pub(super) fn wallet(n: u64) -> Wallet {
    thread_local!(static MADE: RefCell<HashMap<u64, Wallet>> = RefCell::default());
    let make = || {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        Wallet::from_bytes(ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().as_bytes()).unwrap()
    };
    MADE.with_borrow_mut(|made| *made.entry(n).or_insert_with(make))
}

pub(super) fn text(n: u64) -> Entry {
    Entry::Text(wallet(n).to_string())
}

pub(super) fn bytes(n: u64) -> Entry {
    Entry::Bytes(wallet(n).as_bytes().to_vec())
}

/// The n-th key that is not on the curve.
pub(super) fn off_curve(n: usize) -> Entry {
    let keys = (0u16..).map(|n| {
        let mut key = [7; 32];
        key[..2].copy_from_slice(&n.to_le_bytes());
        key
    });
    let mut off_curve = keys.filter(|key| Wallet::from_bytes(key) == Err(IdentityError::NotOnCurve));
    Entry::Bytes(off_curve.nth(n).unwrap().to_vec())
}

pub(super) fn texts(wallets: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    wallets.into_iter().map(text).collect()
}

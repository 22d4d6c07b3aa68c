//! The answer of a registry: a list of texts and bytes, of which some are wallets.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use depinmesh_core::{
    events::Direction,
    gate::{DatabaseId, Entry, Gate, Listed, Registry, WalletSource},
    identity::{SecretKey, Wallet},
};
use tokio::runtime::{Builder, Runtime};

use crate::{key::sound, support::config};

const DATABASE: DatabaseId = 1;

/// Lists are given, it is never asked.
struct Unasked;

impl Registry for Unasked {
    fn wallets(
        &self,
        _: DatabaseId,
        _: Vec<Wallet>,
        _: Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Listed, String>> + Send>> {
        Box::pin(async { unreachable!("a fixed list has no registry") })
    }
}

/// The gate admits exactly the sound wallets of a list, whatever stands beside them.
pub fn wallets(data: &[u8]) {
    thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let entries = entries(data);
    let expected: BTreeSet<Wallet> = entries.iter().filter_map(wallet).collect();
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let own = SecretKey::from_seed(&[1; 32]).wallet();
            let (gate, _events) = Gate::new(config(true, false).gate, own, Arc::new(Unasked));
            gate.attach(DATABASE, "db", WalletSource::List(entries)).expect("the first database");
            // A fixed list is in force when a check of somebody has ended.
            let admitted = gate.check(&own.peer_id(), Direction::Inbound).await.is_ok();
            assert_eq!(admitted, expected.contains(&own));
            assert_eq!(gate.wallets(), expected.into_iter().collect::<Vec<_>>());
            gate.wallets().iter().for_each(sound);
            gate.shutdown();
        });
    });
}

/// A byte says of what kind and how long an entry is: text where it is even.
fn entries(mut data: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((&first, rest)) = data.split_first() {
        let (entry, left) = rest.split_at(usize::from(first >> 1).min(rest.len()));
        data = left;
        entries.push(match std::str::from_utf8(entry) {
            Ok(text) if first & 1 == 0 => Entry::Text(text.to_owned()),
            _ => Entry::Bytes(entry.to_vec()),
        });
    }
    entries
}

fn wallet(entry: &Entry) -> Option<Wallet> {
    match entry {
        Entry::Text(text) => Wallet::parse(text).ok(),
        Entry::Bytes(bytes) => Wallet::from_bytes(bytes).ok(),
    }
}

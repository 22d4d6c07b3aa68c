//! What the gate costs: a decision from the lists in force, an author check, and a list of 100,000 wallets.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::{
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use depinmesh_core::{
    events::Direction,
    gate::{DatabaseId, Entry, Gate, GateConfig, Listed, Registry, Revocation, Verdict, WalletSource},
    identity::Wallet,
};
use divan::{Bencher, black_box};
use ed25519_dalek::SigningKey;
use futures::{FutureExt, future::BoxFuture};
use tokio::runtime::Runtime;

const WALLETS: usize = 100_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static KEYS: LazyLock<Vec<Wallet>> = LazyLock::new(|| (0..=WALLETS).map(wallet).collect());

fn main() {
    divan::main();
}

fn wallet(n: usize) -> Wallet {
    let mut seed = [0; 32];
    seed[..size_of::<usize>()].copy_from_slice(&n.to_le_bytes());
    Wallet::from_bytes(SigningKey::from_bytes(&seed).verifying_key().as_bytes()).unwrap()
}

/// Answers at once with the first wallets.
struct Instantly(usize);

impl Registry for Instantly {
    fn wallets(&self, _: DatabaseId, _: Vec<Wallet>, _: Duration) -> BoxFuture<'static, Result<Listed, String>> {
        let entries: Vec<_> = KEYS.iter().take(self.0).map(|wallet| Entry::Bytes(wallet.as_bytes().to_vec())).collect();
        async { Ok(Listed::from(entries)) }.boxed()
    }
}

/// A gate that never reads by itself after the first time. Its events are thrown away.
fn gate(wallets: usize) -> Gate {
    let never = Duration::from_secs(1_000_000);
    let config = GateConfig {
        refresh_interval: never,
        timeout: Duration::from_secs(60),
        min_interval: Duration::ZERO,
        negative_ttl: never,
        max_stale: never,
        revocation: Revocation::Close,
    };
    let _inside = RUNTIME.enter();
    let (gate, mut events) = Gate::new(config, KEYS[0], Arc::new(Instantly(wallets)));
    RUNTIME.spawn(async move { while events.recv().await.is_some() {} });
    gate
}

fn attached(wallets: usize) -> Gate {
    let gate = gate(wallets);
    gate.attach(1, "bench", WalletSource::Asked).unwrap();
    RUNTIME.block_on(gate.refresh()).unwrap();
    gate
}

#[divan::bench(args = [10, 1_000, WALLETS])]
fn decision_hit(bencher: Bencher, wallets: usize) {
    let gate = attached(wallets);
    let peer = KEYS[wallets / 2].peer_id();
    assert!(matches!(gate.check_now(&peer), Verdict::Admit(_)));
    bencher.bench(|| gate.check_now(black_box(&peer)));
}

#[divan::bench]
fn decision_remembered_refusal(bencher: Bencher) {
    let gate = attached(WALLETS);
    let peer = KEYS[WALLETS].peer_id();
    RUNTIME.block_on(gate.check(&peer, Direction::Inbound)).unwrap_err();
    bencher.bench(|| gate.check_now(black_box(&peer)));
}

#[divan::bench]
fn author_check(bencher: Bencher) {
    let gate = attached(WALLETS);
    bencher.bench(|| gate.listed_in(1, black_box(&KEYS[7])));
}

/// No key is known. The curve check that follows has ended when the next sample begins.
#[divan::bench(sample_count = 10)]
fn first_read_of_100_000(bencher: Bencher) {
    let idle = || {
        thread::sleep(Duration::from_secs(1));
        gate(WALLETS)
    };
    bencher.with_inputs(idle).bench_values(|gate| {
        gate.attach(1, "bench", WalletSource::Asked).unwrap();
        let peer = KEYS[1].peer_id();
        RUNTIME.block_on(gate.check(&peer, Direction::Inbound)).unwrap();
        gate.shutdown();
    });
}

#[divan::bench(sample_count = 10)]
fn refresh_of_100_000(bencher: Bencher) {
    let gate = attached(WALLETS);
    bencher.bench(|| RUNTIME.block_on(gate.refresh()).unwrap());
}

//! A decision of the gate about a wallet that is listed.

use std::{hint::black_box, sync::Arc, time::Duration};

use depinmesh_core::{
    gate::{DatabaseId, Entry, Gate, GateConfig, Listed, Registry, Revocation, Verdict, WalletSource},
    identity::Wallet,
};
use futures::{FutureExt as _, future::BoxFuture};
use libp2p::identity::Keypair;
use tokio::runtime;

use crate::Result;

const WALLETS: u8 = 100;
const NEVER: Duration = Duration::from_secs(1_000_000);
const CONFIG: GateConfig = GateConfig {
    refresh_interval: NEVER,
    timeout: Duration::from_secs(60),
    min_interval: Duration::ZERO,
    negative_ttl: NEVER,
    max_stale: NEVER,
    revocation: Revocation::Close,
};

struct Instantly(Vec<Wallet>);

impl Registry for Instantly {
    fn wallets(
        &self,
        _: DatabaseId,
        _: Vec<Wallet>,
        _: Duration,
    ) -> BoxFuture<'static, std::result::Result<Listed, String>> {
        let entries: Vec<_> = self.0.iter().map(|wallet| Entry::Bytes(wallet.as_bytes().to_vec())).collect();
        async { Ok(Listed::from(entries)) }.boxed()
    }
}

pub(crate) fn decide(times: usize) -> Result {
    let keys =
        (1..=WALLETS).map(|n| Keypair::ed25519_from_bytes([n; 32])).collect::<std::result::Result<Vec<_>, _>>()?;
    let wallets = keys
        .into_iter()
        .map(|key| Ok(Wallet::from_bytes(&key.public().try_into_ed25519()?.to_bytes())?))
        .collect::<std::result::Result<Vec<Wallet>, Box<dyn std::error::Error>>>()?;
    let peer = wallets[usize::from(WALLETS / 2)].peer_id();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let (gate, _events) = Gate::new(CONFIG, wallets[0], Arc::new(Instantly(wallets)));
    gate.attach(1, "bench", WalletSource::Asked)?;
    runtime.block_on(gate.refresh())?;
    for _ in 0..times {
        if !matches!(black_box(gate.check_now(black_box(&peer))), Verdict::Admit(_)) {
            return Err("a listed wallet was refused".into());
        }
    }
    Ok(())
}

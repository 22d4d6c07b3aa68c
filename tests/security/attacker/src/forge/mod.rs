//! A peer with a wallet that nobody owns: a public key of small order, proved with a signature that needs no private key.
//!
//! libp2p checks signatures with the equation `R = S·B - k·A`. A point of small order vanishes under every `k` that its
//! order divides, so about one random `S` in eight gives a valid signature of any text. A list that holds such a wallet,
//! the all-zero key of an empty registry row for instance, lets everybody in.

pub(crate) mod handshake;
mod resolver;
mod signature;
pub(crate) mod stream;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use libp2p::{
    Multiaddr,
    gossipsub::MessageAuthenticity,
    identity::{Keypair, PublicKey, ed25519},
};
use serde_json::{Value, json};

use crate::{
    Result,
    attempt::{Attempt, Plan, attempt},
    forge::handshake::{ForgedNoise, Progress},
    hex, identity,
    node::{Event, Node},
    observe::{Counters, observed},
    options::{Options, Security},
    report, transport,
};

/// Enough to see identify, ping and gossip served, or the connection closed.
const HOLD: Duration = Duration::from_secs(1);

pub(crate) async fn run(options: &Options) -> Result<()> {
    if let Some(address) = &options.control_listen {
        return control(options, address.clone()).await;
    }
    let target = options.required_address()?;
    let points = if options.points.is_empty() {
        signature::small_order_keys()
    } else {
        options.points.iter().map(|text| signature::parse(text)).collect::<Result<_>>()?
    };
    let (mut handshakes, mut identified, mut served) = (0, 0, 0);
    for point in &points {
        let (line, attempt, handshake) = present(point, target, options).await?;
        report::line(&line);
        handshakes += u64::from(handshake);
        identified += u64::from(attempt.identified);
        served += attempt.counted.streams_served();
    }
    report::line(&json!({
        "event": "forge-done",
        "points": points.len(),
        "handshakes": handshakes,
        "identified": identified,
        "streams_served": served,
    }));
    Ok(())
}

/// Dials once under the forged key and tells how far it came.
async fn present(point: &signature::Key, target: &Multiaddr, options: &Options) -> Result<(Value, Attempt, bool)> {
    let identity: PublicKey = ed25519::PublicKey::try_from_bytes(point)?.into();
    let peer = identity.to_peer_id();
    let progress = Arc::<Progress>::default();
    let counters = Arc::<Counters>::default();
    let noise = ForgedNoise { key: *point, progress: progress.clone() };
    let transport = observed(transport::over_tcp(noise), counters.clone());
    let signer = Keypair::generate_ed25519();
    let author = MessageAuthenticity::Signed(signer);
    let mut node = Node::over(transport, None, counters, identity, author, &options.agent, false)?;
    let plan =
        Plan { address: target.clone(), hold: options.hold.unwrap_or(HOLD), until_identified: false, publish: None };
    let attempt = attempt(&mut node, &plan).await?;
    let mut line = attempt.line("forged");
    let handshake = progress.accepted.load(Relaxed);
    for (name, value) in [
        ("point", json!(hex::encode(point))),
        ("canonical", json!(signature::is_canonical(point))),
        ("peer_id", json!(peer.to_string())),
        ("wallet", json!(identity::wallet(&peer))),
        ("tries", json!(progress.tries.load(Relaxed))),
        ("handshake", json!(handshake)),
        ("muxer", json!(progress.muxer())),
    ] {
        line.insert(name.to_owned(), value);
    }
    Ok((line.into(), attempt, handshake))
}

/// The positive control: plain rust-libp2p without a gate, which says whom it has accepted. Runs until it is ended.
async fn control(options: &Options, address: Multiaddr) -> Result<()> {
    let mut options = options.clone();
    options.security = Security::Noise;
    let mut node = Node::new(identity::keypair(options.key.as_deref())?, &options, true)?;
    let address = node.listen(address).await?;
    report::line(&json!({"event": "started", "peer_id": node.peer_id().to_string(), "addresses": [address]}));
    loop {
        if let Event::ConnectionEstablished { peer_id, .. } = node.next().await {
            report::line(&json!({
                "event": "accepted",
                "peer_id": peer_id.to_string(),
                "wallet": identity::wallet(&peer_id),
            }));
        }
    }
}

//! Many strangers at once: each dial comes from a fresh key, so no memory of earlier refusals knows it.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    Result,
    attempt::{Attempt, Plan, attempt},
    node::Node,
    options::Options,
    report,
    sum::Sum,
};

/// How often a running flood says how far it is.
const PROGRESS: Duration = Duration::from_secs(1);
/// A remote under load answers late; who is let in or refused earlier does not wait for it.
const HOLD: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: &Options) -> Result<()> {
    let target = options.required_address()?.clone();
    // Only the transport of the target: every stranger makes its own certificates.
    let udp = over_udp(&target);
    let shared = Arc::new(Options { quic: udp, tcp: !udp, ..options.clone() });
    let slots = Arc::new(Semaphore::new(options.concurrency.max(1)));
    let started = Instant::now();
    let mut told = started;
    let mut sum = Sum::default();
    let mut errors = 0_u64;
    let mut tasks = JoinSet::new();
    let mut count = |ended: Result<Attempt>| match ended {
        Ok(attempt) => sum.add(&attempt),
        Err(_) => errors += 1,
    };
    for number in 0..options.count {
        let slot = slots.clone().acquire_owned().await?;
        let (options, target) = (shared.clone(), target.clone());
        tasks.spawn(async move {
            let ended = stranger(&options, target, number).await;
            drop(slot);
            ended
        });
        while let Some(ended) = tasks.try_join_next() {
            count(ended?);
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            report::line(&json!({"event": "flood", "started": number + 1, "seconds": seconds(started)}));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        count(ended?);
    }
    let seconds = seconds(started);
    let mut line = sum.line("flood-done");
    line.insert("errors".to_owned(), errors.into());
    line.insert("seconds".to_owned(), seconds.into());
    line.insert("per_second".to_owned(), json!((options.count as f64 / seconds).round()));
    report::line(&line.into());
    Ok(())
}

/// One dial of somebody never seen before.
async fn stranger(options: &Options, address: Multiaddr, number: usize) -> Result<Attempt> {
    let mut node = Node::new(Keypair::generate_ed25519(), options, false)?;
    if options.sources > 0 {
        // A QUIC dial leaves from the address that its transport listens on; TCP takes only the port from it.
        let last = 2 + u8::try_from(number % usize::from(options.sources))?.min(252);
        node.listen(local(&address, Ipv4Addr::new(127, 0, 0, last))).await?;
    }
    attempt(&mut node, &Plan { address, hold: options.hold.unwrap_or(HOLD), until_identified: true, publish: None })
        .await
}

/// The listen address on `host` for dials to `target`: the same transport, any port.
fn local(target: &Multiaddr, host: Ipv4Addr) -> Multiaddr {
    let base = Multiaddr::empty().with(Protocol::Ip4(host));
    if over_udp(target) { base.with(Protocol::Udp(0)).with(Protocol::QuicV1) } else { base.with(Protocol::Tcp(0)) }
}

fn over_udp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Udp(_)))
}

fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e3).round() / 1e3
}

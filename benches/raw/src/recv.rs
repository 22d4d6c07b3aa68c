//! The receiving side.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Swarm,
    gossipsub::{self, IdentTopic, MessageAcceptance},
    swarm::SwarmEvent,
};
use serde_json::{Map, json};
use tokio::time::timeout;

use crate::{
    Result,
    credit::Credit,
    envelope, line,
    options::{Options, Transport},
    os,
    peer::{self, Behaviour, BehaviourEvent},
    usage::Usage,
};

const FIRST_MESSAGE: Duration = Duration::from_secs(60);
/// A sender that says nothing for so long has ended or lost what is missing.
const NEXT_MESSAGE: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: &Options) -> Result<()> {
    let credit = Credit::open(&options.credit)?;
    credit.set(0);
    let mut swarm = peer::swarm(options.transport)?;
    swarm.behaviour_mut().gossipsub.subscribe(&IdentTopic::new(&options.topic))?;
    swarm.listen_on(match options.transport {
        Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1".parse()?,
        Transport::Tcp => "/ip4/127.0.0.1/tcp/0".parse()?,
    })?;

    let total = options.warmup + options.count;
    let mut received = 0_u64;
    let mut latencies = Vec::new();
    let mut begun = Usage::now();
    while received < total {
        let patience = if received == 0 { FIRST_MESSAGE } else { NEXT_MESSAGE };
        let Ok(data) = timeout(patience, message(&mut swarm)).await else {
            break;
        };
        if options.latency && received >= options.warmup {
            let now = os::monotonic_ns();
            let scheduled = envelope::scheduled(&data).ok_or("a message without its instant")?;
            latencies.push(now.saturating_sub(scheduled));
        }
        received += 1;
        credit.set(received);
        if received == options.warmup {
            begun = Usage::now();
        }
    }
    let events = received.saturating_sub(options.warmup);
    let mut result = Map::new();
    result.insert("event".to_owned(), "received".into());
    result.insert("transport".to_owned(), options.transport.as_str().into());
    result.insert("events".to_owned(), events.into());
    result.insert("missing".to_owned(), (total - received).into());
    Usage::now().write_since(&begun, events, &mut result);
    if options.latency {
        latencies.sort_unstable();
        for (name, per_mille) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999), ("max_us", 1000)] {
            result.insert(name.to_owned(), percentile(&latencies, per_mille).into());
        }
    }
    line(&result.into());
    peer::linger(&mut swarm, options.linger).await;
    Ok(())
}

/// The data of the next event, accepted at once as depinmesh accepts a good one.
async fn message(swarm: &mut Swarm<Behaviour>) -> Vec<u8> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                let address = format!("{address}/p2p/{}", swarm.local_peer_id());
                line(&json!({"event": "listening", "address": address}));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => {
                let gossip = &mut swarm.behaviour_mut().gossipsub;
                gossip.report_message_validation_result(&message_id, &propagation_source, MessageAcceptance::Accept);
                return message.data;
            }
            _ => {}
        }
    }
}

fn percentile(sorted_ns: &[u64], per_mille: usize) -> Option<f64> {
    let last = sorted_ns.len().checked_sub(1)?;
    Some(sorted_ns[last * per_mille / 1000] as f64 / 1e3)
}

//! A node driven by commands, one JSON object per line on standard input:
//!
//! ```text
//! {"cmd":"dial","address":"/ip4/127.0.0.1/tcp/4002/p2p/12D3..","times":1,"hold_ms":1000,"topic":"db_t","data":"text"}
//! {"cmd":"listen","address":"/ip4/127.0.0.1/udp/0/quic-v1"}
//! {"cmd":"subscribe","topic":"db_t"}   {"cmd":"unsubscribe","topic":"db_t"}
//! {"cmd":"publish","topic":"db_t","data":"text","times":1}   {"cmd":"publish","topic":"db_t","hex":"b101"}
//! {"cmd":"report"}   {"cmd":"quit"}
//! ```
//!
//! Topics are full names, database included. `times`, `hold_ms`, `topic` and `data` of a dial may be left out; `hex` takes the
//! place of `data` that is no text. The end of the input is a `quit`.

use std::{io::BufRead as _, time::Duration};

use libp2p::gossipsub::IdentTopic;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::{
    Result,
    attempt::{Attempt, Plan, attempt, close},
    hex, identity,
    node::Node,
    options::Options,
    report,
    sum::Sum,
};

/// Long enough for a remote that refuses, short enough for a hundred tries.
const HOLD: Duration = Duration::from_secs(1);

pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut node = Node::new(identity::keypair(options.key.as_deref())?, options, true)?;
    let mut addresses = Vec::new();
    for address in &options.listen {
        addresses.push(node.listen(address.clone()).await?);
    }
    let peer = node.peer_id();
    report::line(&json!({
        "event": "started",
        "peer_id": peer.to_string(),
        "wallet": identity::wallet(&peer),
        "addresses": addresses,
    }));
    let mut lines = input();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = node.next() => continue,
        };
        let Some(line) = line else { return Ok(()) };
        match obey(&mut node, &line, options.hold.unwrap_or(HOLD)).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => report::line(&json!({
                "event": "command-failed",
                "command": line,
                "error": report::describe(error.as_ref()),
            })),
        }
    }
}

/// The lines of standard input. A thread of its own reads them: they may never end.
pub(crate) fn input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(256);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Carries out one command; `false` ends the session.
async fn obey(node: &mut Node, line: &str, hold: Duration) -> Result<bool> {
    let command: Value = serde_json::from_str(line)?;
    match text(&command, "cmd")? {
        "dial" => dial(node, &command, hold).await?,
        "listen" => {
            let address = node.listen(text(&command, "address")?.parse()?).await?;
            report::line(&json!({"event": "listening", "address": address}));
        }
        "subscribe" => {
            let topic = text(&command, "topic")?;
            node.swarm.behaviour_mut().gossipsub.subscribe(&IdentTopic::new(topic))?;
            report::line(&json!({"event": "subscribed", "topic": topic}));
        }
        "unsubscribe" => {
            let topic = text(&command, "topic")?;
            node.swarm.behaviour_mut().gossipsub.unsubscribe(&IdentTopic::new(topic));
            report::line(&json!({"event": "unsubscribed", "topic": topic}));
        }
        "publish" => publish(node, &command)?,
        "report" => report_all(node),
        "quit" => return Ok(false),
        other => return Err(format!("unknown command {other}").into()),
    }
    Ok(true)
}

async fn dial(node: &mut Node, command: &Value, hold: Duration) -> Result<()> {
    let publish = match (text(command, "topic"), text(command, "data")) {
        (Ok(topic), Ok(data)) => Some((topic.to_owned(), data.to_owned())),
        _ => None,
    };
    let plan = Plan {
        address: text(command, "address")?.parse()?,
        hold: command["hold_ms"].as_u64().map_or(hold, Duration::from_millis),
        until_identified: false,
        publish,
    };
    let mut sum = Sum::default();
    let mut last: Option<Attempt> = None;
    for number in 1..=command["times"].as_u64().unwrap_or(1) {
        if let Some(earlier) = &last {
            close(node, earlier).await;
        }
        let attempt = attempt(node, &plan).await?;
        let mut line = attempt.line("dialled");
        line.insert("try".to_owned(), number.into());
        report::line(&line.into());
        sum.add(&attempt);
        last = Some(attempt);
    }
    report::line(&sum.line("dial-done").into());
    Ok(())
}

fn publish(node: &mut Node, command: &Value) -> Result<()> {
    let topic = text(command, "topic")?;
    let data = match text(command, "hex") {
        Ok(digits) => hex::decode(digits)?,
        Err(_) => text(command, "data")?.as_bytes().to_vec(),
    };
    let times = command["times"].as_u64().unwrap_or(1);
    let mut accepted = 0_u64;
    let mut error = None;
    for _ in 0..times {
        match node.publish(topic, &data) {
            Ok(()) => accepted += 1,
            Err(why) => error = Some(why.to_string()),
        }
    }
    report::line(&json!({"event": "published", "topic": topic, "times": times, "accepted": accepted, "error": error}));
    Ok(())
}

fn report_all(node: &Node) {
    let mut line = Map::new();
    line.insert("event".to_owned(), "report".into());
    line.insert("peers".to_owned(), node.swarm.connected_peers().count().into());
    line.insert("events_received".to_owned(), node.gossip.received.into());
    line.insert("events_accepted".to_owned(), node.gossip.accepted.into());
    node.counters.now().write(&mut line);
    report::line(&line.into());
}

pub(crate) fn text<'a>(command: &'a Value, field: &str) -> Result<&'a str> {
    command[field].as_str().ok_or_else(|| format!("{field} is missing or no text").into())
}

//! A peer whose handshake is honest and whose streams carry whatever it is told, one JSON object per line of input:
//!
//! ```text
//! {"cmd":"connect","address":"/ip4/127.0.0.1/tcp/4002/p2p/12D3..","identify":"HEX","mute":false,"deaf":false,"serves":{}}
//! {"cmd":"open","link":1,"protocol":"/meshsub/1.1.0","times":1}
//! {"cmd":"write","stream":1,"hex":"..","times":1}
//! {"cmd":"end","stream":1}   {"cmd":"drop","stream":1}   {"cmd":"hang-up","link":1}
//! ```
//!
//! `identify` is the message that this peer says of itself, in the
//! place of a true one; a `mute` peer says nothing of itself, a `deaf` one never reads what it is sent on gossip streams;
//! of a protocol that it `serves` each request has the same answer, `{"/a/1":"HEX"}`.

mod answers;
mod link;
mod stream;

use std::collections::HashMap;

use libp2p::identity::Keypair;
use serde_json::{Value, json};

use crate::{
    Result, hex, identity,
    observe::Counters,
    options::Options,
    raw::{
        answers::{Answers, Served},
        link::Link,
        stream::Stream,
    },
    report,
    session::{input, text},
    transport,
};

struct Session<'a> {
    key: Keypair,
    options: &'a Options,
    links: HashMap<u64, Link>,
    streams: HashMap<u64, Stream>,
    last: u64,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let key = identity::keypair(options.key.as_deref())?;
    let peer = key.public().to_peer_id();
    report::line(&json!({"event": "started", "peer_id": peer.to_string(), "wallet": identity::wallet(&peer)}));
    let mut session = Session { key, options, links: HashMap::new(), streams: HashMap::new(), last: 0 };
    let mut lines = input();
    while let Some(line) = lines.recv().await {
        if let Err(error) = session.obey(&line).await {
            let error = report::describe(error.as_ref());
            report::line(&json!({"event": "command-failed", "command": line, "error": error}));
        }
    }
    Ok(())
}

impl Session<'_> {
    async fn obey(&mut self, line: &str) -> Result<()> {
        let command: Value = serde_json::from_str(line)?;
        match text(&command, "cmd")? {
            "connect" => self.connect(&command).await?,
            "open" => self.open(&command).await?,
            "write" => {
                let bytes = hex::decode(text(&command, "hex")?)?;
                self.stream(&command)?.write(bytes, command["times"].as_u64().unwrap_or(1)).await;
            }
            "end" => self.stream(&command)?.end().await,
            "drop" => {
                let number = number(&command, "stream")?;
                self.streams.remove(&number).ok_or("there is no such stream")?;
                report::line(&json!({"event": "dropped", "stream": number}));
            }
            "hang-up" => {
                self.links.remove(&number(&command, "link")?).ok_or("there is no such link")?;
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(())
    }

    async fn connect(&mut self, command: &Value) -> Result<()> {
        self.last += 1;
        let identify = match text(command, "identify") {
            Ok(message) => hex::decode(message)?,
            Err(_) => answers::identify(&self.key.public(), &self.options.agent),
        };
        let flag = |name: &str| command[name].as_bool().unwrap_or(false);
        let mut serves = Served::new();
        for (protocol, answer) in command["serves"].as_object().into_iter().flatten() {
            serves.insert(protocol.clone(), hex::decode(answer.as_str().ok_or("an answer is no text")?)?);
        }
        let answers = Answers::new(self.last, identify, flag("mute"), flag("deaf"), serves);
        let (transport, _) = transport::build(&self.key, self.options, std::sync::Arc::<Counters>::default())?;
        match Link::dial(self.last, transport, text(command, "address")?.parse()?, answers).await {
            Ok((peer, link)) => {
                report::line(&json!({"event": "connected", "link": self.last, "peer_id": peer.to_string()}));
                self.links.insert(self.last, link);
            }
            Err(error) => {
                let error = report::describe(error.as_ref());
                report::line(&json!({"event": "connect-failed", "link": self.last, "error": error}));
            }
        }
        Ok(())
    }

    /// Opens streams; the line at the end says how many of them the other side agreed to, and names the last one.
    async fn open(&mut self, command: &Value) -> Result<()> {
        let (number, protocol) = (number(command, "link")?, text(command, "protocol")?);
        let times = command["times"].as_u64().unwrap_or(1);
        let link = self.links.get(&number).ok_or("there is no such link")?;
        let (mut agreed, mut error) = (0_u64, None);
        for _ in 0..times {
            match link.open(protocol).await {
                Ok(stream) => {
                    agreed += 1;
                    self.last += 1;
                    self.streams.insert(self.last, Stream::new(self.last, stream));
                }
                Err(why) => error = Some(report::describe(why.as_ref())),
            }
        }
        let stream = (agreed > 0).then_some(self.last);
        report::line(&json!({
            "event": "opened", "link": number, "protocol": protocol, "agreed": agreed, "stream": stream, "error": error,
        }));
        Ok(())
    }

    fn stream(&self, command: &Value) -> Result<&Stream> {
        self.streams.get(&number(command, "stream")?).ok_or_else(|| "there is no such stream".into())
    }
}

fn number(command: &Value, field: &str) -> Result<u64> {
    command[field].as_u64().ok_or_else(|| format!("{field} is missing or no number").into())
}

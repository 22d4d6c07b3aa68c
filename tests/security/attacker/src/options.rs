//! The command line.

use std::{ffi::OsString, time::Duration};

use lexopt::{Arg, ValueExt as _};
use libp2p::{Multiaddr, PeerId};

use crate::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Node,
    Silent,
    Flood,
    Forge,
    Raw,
    Noise,
    Yamux,
    Tls,
    Initial,
    HalfOpen,
}

/// What TCP offers and asks for; QUIC always is TLS 1.3.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Noise,
    Tls,
    Both,
}

/// One set for all commands: each reads what concerns it.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) command: Command,
    /// Base58 of the 64-byte secret; a random key without it.
    pub(crate) key: Option<String>,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) quic: bool,
    pub(crate) tcp: bool,
    pub(crate) security: Security,
    pub(crate) agent: String,
    /// Serves `AutoNAT` v2.
    pub(crate) autonat: bool,
    /// Events name this author, and nobody signs them.
    pub(crate) unsigned_as: Option<PeerId>,
    pub(crate) address: Option<Multiaddr>,
    pub(crate) count: usize,
    pub(crate) concurrency: usize,
    /// How many loopback addresses (127.0.0.2 and up) the dials come from; 0: whatever the system takes.
    pub(crate) sources: u8,
    /// How long a connection is left to the remote to be closed before it counts as open. Each command has its own default.
    pub(crate) hold: Option<Duration>,
    /// How long the remote has to act.
    pub(crate) seconds: Duration,
    pub(crate) points: Vec<String>,
    pub(crate) control_listen: Option<Multiaddr>,
}

impl Options {
    pub(crate) fn from_env() -> Result<Self> {
        Self::parse(lexopt::Parser::from_env())
    }

    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let mut options = Self {
            command: Command::Node,
            key: None,
            listen: Vec::new(),
            quic: true,
            tcp: true,
            security: Security::Both,
            agent: "attacker/1.0".to_owned(),
            autonat: false,
            unsigned_as: None,
            address: None,
            count: 1,
            concurrency: 64,
            sources: 0,
            hold: None,
            seconds: Duration::from_secs(10),
            points: Vec::new(),
            control_listen: None,
        };
        let mut first = true;
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(name) if first => options.command = command(&name)?,
                Arg::Long("key") => options.key = Some(parser.value()?.string()?),
                Arg::Long("listen") => options.listen.push(parser.value()?.parse()?),
                Arg::Long("transport") => (options.quic, options.tcp) = transport(&parser.value()?)?,
                Arg::Long("security") => options.security = security(&parser.value()?)?,
                Arg::Long("autonat") => options.autonat = true,
                Arg::Long("unsigned-as") => options.unsigned_as = Some(parser.value()?.parse()?),
                Arg::Long("agent") => options.agent = parser.value()?.string()?,
                Arg::Long("address") => options.address = Some(parser.value()?.parse()?),
                Arg::Long("count") => options.count = parser.value()?.parse()?,
                Arg::Long("concurrency") => options.concurrency = parser.value()?.parse()?,
                Arg::Long("sources") => options.sources = parser.value()?.parse()?,
                Arg::Long("hold-ms") => options.hold = Some(Duration::from_millis(parser.value()?.parse()?)),
                Arg::Long("seconds") => options.seconds = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
                Arg::Long("point") => options.points.push(parser.value()?.string()?),
                Arg::Long("control-listen") => options.control_listen = Some(parser.value()?.parse()?),
                other => return Err(other.unexpected().into()),
            }
            first = false;
        }
        Ok(options)
    }

    pub(crate) fn required_address(&self) -> Result<&Multiaddr> {
        self.address.as_ref().ok_or_else(|| "--address is missing".into())
    }
}

fn command(name: &OsString) -> Result<Command> {
    match name.to_str() {
        Some("node") => Ok(Command::Node),
        Some("silent") => Ok(Command::Silent),
        Some("flood") => Ok(Command::Flood),
        Some("forge") => Ok(Command::Forge),
        Some("raw") => Ok(Command::Raw),
        Some("noise") => Ok(Command::Noise),
        Some("yamux") => Ok(Command::Yamux),
        Some("tls") => Ok(Command::Tls),
        Some("initial") => Ok(Command::Initial),
        Some("half-open") => Ok(Command::HalfOpen),
        _ => {
            Err("the command is none of node, silent, flood, forge, raw, noise, yamux, tls, initial, half-open".into())
        }
    }
}

fn transport(name: &OsString) -> Result<(bool, bool)> {
    match name.to_str() {
        Some("quic") => Ok((true, false)),
        Some("tcp") => Ok((false, true)),
        _ => Err("--transport is quic or tcp".into()),
    }
}

fn security(name: &OsString) -> Result<Security> {
    match name.to_str() {
        Some("noise") => Ok(Security::Noise),
        Some("tls") => Ok(Security::Tls),
        Some("both") => Ok(Security::Both),
        _ => Err("--security is noise, tls or both".into()),
    }
}

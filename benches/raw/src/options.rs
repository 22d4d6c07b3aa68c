//! The command line.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use lexopt::{Arg, ValueExt as _};
use libp2p::Multiaddr;

use crate::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Receive,
    Send,
    Calibrate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Quic,
    Tcp,
}

pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) transport: Transport,
    pub(crate) credit: PathBuf,
    pub(crate) topic: String,
    pub(crate) workers: usize,
    pub(crate) count: u64,
    pub(crate) warmup: u64,
    /// The receiver reads the instants in the messages.
    pub(crate) latency: bool,
    pub(crate) address: Option<Multiaddr>,
    pub(crate) size: usize,
    pub(crate) window: u64,
    /// Messages a second of an open loop; without it the credit window sets the pace.
    pub(crate) rate: Option<NonZeroU64>,
    pub(crate) seconds: Duration,
    /// How long to stay connected after the result.
    pub(crate) linger: Duration,
}

impl Options {
    pub(crate) fn from_env() -> Result<Self> {
        let mut parser = lexopt::Parser::from_env();
        let mode = match parser.next()? {
            Some(Arg::Value(name)) if name == "recv" => Mode::Receive,
            Some(Arg::Value(name)) if name == "send" => Mode::Send,
            Some(Arg::Value(name)) if name == "calibrate" => Mode::Calibrate,
            _ => return Err("the command is recv, send or calibrate".into()),
        };
        let mut credit = None;
        let mut options = Self {
            mode,
            transport: Transport::Quic,
            credit: PathBuf::new(),
            topic: "bench_events".to_owned(),
            workers: 2,
            count: 20_000,
            warmup: 1000,
            latency: false,
            address: None,
            size: 200,
            window: 512,
            rate: None,
            seconds: Duration::from_secs(10),
            linger: Duration::ZERO,
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("transport") => options.transport = transport(&parser.value()?.string()?)?,
                Arg::Long("credit") => credit = Some(parser.value()?.into()),
                Arg::Long("topic") => options.topic = parser.value()?.string()?,
                Arg::Long("workers") => options.workers = parser.value()?.parse()?,
                Arg::Long("count") => options.count = parser.value()?.parse()?,
                Arg::Long("warmup") => options.warmup = parser.value()?.parse()?,
                Arg::Long("latency") => options.latency = true,
                Arg::Long("address") => options.address = Some(parser.value()?.parse()?),
                Arg::Long("size") => options.size = parser.value()?.parse()?,
                Arg::Long("window") => options.window = parser.value()?.parse()?,
                Arg::Long("rate") => options.rate = Some(parser.value()?.parse()?),
                Arg::Long("seconds") => options.seconds = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
                Arg::Long("linger") => options.linger = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        if mode != Mode::Calibrate {
            options.credit = credit.ok_or("--credit is missing")?;
        }
        Ok(options)
    }
}

fn transport(name: &str) -> Result<Transport> {
    match name {
        "quic" => Ok(Transport::Quic),
        "tcp" => Ok(Transport::Tcp),
        _ => Err("--transport is quic or tcp".into()),
    }
}

impl Transport {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

//! Yamux frames that no implementation sends, by somebody with a valid key: they arrive while the gate still decides.

use std::{io, time::Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{Multiaddr, identity::Keypair};

use crate::{
    Result, identity, multistream,
    options::Options,
    wire::{done, noise, told},
};

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const SYN: u16 = 1;
const FIN: u16 = 4;
const RST: u16 = 8;
const SERVED: &str = "/ipfs/ping/1.0.0";
/// A frame may carry so much before its stream was given more credit.
const CREDIT: u32 = 256 * 1024;

pub(crate) async fn run(options: &Options) -> Result<()> {
    let (key, address) = (identity::keypair(options.key.as_deref())?, options.required_address()?);
    let mut served = 0;
    let cases = cases();
    for _ in 0..options.count {
        for (name, bytes) in &cases {
            let attempt = attempt(&key, address, bytes, Instant::now() + options.seconds);
            served += usize::from(told("yamux", name, options.seconds * 2, attempt).await);
        }
    }
    done("yamux-done", options.count * cases.len(), served);
    Ok(())
}

/// Whether a stream was served; an error when the connection is at its end.
async fn attempt(key: &Keypair, address: &Multiaddr, bytes: &[u8], until: Instant) -> io::Result<bool> {
    let mut stream = noise::honest(key, address).await?;
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let (mut seen, mut said) = (Vec::new(), Vec::new());
    loop {
        let mut chunk = [0; 4096];
        let Ok(read) = tokio::time::timeout_at(until.into(), stream.read(&mut chunk)).await else {
            return Err(io::Error::other("still open"));
        };
        match read? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => seen.extend_from_slice(&chunk[..count]),
        }
        take(&mut seen, &mut said);
        if said.windows(SERVED.len()).any(|part| part == SERVED.as_bytes()) {
            return Ok(true);
        }
    }
}

/// Takes the whole frames, and keeps what the other side said on our first stream; its own streams have even ids.
fn take(seen: &mut Vec<u8>, said: &mut Vec<u8>) {
    let mut frames = seen.as_slice();
    while let [_, kind, _, _, stream @ ..] = frames
        && let Some((stream, rest)) = stream.split_first_chunk::<4>()
        && let Some((length, body)) = rest.split_first_chunk::<4>()
    {
        let length = if *kind == DATA { u32::from_be_bytes(*length) as usize } else { 0 };
        let Some((body, after)) = body.split_at_checked(length) else { break };
        if u32::from_be_bytes(*stream) == 1 {
            said.extend_from_slice(body);
        }
        frames = after;
    }
    let taken = seen.len() - frames.len();
    seen.drain(..taken);
}

fn frame(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let head = [[0, kind], flags.to_be_bytes()].concat();
    [head, stream.to_be_bytes().to_vec(), length.to_be_bytes().to_vec()].concat()
}

fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    [frame(DATA, flags, stream, u32::try_from(body.len()).unwrap_or(u32::MAX)), body.to_vec()].concat()
}

fn many(count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|number| frames(2 * number + 1)).collect()
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let open = || frame(WINDOW, SYN, 1, 0);
    vec![
        (
            "good",
            data(SYN, 1, &[multistream::line("/multistream/1.0.0"), multistream::line(SERVED), vec![7; 32]].concat()),
        ),
        ("window overflow", [open(), frame(WINDOW, 0, 1, u32::MAX), frame(WINDOW, 0, 1, u32::MAX)].concat()),
        ("window overflow at the opening", [frame(WINDOW, SYN, 1, u32::MAX), frame(WINDOW, 0, 1, 1)].concat()),
        ("opening with too much", data(SYN, 1, &vec![7; CREDIT as usize + 1])),
        ("opening with endless length", frame(DATA, SYN, 1, u32::MAX)),
        ("more than the credit", [open(), data(0, 1, &vec![7; CREDIT as usize]), data(0, 1, &[7; 1])].concat()),
        ("openings and resets", many(10_000, |id| [frame(WINDOW, SYN, id, 0), frame(WINDOW, RST, id, 0)].concat())),
        ("openings alone", many(10_000, |id| frame(WINDOW, SYN, id, 0))),
        ("openings with data, ended", many(10_000, |id| data(SYN | FIN, id, b"x"))),
        ("an id twice", [open(), open()].concat()),
        ("an id of the other side", frame(WINDOW, SYN, 2, 0)),
        ("data on the connection itself", data(0, 0, b"data")),
        ("data on no stream", data(0, 77, b"data")),
        ("unknown version", vec![9, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("unknown type", frame(9, 0, 1, 0)),
        ("unknown flags", frame(DATA, 0xfff0, 1, 0)),
        ("pings", (0..50_000).flat_map(|number| frame(PING, SYN, 0, number)).collect()),
        ("answers to no ping", (0..10_000).flat_map(|number| frame(PING, 2, 0, number)).collect()),
        ("leaving, then streams", [frame(GO_AWAY, 0, 0, 0), many(100, |id| frame(WINDOW, SYN, id, 0))].concat()),
        ("half a header", vec![0, 1, 0]),
        (
            "noise",
            (0..100_000_u32)
                .map(|number| u8::try_from(number.wrapping_mul(number) % 251).unwrap_or_default())
                .collect(),
        ),
    ]
}

//! First packets of QUIC, encrypted as they should be, with transport parameters and frames that no client sends.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, Tls13CipherSuite,
    crypto::aws_lc_rs,
    pki_types::ServerName,
    quic::{ClientConnection, Version},
    version::TLS13,
};
use serde_json::json;
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use crate::{
    Result,
    options::Options,
    report,
    wire::{done, socket_address, tls::Trusting},
};

/// The size below which a server ignores a first packet.
const DATAGRAM: usize = 1200;
const NUMBER: usize = 4;
const TAG: usize = 16;
const SOURCE: [u8; 8] = *b"attacker";
/// An answer to a good first packet: the server's part of the handshake.
const ANSWER: usize = 1000;

/// What is sent: the transport parameters of the hello, and a way to put it into frames.
type Case = (&'static str, Vec<u8>, Frames);
type Frames = fn(&[u8]) -> Vec<u8>;

pub(crate) async fn run(options: &Options) -> Result<()> {
    let target = socket_address(options.required_address()?)?;
    let (mut answered, cases) = (0, cases());
    for _ in 0..options.count {
        for (name, parameters, frames) in &cases {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
            socket.connect(target).await?;
            let sent = packet(&frames(&hello(parameters)?))?;
            socket.send(&sent).await?;
            let (mut replies, mut bytes) = (0, 0);
            let until = Instant::now() + options.hold.unwrap_or(Duration::from_millis(200));
            let mut chunk = [0; 2048];
            while let Ok(Ok(length)) = timeout_at(until, socket.recv(&mut chunk)).await {
                (replies, bytes) = (replies + 1, bytes + length);
            }
            answered += usize::from(bytes >= ANSWER);
            report::line(&json!({
                "event": "initial", "case": name, "sent": sent.len(), "replies": replies, "bytes": bytes,
                "accepted": bytes >= ANSWER,
            }));
        }
    }
    done("initial-done", options.count * cases.len(), answered);
    Ok(())
}

/// Good first packets, each from a port of its own, and never a word after the answer.
pub(crate) async fn half_open(options: &Options) -> Result<()> {
    let target = socket_address(options.required_address()?)?;
    let parameters = parameter(0x0f, &SOURCE);
    let mut sockets = Vec::with_capacity(options.count);
    for _ in 0..options.count {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(target).await?;
        socket.send(&packet(&whole(&hello(&parameters)?))?).await?;
        sockets.push(socket);
    }
    let (sent, mut last, mut chunk) = (Instant::now(), Duration::ZERO, [0; 2048]);
    let mut bytes = vec![0; sockets.len()];
    while sent.elapsed() < options.seconds {
        for (socket, bytes) in sockets.iter().zip(&mut bytes) {
            while let Ok(length) = socket.try_recv(&mut chunk) {
                *bytes += length;
                last = sent.elapsed();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answered = bytes.iter().filter(|&&bytes| bytes >= ANSWER).count();
    // Who has not given up says the same again and again.
    let last = last.as_millis();
    report::line(&json!({"event": "half-open-done", "tries": sockets.len(), "accepted": answered, "last_ms": last}));
    Ok(())
}

fn hello(parameters: &[u8]) -> Result<Vec<u8>> {
    let mut provider = aws_lc_rs::default_provider();
    // One with a key that is small enough for one packet.
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
    let trusting = builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(provider)));
    let mut config = trusting.with_no_client_auth();
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
    let mut session = ClientConnection::new(Arc::new(config), Version::V1, name, parameters.to_vec())?;
    let mut hello = Vec::new();
    session.write_hs(&mut hello);
    Ok(hello)
}

fn packet(frames: &[u8]) -> Result<Vec<u8>> {
    let mut destination = [0; 8];
    rand::fill(&mut destination);
    let mut header = [&[0xc3, 0, 0, 0, 1, 8], destination.as_slice(), &[8], &SOURCE, &[0]].concat();
    let room = DATAGRAM - header.len() - 2 - NUMBER - TAG;
    let mut payload = frames.to_vec();
    payload.resize(payload.len().max(room), 0);
    let length = u16::try_from(NUMBER + payload.len() + TAG)? | 0x4000;
    header.extend(length.to_be_bytes());
    let number_at = header.len();
    header.extend([0; NUMBER]);

    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().and_then(Tls13CipherSuite::quic_suite);
    let keys = suite.ok_or("no suite for QUIC")?.keys(&destination, rustls::Side::Client, Version::V1);
    let tag = keys.local.packet.encrypt_in_place(0, &header, &mut payload)?;
    let mut packet = [header, payload, tag.as_ref().to_vec()].concat();
    let sample = packet[number_at + NUMBER..][..keys.local.header.sample_len()].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    keys.local.header.encrypt_in_place(&sample, &mut first[0], &mut rest[number_at - 1..][..NUMBER])?;
    Ok(packet)
}

/// A number as QUIC writes it, as short as it can be.
fn number(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    match value {
        0..=0x3f => bytes[7..].to_vec(),
        0x40..=0x3fff => vec![bytes[6] | 0x40, bytes[7]],
        0x4000..=0x3fff_ffff => [&[bytes[4] | 0x80], &bytes[5..]].concat(),
        _ => [&[bytes[0] | 0xc0], &bytes[1..]].concat(),
    }
}

fn parameter(id: u64, value: &[u8]) -> Vec<u8> {
    [number(id), number(value.len() as u64), value.to_vec()].concat()
}

fn crypto(offset: u64, bytes: &[u8]) -> Vec<u8> {
    [vec![6], number(offset), number(bytes.len() as u64), bytes.to_vec()].concat()
}

fn whole(hello: &[u8]) -> Vec<u8> {
    crypto(0, hello)
}

fn cases() -> Vec<Case> {
    let source = || parameter(0x0f, &SOURCE);
    let with = |id, value: &[u8]| [source(), parameter(id, value)].concat();
    let good = || with(4, &number(1 << 20));
    let mut cases: Vec<Case> = vec![("good", good(), whole)];
    for (name, parameters) in [
        ("no parameters", Vec::new()),
        ("no source id", parameter(4, &number(1))),
        ("another source id", parameter(0x0f, b"somebody")),
        ("parameters truncated", good()[..12].to_vec()),
        ("parameter of endless length", [number(4), number((1 << 62) - 1)].concat()),
        ("parameter twice", [source(), source()].concat()),
        ("payload size 100", with(3, &number(100))),
        ("delay exponent 21", with(0x0a, &number(21))),
        ("delay of a day", with(0x0b, &number(86_400_000))),
        ("one connection id", with(0x0e, &number(1))),
        ("2^62 streams", with(8, &number((1 << 62) - 1))),
        ("reset token", with(2, &[7; 16])),
        ("preferred address", with(0x0d, &[7; 60])),
        ("original destination", with(0, &[7; 8])),
        ("retry source", with(0x10, &[7; 8])),
        ("idle timeout of ever", with(1, &number((1 << 62) - 1))),
        ("windows of ever", [with(4, &number((1 << 62) - 1)), parameter(5, &number((1 << 62) - 1))].concat()),
        ("unknown and long", with(0x1234, &[7; 500])),
    ] {
        cases.push((name, parameters, whole));
    }
    let frames: [(&str, Frames); 11] = [
        ("hello backwards with gaps", |hello| {
            let chunks: Vec<Vec<u8>> =
                hello.chunks(7).enumerate().map(|(at, part)| crypto(at as u64 * 7, part)).collect();
            chunks.into_iter().rev().step_by(2).flatten().collect()
        }),
        ("a byte here and there", |_| (0..60).flat_map(|at| crypto(at * 1_000, b"x")).collect()),
        ("crypto at the end of the world", |_| crypto((1 << 62) - 2, &[7; 100])),
        ("crypto beyond the packet", |_| [vec![6], number(0), number(5_000)].concat()),
        ("unknown frame", |_| vec![0x3f; 20]),
        ("acknowledgement of what was not sent", |_| [vec![2], number(1 << 40), vec![0, 0, 0]].concat()),
        ("acknowledgement with endless ranges", |_| [vec![2], number(9), vec![0], number((1 << 62) - 1)].concat()),
        ("done, by a client", |hello| [whole(hello), vec![0x1e]].concat()),
        ("a stream before the handshake", |hello| [whole(hello), vec![0x08, 0], b"data".to_vec()].concat()),
        ("closed at once", |hello| [whole(hello), vec![0x1c, 0, 0, 0]].concat()),
        ("padding alone", |_| Vec::new()),
    ];
    for (name, into) in frames {
        cases.push((name, good(), into));
    }
    cases
}

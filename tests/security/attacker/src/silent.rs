//! Connections that never say a word, and over UDP datagrams that say nothing sensible: what a node spends on those who do
//! not even begin a handshake.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde_json::json;
use tokio::{
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use crate::{Result, options::Options, report};

/// The size below which a QUIC server must ignore a client's first packet.
const DATAGRAM: usize = 1200;
/// What is left of it after the two bytes of a length at offset 24, as QUIC encodes it in two bytes.
const LENGTH: u16 = 0x4000 | (1200 - 26);
/// After this many datagrams the sender lets others run, so that the socket does not drop its own.
const BURST: usize = 32;

pub(crate) async fn run(options: &Options) -> Result<()> {
    let address = options.required_address()?;
    match target(address)? {
        (true, udp) => garbage(udp, options).await,
        (false, tcp) => connections(tcp, options).await,
    }
}

/// Whether the address is one of UDP, and the address for a socket.
fn target(address: &Multiaddr) -> Result<(bool, SocketAddr)> {
    let mut parts = address.iter();
    let host: IpAddr = match parts.next() {
        Some(Protocol::Ip4(host)) => host.into(),
        Some(Protocol::Ip6(host)) => host.into(),
        _ => return Err("the address does not begin with an IP address".into()),
    };
    match parts.next() {
        Some(Protocol::Udp(port)) => Ok((true, (host, port).into())),
        Some(Protocol::Tcp(port)) => Ok((false, (host, port).into())),
        _ => Err("the address names no TCP or UDP port".into()),
    }
}

/// How one silent connection ended.
enum Fate {
    Closed(Duration),
    Open,
    /// It could not even be opened.
    Refused,
}

async fn connections(target: SocketAddr, options: &Options) -> Result<()> {
    let (patience, count) = (options.seconds, options.count);
    let mut tasks = JoinSet::new();
    for index in 0..count {
        tasks.spawn(async move { (index, say_nothing(target, patience).await) });
    }
    let (mut open, mut refused, mut closed) = (0_usize, 0_usize, Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (index, fate) = ended?;
        match fate {
            Fate::Closed(after) => {
                closed.push(after);
                report::line(&json!({"event": "closed", "index": index, "ms": millis(after)}));
            }
            Fate::Open => open += 1,
            Fate::Refused => refused += 1,
        }
    }
    closed.sort_unstable();
    let at = |percent: usize| closed.get(closed.len().saturating_sub(1) * percent / 100);
    report::line(&json!({
        "event": "silent-done",
        "times": count,
        "closed": closed.len(),
        "open": open,
        "refused": refused,
        "min_ms": closed.first().copied().map(millis),
        "p50_ms": at(50).copied().map(millis),
        "p99_ms": at(99).copied().map(millis),
        "max_ms": closed.last().copied().map(millis),
    }));
    Ok(())
}

async fn say_nothing(target: SocketAddr, patience: Duration) -> Fate {
    let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(target)).await else {
        return Fate::Refused;
    };
    let opened = Instant::now();
    let closed = timeout(patience, async {
        let mut scratch = [0_u8; 512];
        loop {
            // An error of either call is an end too: the remote reset the connection.
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    });
    match closed.await {
        Ok(()) => Fate::Closed(opened.elapsed()),
        Err(_) => Fate::Open,
    }
}

async fn garbage(target: SocketAddr, options: &Options) -> Result<()> {
    let any: IpAddr = if target.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    let started = Instant::now();
    let (mut sent, mut replies, mut bytes_received) = (0_usize, 0_usize, 0_usize);
    let mut scratch = vec![0_u8; 65_536];
    let mut collect = |socket: &UdpSocket| {
        while let Ok(length) = socket.try_recv(&mut scratch) {
            replies += 1;
            bytes_received += length;
        }
    };
    for number in 0..options.count {
        // Nobody may listen there: the error of an earlier datagram must not end the run.
        if socket.send(&datagram(number)).await.is_ok() {
            sent += 1;
        }
        if number % BURST == BURST - 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            collect(&socket);
        }
    }
    let sending = started.elapsed();
    let until = Instant::now() + options.seconds;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
        collect(&socket);
    }
    report::line(&json!({
        "event": "garbage-done",
        "sent": sent,
        "bytes_sent": sent * DATAGRAM,
        "replies": replies,
        "bytes_received": bytes_received,
        "sending_ms": millis(sending),
    }));
    Ok(())
}

/// In turn: noise, a first packet of QUIC version 1 that cannot be decrypted, one of a version that does not exist.
fn datagram(number: usize) -> [u8; DATAGRAM] {
    let mut bytes = [0_u8; DATAGRAM];
    rand::fill(&mut bytes);
    let version: Option<u32> = match number % 3 {
        0 => None,
        1 => Some(1),
        _ => Some(0x5a5a_5a5a),
    };
    if let Some(version) = version {
        bytes[0] = 0xc0 | (bytes[0] & 0x0f);
        bytes[1..5].copy_from_slice(&version.to_be_bytes());
        // Two connection ids of 8 bytes, an empty token, and a length that fills the datagram.
        (bytes[5], bytes[14], bytes[23]) = (8, 8, 0);
        bytes[24..26].copy_from_slice(&LENGTH.to_be_bytes());
    }
    bytes
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

//! What this machine does at the moment, whoever uses it too: figures that no change of ours can move.

use std::{
    hint::black_box,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use libp2p::identity::Keypair;
use serde_json::json;

use crate::{Result, line};

const SIGNED: usize = 300;
const SIGNATURES: usize = 2_000;
const TURNS: usize = 2_000;
const STREAM: Duration = Duration::from_millis(200);
const CHUNK: usize = 64 * 1024;

pub(crate) fn run() -> Result<()> {
    let (there, back) = (listener()?, listener()?);
    line(&json!({
        "event": "calibrated",
        "verify_us": verify()?,
        "wake_us": wake(&there)?,
        "stream_mb_per_second": stream(&back)?,
    }));
    Ok(())
}

fn listener() -> Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0")?)
}

/// The median of single verifications: what another program takes away in between does not move it.
fn verify() -> Result<f64> {
    let key = Keypair::generate_ed25519();
    let data = [7; SIGNED];
    let (signature, public) = (key.sign(&data)?, key.public());
    let mut times: Vec<_> = (0..SIGNATURES)
        .map(|_| {
            let began = Instant::now();
            black_box(public.verify(black_box(&data), &signature));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    Ok(micros(times[SIGNATURES / 2]))
}

/// Half of the median round trip of one byte between two threads, each of which sleeps until it comes.
fn wake(listener: &TcpListener) -> Result<f64> {
    let (mut one, mut other) = joined(listener)?;
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while other.read_exact(&mut byte).is_ok() && other.write_all(&byte).is_ok() {}
    });
    let mut times = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let began = Instant::now();
        one.write_all(&[1])?;
        one.read_exact(&mut [0])?;
        times.push(began.elapsed());
    }
    drop(one);
    echo.join().map_err(|_| "the echo panicked")?;
    times.sort_unstable();
    Ok(micros(times[TURNS / 2]) / 2.0)
}

fn stream(listener: &TcpListener) -> Result<f64> {
    let (mut one, mut other) = joined(listener)?;
    let reading = thread::spawn(move || {
        let (mut chunk, mut bytes) = (vec![0; CHUNK], 0);
        while let Ok(length @ 1..) = other.read(&mut chunk) {
            bytes += length;
        }
        bytes
    });
    let (began, chunk) = (Instant::now(), vec![0; CHUNK]);
    while began.elapsed() < STREAM {
        one.write_all(&chunk)?;
    }
    drop(one);
    let bytes = reading.join().map_err(|_| "the reader panicked")?;
    Ok((bytes as f64 / 1e6 / began.elapsed().as_secs_f64()).round())
}

fn joined(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e8).round() / 1e2
}

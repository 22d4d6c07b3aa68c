//! Noise handshakes with one thing wrong with each; the first case has nothing wrong with it.

use std::{io, sync::Arc, time::Duration};

use curve25519_dalek::MontgomeryPoint;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, stream};
use libp2p::{Multiaddr, identity::Keypair};
use snow::HandshakeState;

use crate::{
    Result,
    forge::{
        handshake::{self, MAX_MESSAGE, Progress, SIGNED_PREFIX},
        stream::NoiseStream,
    },
    identity, multistream,
    options::Options,
    protobuf::bytes,
    security::Wire,
    wire::{agreed, done, told},
};

const NAME: &str = "/noise";
const MUXER: &str = "/yamux/1.0.0";
/// Rounds at a time: in each a case waits for the time limit of the other side.
const AT_ONCE: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Defect {
    Nothing,
    WrongPrologue,
    FirstEmpty,
    FirstTruncated,
    FirstWithPayload,
    PointOfZero,
    ProofTruncated,
    ProofChanged,
    ProofEmpty,
    ProofOfNoise,
    ProofOfEndlessLength,
    ProofMissing,
    /// A key of this type of the protobuf: RSA, secp256k1, ECDSA, and one that there is not.
    KeyOfType(u8),
    KeyTooShort,
    SignatureOfOtherText,
    SignatureOfOtherKey,
    SignatureEmpty,
    /// The last message of the handshake before.
    Replayed,
    /// Good to the end, then bytes that nobody encrypted.
    NoiseAfterwards,
}

const CASES: [(&str, Defect); 22] = [
    ("nothing", Defect::Nothing),
    ("wrong prologue", Defect::WrongPrologue),
    ("first message empty", Defect::FirstEmpty),
    ("first message truncated", Defect::FirstTruncated),
    ("first message with a payload", Defect::FirstWithPayload),
    ("point of zero", Defect::PointOfZero),
    ("proof truncated", Defect::ProofTruncated),
    ("proof changed", Defect::ProofChanged),
    ("proof empty", Defect::ProofEmpty),
    ("proof of 64 KiB of noise", Defect::ProofOfNoise),
    ("proof of endless length", Defect::ProofOfEndlessLength),
    ("proof missing", Defect::ProofMissing),
    ("rsa key", Defect::KeyOfType(0)),
    ("secp256k1 key", Defect::KeyOfType(2)),
    ("ecdsa key", Defect::KeyOfType(3)),
    ("key of no type", Defect::KeyOfType(9)),
    ("key too short", Defect::KeyTooShort),
    ("signature of another text", Defect::SignatureOfOtherText),
    ("signature of another key", Defect::SignatureOfOtherKey),
    ("signature empty", Defect::SignatureEmpty),
    ("replayed", Defect::Replayed),
    ("noise afterwards", Defect::NoiseAfterwards),
];

pub(crate) async fn run(options: &Options) -> Result<()> {
    let (key, address) = (identity::keypair(options.key.as_deref())?, options.required_address()?);
    let rounds = stream::iter(0..options.count).map(|_| round(&key, address, options.seconds));
    let accepted = rounds.buffer_unordered(AT_ONCE).fold(0, async |sum, accepted| sum + accepted).await;
    done("noise-done", options.count * CASES.len(), accepted);
    Ok(())
}

/// Every case once; returns how many were accepted.
async fn round(key: &Keypair, address: &Multiaddr, patience: Duration) -> usize {
    let mut accepted = 0;
    // The last message of the honest try, for the replay.
    let mut earlier = Vec::new();
    for (name, defect) in CASES {
        let attempt = attempt(key, address, defect, &mut earlier);
        accepted += usize::from(told("noise", name, patience, attempt).await);
    }
    accepted
}

/// A session over a handshake with nothing wrong, on which the muxer is agreed.
pub(crate) async fn honest(key: &Keypair, address: &Multiaddr) -> io::Result<NoiseStream<impl Wire + use<>>> {
    let mut socket = agreed(address, NAME).await?;
    let (mut session, noise_key) = start(&[])?;
    handshake::send(&mut socket, &mut session, &[]).await?;
    handshake::receive(&mut socket, &mut session).await?;
    handshake::send(&mut socket, &mut session, &proof(key, &noise_key, Defect::Nothing)?).await?;
    let session = session.into_transport_mode().map_err(io::Error::other)?;
    let mut stream = NoiseStream::new(socket, session, Arc::<Progress>::default());
    if multistream::propose(&mut stream, MUXER).await? {
        Ok(stream)
    } else {
        Err(io::Error::other("the other side does not speak Yamux"))
    }
}

/// Whether the other side took the handshake for a good one.
async fn attempt(key: &Keypair, address: &Multiaddr, defect: Defect, earlier: &mut Vec<u8>) -> io::Result<bool> {
    let mut socket = agreed(address, NAME).await?;
    let (mut session, noise_key) = start(if defect == Defect::WrongPrologue { b"other" } else { b"" })?;
    match defect {
        Defect::FirstEmpty => write(&mut socket, &[]).await?,
        Defect::FirstTruncated => {
            socket.write_all(&[0, 32, 1, 2, 3]).await?;
            socket.close().await?;
        }
        Defect::FirstWithPayload => handshake::send(&mut socket, &mut session, &vec![7; 60_000]).await?,
        Defect::PointOfZero => write(&mut socket, &[0; 32]).await?,
        _ => handshake::send(&mut socket, &mut session, &[]).await?,
    }
    if let Defect::PointOfZero | Defect::ProofMissing = defect {
        if defect == Defect::PointOfZero {
            write(&mut socket, &[7; 96]).await?;
        }
        return closed(&mut socket).await;
    }
    handshake::receive(&mut socket, &mut session).await?;
    let mut last = vec![0; MAX_MESSAGE];
    let length = session.write_message(&proof(key, &noise_key, defect)?, &mut last).map_err(io::Error::other)?;
    last.truncate(length);
    match defect {
        Defect::Nothing => earlier.clone_from(&last),
        Defect::Replayed => last.clone_from(earlier),
        Defect::ProofTruncated => last.truncate(length - 10),
        Defect::ProofChanged => last[length / 2] ^= 1,
        _ => {}
    }
    write(&mut socket, &last).await?;
    if defect == Defect::NoiseAfterwards {
        write(&mut socket, &[7; 1000]).await?;
    }
    let session = session.into_transport_mode().map_err(io::Error::other)?;
    multistream::propose(&mut NoiseStream::new(socket, session, Arc::<Progress>::default()), MUXER).await
}

/// Waits for the end of the connection.
async fn closed<C: Wire>(socket: &mut C) -> io::Result<bool> {
    let mut chunk = [0; 512];
    while socket.read(&mut chunk).await? > 0 {}
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The payload of the last message: who we are, and the signature that shows it.
fn proof(key: &Keypair, noise_key: &[u8; 32], defect: Defect) -> io::Result<Vec<u8>> {
    let text = [SIGNED_PREFIX, noise_key].concat();
    let other = Keypair::generate_ed25519();
    let signature = match defect {
        Defect::SignatureOfOtherText => key.sign(b"something else"),
        Defect::SignatureOfOtherKey => other.sign(&text),
        Defect::SignatureEmpty => Ok(Vec::new()),
        _ => key.sign(&text),
    };
    let public = key.public().encode_protobuf();
    let public = match defect {
        Defect::KeyOfType(number) => [&[0x08, number], &public[2..]].concat(),
        Defect::KeyTooShort => [&[0x08, 1], bytes(2, &public[4..20]).as_slice()].concat(),
        _ => public,
    };
    Ok(match defect {
        Defect::ProofEmpty => Vec::new(),
        Defect::ProofOfNoise => vec![0xa5; 65_000],
        Defect::ProofOfEndlessLength => [&[0x0a_u8], [0xff; 9].as_slice(), &[0x01]].concat(),
        _ => [bytes(1, &public), bytes(2, &signature.map_err(io::Error::other)?)].concat(),
    })
}

fn start(prologue: &[u8]) -> io::Result<(HandshakeState, [u8; 32])> {
    let mut secret = [0; 32];
    rand::fill(&mut secret);
    Ok((handshake::session(&secret, prologue)?, MontgomeryPoint::mul_base_clamped(secret).to_bytes()))
}

async fn write<C: Wire>(socket: &mut C, message: &[u8]) -> io::Result<()> {
    socket.write_all(&u16::try_from(message.len()).map_err(io::Error::other)?.to_be_bytes()).await?;
    socket.write_all(message).await?;
    socket.flush().await
}

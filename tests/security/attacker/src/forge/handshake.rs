//! Noise XX as libp2p speaks it, by hand, because the identity in it is a forged one.

use std::{
    io,
    sync::Arc,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use curve25519_dalek::MontgomeryPoint;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, future::BoxFuture};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity::PublicKey,
};
use snow::{Builder, HandshakeState};

use crate::{
    forge::{
        resolver::Resolver,
        signature::{self, Key},
        stream::NoiseStream,
    },
    security::{Secured, Wire},
};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
pub(crate) const SIGNED_PREFIX: &[u8] = b"noise-libp2p-static-key:";
pub(crate) const MAX_MESSAGE: usize = 65_535;

/// How far the remote went along with the forgery.
#[derive(Default)]
pub(crate) struct Progress {
    /// The remote sent something after our proof of identity: it has accepted it.
    pub(crate) accepted: AtomicBool,
    pub(crate) muxer: Mutex<Option<String>>,
    pub(crate) tries: AtomicU32,
}

impl Progress {
    pub(crate) fn muxer(&self) -> Option<String> {
        self.muxer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
pub(crate) struct ForgedNoise {
    pub(crate) key: Key,
    pub(crate) progress: Arc<Progress>,
}

impl UpgradeInfo for ForgedNoise {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/noise")
    }
}

impl<C: Wire + 'static> OutboundConnectionUpgrade<C> for ForgedNoise {
    type Output = Secured;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        async move { self.initiate(socket).await }.boxed()
    }
}

impl<C: Wire + 'static> InboundConnectionUpgrade<C> for ForgedNoise {
    type Output = Secured;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured>>;

    fn upgrade_inbound(self, _: C, _: Self::Info) -> Self::Future {
        async { Err(io::Error::other("the forger only dials")) }.boxed()
    }
}

impl ForgedNoise {
    async fn initiate<C: Wire + 'static>(self, mut socket: C) -> io::Result<Secured> {
        let mut secret = [0; 32];
        rand::fill(&mut secret);
        let mut session = session(&secret, &[])?;
        send(&mut socket, &mut session, &[]).await?;
        let peer = remote_peer(&receive(&mut socket, &mut session).await?)?;
        let proof = self.proof(&MontgomeryPoint::mul_base_clamped(secret).to_bytes())?;
        send(&mut socket, &mut session, &proof).await?;
        let session = session.into_transport_mode().map_err(io::Error::other)?;
        Ok((peer, Box::new(NoiseStream::new(socket, session, self.progress))))
    }

    /// The payload of the last message: our public key, and its signature of the Noise key.
    fn proof(&self, noise_key: &[u8; 32]) -> io::Result<Vec<u8>> {
        let text = [SIGNED_PREFIX, noise_key].concat();
        let (signature, tries) = signature::forge(&self.key, &text).map_err(io::Error::other)?;
        self.progress.tries.store(tries, Relaxed);
        // Protobuf: field 1 the public key (type 1 = Ed25519, data), field 2 the signature.
        let mut proof = vec![0x0a, 36, 0x08, 0x01, 0x12, 0x20];
        proof.extend(self.key);
        proof.extend([0x12, 64]);
        proof.extend(signature);
        Ok(proof)
    }
}

/// The peer id in the remote's payload, whose first field is its public key. Its signature is not checked: a liar may be
/// lied to.
pub(crate) fn remote_peer(payload: &[u8]) -> io::Result<PeerId> {
    let key = match payload {
        [0x0a, length, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    };
    let key = key.ok_or_else(|| io::Error::other("the remote sent no identity"))?;
    Ok(PublicKey::try_decode_protobuf(key).map_err(io::Error::other)?.to_peer_id())
}

pub(crate) async fn send<C: Wire>(socket: &mut C, session: &mut HandshakeState, payload: &[u8]) -> io::Result<()> {
    let mut message = vec![0; MAX_MESSAGE];
    let length = session.write_message(payload, &mut message).map_err(io::Error::other)?;
    socket.write_all(&u16::try_from(length).map_err(io::Error::other)?.to_be_bytes()).await?;
    socket.write_all(&message[..length]).await?;
    socket.flush().await
}

pub(crate) async fn receive<C: Wire>(socket: &mut C, session: &mut HandshakeState) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    socket.read_exact(&mut length).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    socket.read_exact(&mut message).await?;
    let mut payload = vec![0; MAX_MESSAGE];
    let length = session.read_message(&message, &mut payload).map_err(io::Error::other)?;
    payload.truncate(length);
    Ok(payload)
}

pub(crate) fn session(secret: &[u8; 32], prologue: &[u8]) -> io::Result<HandshakeState> {
    let pattern = PATTERN.parse().map_err(io::Error::other)?;
    Builder::with_resolver(pattern, Box::new(Resolver))
        .local_private_key(secret)
        .and_then(|builder| builder.prologue(prologue))
        .and_then(Builder::build_initiator)
        .map_err(io::Error::other)
}

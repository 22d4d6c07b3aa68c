//! Noise and TLS on TCP, either or both, Noise preferred. libp2p's own selection is private to its builder.

use std::io;

use futures::{AsyncRead, AsyncWrite, FutureExt as _, TryFutureExt as _, future::BoxFuture};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity::Keypair,
    noise, tls,
};

use crate::{Result, options::Security};

const NOISE: &str = "/noise";
const TLS: &str = "/tls/1.0.0";

/// A secured connection, whatever secured it.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(crate) type Secured = (PeerId, Box<dyn Wire>);

#[derive(Clone)]
pub(crate) struct NoiseOrTls {
    names: Vec<&'static str>,
    noise: noise::Config,
    tls: tls::Config,
}

impl NoiseOrTls {
    pub(crate) fn new(key: &Keypair, offered: Security) -> Result<Self> {
        let names = match offered {
            Security::Noise => vec![NOISE],
            Security::Tls => vec![TLS],
            Security::Both => vec![NOISE, TLS],
        };
        Ok(Self { names, noise: noise::Config::new(key)?, tls: tls::Config::new(key)? })
    }
}

impl UpgradeInfo for NoiseOrTls {
    type Info = &'static str;
    type InfoIter = std::vec::IntoIter<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.names.clone().into_iter()
    }
}

impl<C: Wire + 'static> InboundConnectionUpgrade<C> for NoiseOrTls {
    type Output = Secured;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured>>;

    fn upgrade_inbound(self, socket: C, name: Self::Info) -> Self::Future {
        if name == NOISE {
            self.noise.upgrade_inbound(socket, name).map_ok(boxed).map_err(io::Error::other).boxed()
        } else {
            self.tls.upgrade_inbound(socket, name).map_ok(boxed).map_err(io::Error::other).boxed()
        }
    }
}

impl<C: Wire + 'static> OutboundConnectionUpgrade<C> for NoiseOrTls {
    type Output = Secured;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured>>;

    fn upgrade_outbound(self, socket: C, name: Self::Info) -> Self::Future {
        if name == NOISE {
            self.noise.upgrade_outbound(socket, name).map_ok(boxed).map_err(io::Error::other).boxed()
        } else {
            self.tls.upgrade_outbound(socket, name).map_ok(boxed).map_err(io::Error::other).boxed()
        }
    }
}

fn boxed<W: Wire + 'static>((peer, wire): (PeerId, W)) -> Secured {
    (peer, Box::new(wire))
}

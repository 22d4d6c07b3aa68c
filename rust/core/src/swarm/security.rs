//! Noise and TLS side by side on TCP, Noise first (docs/wire.md section 6).
//!
//! libp2p's own combination of two security upgrades is private to its builder, and core's public one gives
//! `Either<(PeerId, A), (PeerId, B)>`, which `authenticate` does not take.

use std::{array, io};

use futures::{
    AsyncRead, AsyncWrite, FutureExt, TryFutureExt,
    future::{BoxFuture, Either},
};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity::Keypair,
    noise, tls,
};

const NOISE: &str = "/noise";
const TLS: &str = "/tls/1.0.0";

/// The security protocols that one node offers on TCP.
#[derive(Clone)]
pub(crate) struct Security {
    noise: noise::Config,
    tls: tls::Config,
}

impl Security {
    pub(crate) fn new(key: &Keypair) -> io::Result<Self> {
        Ok(Self {
            noise: noise::Config::new(key).map_err(io::Error::other)?,
            tls: tls::Config::new(key).map_err(io::Error::other)?,
        })
    }
}

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = array::IntoIter<Self::Info, 2>;

    fn protocol_info(&self) -> Self::InfoIter {
        [NOISE, TLS].into_iter()
    }
}

type Secured<C> = (PeerId, Either<noise::Output<C>, tls::TlsStream<C>>);

/// Both directions differ only in the method that is called on the chosen protocol.
macro_rules! upgrade {
    ($trait:ident, $method:ident) => {
        impl<C> $trait<C> for Security
        where
            C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        {
            type Output = Secured<C>;
            type Error = io::Error;
            type Future = BoxFuture<'static, io::Result<Secured<C>>>;

            fn $method(self, socket: C, info: Self::Info) -> Self::Future {
                if info == NOISE {
                    $trait::$method(self.noise, socket, info)
                        .map_ok(|(peer, stream)| (peer, Either::Left(stream)))
                        .map_err(io::Error::other)
                        .boxed()
                } else {
                    $trait::$method(self.tls, socket, info)
                        .map_ok(|(peer, stream)| (peer, Either::Right(stream)))
                        .map_err(io::Error::other)
                        .boxed()
                }
            }
        }
    };
}

upgrade!(InboundConnectionUpgrade, upgrade_inbound);
upgrade!(OutboundConnectionUpgrade, upgrade_outbound);

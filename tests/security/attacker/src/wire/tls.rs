//! TLS with certificates that have one thing wrong with each, over TCP and QUIC; the first one has nothing wrong with it.

use std::{io, net::Ipv4Addr, sync::Arc};

use futures_rustls::TlsConnector;
use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};

use crate::{
    Result, identity, multistream,
    options::Options,
    wire::{
        agreed,
        certificate::{CASES, Defect, shown},
        done, socket_address, told,
    },
};

const SERVED: &str = "/ipfs/ping/1.0.0";

pub(crate) async fn run(options: &Options) -> Result<()> {
    let (key, address) = (identity::keypair(options.key.as_deref())?, options.required_address()?);
    let over_udp = address.iter().any(|part| matches!(part, Protocol::Udp(_)));
    let mut accepted = 0;
    for _ in 0..options.count {
        for (name, defect) in CASES {
            let config = config(&key, defect)?;
            let good = if over_udp {
                told("tls", name, options.seconds, over_quic(config, address)).await
            } else {
                told("tls", name, options.seconds, over_tcp(config, address)).await
            };
            accepted += usize::from(good);
        }
    }
    done("tls-done", options.count * CASES.len(), accepted);
    Ok(())
}

/// Whether the handshake was taken for a good one: the other side agrees to a muxer.
async fn over_tcp(config: ClientConfig, address: &Multiaddr) -> io::Result<bool> {
    let socket = agreed(address, "/tls/1.0.0").await?;
    let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    multistream::propose(&mut stream, "/yamux/1.0.0").await
}

/// Whether a stream was served. QUIC needs no muxer, so only a listed peer comes so far.
async fn over_quic(config: ClientConfig, address: &Multiaddr) -> io::Result<bool> {
    let config = QuicClientConfig::try_from(config).map_err(io::Error::other)?;
    let endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let target = socket_address(address).map_err(io::Error::other)?;
    let config = quinn::ClientConfig::new(Arc::new(config));
    let connection = endpoint.connect_with(config, target, "l").map_err(io::Error::other)?.await?;
    let (mut sending, mut receiving) = connection.open_bi().await?;
    let lines = [multistream::line("/multistream/1.0.0"), multistream::line(SERVED)].concat();
    sending.write_all(&lines).await?;
    let mut seen = Vec::new();
    let mut chunk = [0; 512];
    while let Some(count) = receiving.read(&mut chunk).await? {
        seen.extend_from_slice(&chunk[..count]);
        if seen.windows(SERVED.len()).any(|part| part == SERVED.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn config(key: &Keypair, defect: Defect) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
    let trusting = builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(provider)));
    let mut config = trusting.with_client_cert_resolver(Arc::new(shown(key, defect)?));
    let protocol = if defect == Defect::OtherProtocol { "h3" } else { "libp2p" };
    config.alpn_protocols = vec![protocol.into()];
    Ok(config)
}

/// A liar need not know whom it lies to.
#[derive(Debug)]
pub(super) struct Trusting(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

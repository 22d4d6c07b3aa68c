//! Certificates as libp2p wants them, with one thing wrong with each.

use std::sync::Arc;

use libp2p::identity::Keypair;
use rcgen::{CertificateParams, CustomExtension, KeyPair, date_time_ymd};
use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use crate::{Result, protobuf};

const EXTENSION: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
const SIGNED_PREFIX: &[u8] = b"libp2p-tls-handshake:";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    Nothing,
    NoCertificate,
    NotACertificate,
    Truncated,
    Two,
    KeyOfAnother,
    NoExtension,
    ExtensionEmpty,
    ExtensionOfNoise,
    ExtensionTwice,
    SignatureOfOtherText,
    SignatureOfOtherKey,
    SignatureEmpty,
    /// RSA and a key that is too short.
    RsaKey,
    ShortKey,
    Expired,
    NotYetValid,
    UnknownCritical,
    /// The handshake asks for another protocol than libp2p; the certificate is good.
    OtherProtocol,
}

pub(super) const CASES: [(&str, Defect); 19] = [
    ("nothing", Defect::Nothing),
    ("no certificate", Defect::NoCertificate),
    ("not a certificate", Defect::NotACertificate),
    ("certificate truncated", Defect::Truncated),
    ("two certificates", Defect::Two),
    ("key of another certificate", Defect::KeyOfAnother),
    ("no extension", Defect::NoExtension),
    ("extension empty", Defect::ExtensionEmpty),
    ("extension of noise", Defect::ExtensionOfNoise),
    ("extension twice", Defect::ExtensionTwice),
    ("signature of another text", Defect::SignatureOfOtherText),
    ("signature of another key", Defect::SignatureOfOtherKey),
    ("signature empty", Defect::SignatureEmpty),
    ("rsa key", Defect::RsaKey),
    ("key too short", Defect::ShortKey),
    ("expired", Defect::Expired),
    ("not yet valid", Defect::NotYetValid),
    ("unknown critical extension", Defect::UnknownCritical),
    ("another protocol", Defect::OtherProtocol),
];

/// Shows these certificates whatever the key is: rustls itself would not.
#[derive(Debug)]
pub(super) struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

pub(super) fn shown(key: &Keypair, defect: Defect) -> Result<Shown> {
    if defect == Defect::NoCertificate {
        return Ok(Shown(None));
    }
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    if defect != Defect::NoExtension {
        let content = extension(key, &pair, defect)?;
        params.custom_extensions.push(CustomExtension::from_oid_content(&EXTENSION, content.clone()));
        if defect == Defect::ExtensionTwice {
            params.custom_extensions.push(CustomExtension::from_oid_content(&EXTENSION, content));
        }
    }
    match defect {
        Defect::Expired => params.not_after = date_time_ymd(2001, 1, 1),
        Defect::NotYetValid => params.not_before = date_time_ymd(3000, 1, 1),
        Defect::UnknownCritical => {
            let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
            unknown.set_criticality(true);
            params.custom_extensions.push(unknown);
        }
        _ => {}
    }
    let certificate = params.self_signed(&pair)?.der().to_vec();
    let certificates = match defect {
        Defect::NotACertificate => vec![vec![0xa5; 700]],
        Defect::Truncated => vec![certificate[..certificate.len() - 20].to_vec()],
        Defect::Two => vec![certificate.clone(), certificate],
        _ => vec![certificate],
    };
    let signer = if defect == Defect::KeyOfAnother { KeyPair::generate()? } else { pair };
    let signer = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signer.serialize_der()));
    let certificates = certificates.into_iter().map(CertificateDer::from).collect();
    Ok(Shown(Some(Arc::new(CertifiedKey::new(certificates, any_supported_type(&signer)?)))))
}

/// `SEQUENCE { OCTET STRING key, OCTET STRING signature }`.
fn extension(key: &Keypair, pair: &KeyPair, defect: Defect) -> Result<Vec<u8>> {
    let text = [SIGNED_PREFIX, &pair.public_key_der()].concat();
    let signature = match defect {
        Defect::SignatureOfOtherText => key.sign(b"something else")?,
        Defect::SignatureOfOtherKey => Keypair::generate_ed25519().sign(&text)?,
        Defect::SignatureEmpty => Vec::new(),
        _ => key.sign(&text)?,
    };
    let public = key.public().encode_protobuf();
    let public = match defect {
        Defect::RsaKey => [protobuf::number(1, 0), public[2..].to_vec()].concat(),
        Defect::ShortKey => [protobuf::number(1, 1), protobuf::bytes(2, &public[4..20])].concat(),
        _ => public,
    };
    Ok(match defect {
        Defect::ExtensionEmpty => Vec::new(),
        Defect::ExtensionOfNoise => vec![0xa5; 200],
        _ => der(0x30, &[der(4, &public)?, der(4, &signature)?].concat())?,
    })
}

/// No part has 128 bytes or more.
fn der(tag: u8, content: &[u8]) -> Result<Vec<u8>> {
    Ok([&[tag, u8::try_from(content.len())?], content].concat())
}

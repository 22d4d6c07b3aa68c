"""What the peers share that have no signatures of their own: an author's key, and certificates for their links."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from nacl.signing import SigningKey

if TYPE_CHECKING:
    from pathlib import Path

_SEED = bytes(range(32))
_PEM = serialization.Encoding.PEM
AUTHOR = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"
"""Stands in the events: of the right length, and nobody."""


class Signer:
    """Signs and verifies with one key, which both sides know."""

    def __init__(self) -> None:
        self._key = SigningKey(_SEED)
        self._public = self._key.verify_key

    def signed(self, event: bytes) -> bytes:
        """Return the event behind its signature."""
        return bytes(self._key.sign(event))

    def verified(self, data: bytes) -> bytes:
        """Return the event, or raise."""
        return bytes(self._public.verify(data))


def credentials(folder: Path) -> tuple[Path, Path, Path]:
    """Return files with an authority, a certificate by it for loopback, and its key; made by whoever comes first."""
    files = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    if not files[2].exists():
        authority, authority_key = _certificate(None, None)
        certificate, key = _certificate(authority, authority_key)
        files[0].write_bytes(authority.public_bytes(_PEM))
        files[1].write_bytes(certificate.public_bytes(_PEM))
        format_, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files[2].write_bytes(key.private_bytes(_PEM, format_, plain))
    return files


def _certificate(
    issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1" if issuer else "bench authority")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key or key, hashes.SHA256()), key

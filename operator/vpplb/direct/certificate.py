"""The operator's key and certificate of the direct road: made when it starts, never stored.

Agents know the certificate by its fingerprint alone, which the operator publishes; so neither its
names nor its dates say anything.
"""

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vpplb operator")])
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280, 4.1.2.5: no end is intended. A clock that jumps takes nobody's certificate away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """What a server shows (`context`), and the SHA-256 of it (DER) in hexadecimal."""

    context: ssl.SSLContext
    fingerprint: str


def make_certificate() -> ServerCertificate:
    """Make a key (EC P-256) and its certificate; both end with the process."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_NO_END)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return ServerCertificate(
        context=_make_context(private + certificate.public_bytes(serialization.Encoding.PEM)),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _make_context(pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody resumes: a connection lasts, and tickets cost memory
    # `ssl` reads keys from files only; this one is in memory, and nobody else's.
    descriptor = os.memfd_create("vpplb-direct", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context

"""A certificate authority for tests: good, expired and wrong certificates of servers."""

import secrets
import ssl
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | RSAPublicKey


class Authority:
    """An authority with a key of its own; `pem` is what a client must trust."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"test authority {secrets.token_hex(4)}")
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), days=10)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, *names: str, days: int = 10) -> ssl.SSLContext:
        """Return the context of a server for these names and addresses; expired if `days` < 0."""
        return server_context(self.server_pem(*names, days=days))

    def server_pem(self, *names: str, days: int = 10) -> bytes:
        """Return a server's certificate and key for these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _pem(_named(self._name, key, names, days).sign(self._key, hashes.SHA256()), key)


def outdated(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let a server speak TLS 1.0 only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def self_signed_server(*names: str, rsa: bool = False) -> ssl.SSLContext:
    """Return the context of a server whose certificate signs itself."""
    key: Key = (
        generate_rsa_key(public_exponent=65537, key_size=2048)
        if rsa
        else ec.generate_private_key(ec.SECP256R1())
    )
    certificate = _named(_name(names[0]), key, names, 10).sign(key, hashes.SHA256())
    return server_context(_pem(certificate, key))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _named(
    issuer: x509.Name, key: Key, names: tuple[str, ...], days: int
) -> x509.CertificateBuilder:
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
    builder = _builder(_name(names[0]), issuer, key.public_key(), days=days)
    return builder.add_extension(alternatives, critical=False)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )


def _pem(certificate: x509.Certificate, key: Key) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def server_context(pem: bytes) -> ssl.SSLContext:
    """Return the context of a server with this certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(pem)
        context.load_cert_chain(path)
    return context

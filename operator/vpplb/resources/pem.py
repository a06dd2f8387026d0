"""Certificates as people paste them: what stands around them is no matter."""

import re
import ssl

_BEGIN = "-----BEGIN "
_BLOCK = re.compile(
    r"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----\s(.*?)-----END \1-----", re.DOTALL
)


def read_certificates(text: str) -> str:
    """Return the certificates of a bundle, in PEM and nothing else. ValueError when one is broken.

    Comments in any language, line ends of Windows, a mark of byte order and indentation are
    left out. The error completes `must be certificates in PEM`.
    """
    blocks = list(_BLOCK.finditer(text))
    if not blocks or len(blocks) != text.count(_BEGIN):
        raise ValueError("; what begins must be a certificate, and end" if blocks else "")
    certificates = []
    for number, block in enumerate(blocks, 1):
        lines = "\n".join(line.strip() for line in block[2].splitlines())
        certificate = f"{_BEGIN}{block[1]}-----\n{lines.strip()}\n-----END {block[1]}-----\n"
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise ValueError(f"; number {number} cannot be read") from error
        certificates.append(certificate)
    return "".join(certificates)

"""The certificate of the HTTP server: two files, read again when somebody has renewed them."""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0
"""Seconds between two looks at the files: cert-manager renews weeks before the end."""

FileStamps = tuple[tuple[int, int, int], ...]


class BadCertificate(Exception):
    """The files make no certificate with its key; the text says why."""


@dataclass(slots=True, kw_only=True)
class TlsFiles:
    """A chain of certificates and its key, in PEM. `trouble` says why the newest do not count."""

    certificate: Path
    key: Path
    trouble: str = ""
    _context: ssl.SSLContext | None = None
    _stamp: FileStamps = ()

    def load(self) -> None:
        """Read the files (BadCertificate: and what was read before stays)."""
        try:
            stamp = self._read_stamp()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # No password is asked for on a terminal: a key that needs one cannot be read.
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except (OSError, ValueError) as error:
            said = f"{self.certificate} and {self.key} cannot be used: {error}"
            raise BadCertificate(said) from error
        self._context, self._stamp, self.trouble = context, stamp, ""

    def find_context(self) -> ssl.SSLContext:
        """Return what a new connection uses."""
        assert self._context is not None
        return self._context

    async def watch_files(self) -> None:
        """Read the files when they change, until cancelled.

        They may be replaced one after the other: a pair that does not fit is looked at again.
        """
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if self._read_stamp() != self._stamp:
                    self.load()
                    log.info("the HTTP server has a new certificate, of %s", self.certificate)
            except (OSError, BadCertificate) as error:
                if str(error) != self.trouble:
                    log.error("the certificate of before stays: %s", error)
                self.trouble = str(error)

    def _read_stamp(self) -> FileStamps:
        found = [path.stat() for path in (self.certificate, self.key)]
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)

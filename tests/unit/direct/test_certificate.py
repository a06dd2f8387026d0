import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest

from lab.raw_agent import trust_anybody
from vpplb.direct.certificate import make_certificate


async def test_a_server_shows_the_certificate_of_the_fingerprint() -> None:
    made = make_certificate()
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=made.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust_anybody())
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        shown = tls.getpeercert(binary_form=True)
        writer.close()
        assert shown is not None
        assert hashlib.sha256(shown).hexdigest() == made.fingerprint
        assert tls.version() == "TLSv1.3"


async def test_tls_before_1_3_is_refused() -> None:
    made, old = make_certificate(), trust_anybody()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=made.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)


def test_each_is_another() -> None:
    assert make_certificate().fingerprint != make_certificate().fingerprint


def test_nothing_of_the_key_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    make_certificate()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
    assert list(tmp_path.iterdir()) == []

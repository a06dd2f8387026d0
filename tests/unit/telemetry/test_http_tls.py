"""HTTPS: what it takes, a certificate that is renewed, and connections that end no handshake."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from cluster.certificates import write_serving_certificate
from lab.waiting import eventually
from vpplb.telemetry import http_tls
from vpplb.telemetry.connections import ConnectionGuard
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http import CannotListen, HttpServer
from vpplb.telemetry.http_tls import BadCertificate, TlsFiles

pytestmark = pytest.mark.looptime


def make_files(folder: Path) -> TlsFiles:
    files = TlsFiles(certificate=folder / "tls.crt", key=folder / "tls.key")
    write_serving_certificate(files.certificate, files.key)
    return files


@asynccontextmanager
async def serving(
    tls: TlsFiles, guard: ConnectionGuard | None = None, stream: EventStream | None = None
) -> AsyncIterator[HttpServer]:
    async with HttpServer(
        address="127.0.0.1:0",
        metrics=lambda: [b"vpplb_leader 1\n"],
        tls=tls,
        guard=guard or ConnectionGuard(),
        stream=stream,
    ) as server:
        yield server


async def ask(server: HttpServer, certificate: Path, path: str = "/metrics") -> str:
    trust = ssl.create_default_context(cafile=str(certificate))
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"https://{server.listen_address}{path}", ssl=trust) as response,
    ):
        return await response.text()


async def test_it_is_served_over_tls_alone(tmp_path: Path) -> None:
    files = make_files(tmp_path)
    async with serving(files) as server:
        assert await ask(server, files.certificate) == "vpplb_leader 1\n"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{server.listen_address}/metrics")


async def test_versions_before_1_2_are_refused(tmp_path: Path) -> None:
    files = make_files(tmp_path)
    files.load()
    assert files.find_context().minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_renewed_certificate_is_taken_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_tls, "LOOK_EVERY", 0.01)
    files, old = make_files(tmp_path), tmp_path / "old.crt"
    old.write_bytes(files.certificate.read_bytes())
    async with serving(files) as server:
        assert await ask(server, old)
        write_serving_certificate(tmp_path / "new.crt", tmp_path / "new.key")
        # One after the other, as whoever copies by hand does: the pair does not fit meanwhile.
        (tmp_path / "new.crt").replace(files.certificate)
        await eventually(lambda: files.trouble, "the half of a pair is noticed")
        assert await ask(server, old)
        (tmp_path / "new.key").replace(files.key)
        await eventually(lambda: not files.trouble, "the new pair is taken")
        assert await ask(server, files.certificate)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ask(server, old)


async def test_files_that_make_no_pair_are_no_way_to_begin(tmp_path: Path) -> None:
    files = make_files(tmp_path)
    files.key.write_text("no key")
    with pytest.raises(CannotListen, match=r"tls\.crt and .*tls\.key cannot be used"):
        async with serving(files):
            raise AssertionError("it listens")
    files.key.unlink()
    with pytest.raises(BadCertificate, match="No such file"):
        files.load()


async def test_a_connection_without_a_handshake_is_ended_in_time(tmp_path: Path) -> None:
    guard = ConnectionGuard(most=2, patience=0.05)
    async with serving(make_files(tmp_path), guard) as server:
        where = server.listen_address
        assert where is not None
        reader, writer = await asyncio.open_connection(where.host, where.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert guard.connection_count == 0


async def test_a_stream_of_events_over_tls_outlives_the_patience_for_requests(
    tmp_path: Path,
) -> None:
    files, stream = make_files(tmp_path), EventStream()
    trust = ssl.create_default_context(cafile=str(files.certificate))
    async with (
        serving(files, ConnectionGuard(patience=0.3), stream) as server,
        aiohttp.ClientSession() as session,
        session.get(f"https://{server.listen_address}/api/v1/events", ssl=trust) as response,
    ):
        await response.content.readuntil(b"\n\n")
        await asyncio.sleep(0.6)
        stream.publish("removed", {"backend": "shop/a", "frontend": "shop/web"})
        assert b"shop/a" in await response.content.readuntil(b"\n\n")

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vpplb.simulator.socket_paths import SocketInUse
from vpplb.simulator.stats_socket import StatsSocket


@pytest.fixture
async def stats(tmp_path: Path) -> AsyncIterator[StatsSocket]:
    made = StatsSocket(tmp_path / "stats.sock", 0o600)
    descriptor = os.memfd_create("test")
    os.write(descriptor, b"counters")
    made.open(descriptor)
    yield made
    made.close()
    os.close(descriptor)


def ask(path: Path) -> bytes:
    """Connect as a client does, and read what is behind the descriptor that it is handed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(0.2)
        client.connect(str(path))
        data, (descriptor,), _, _ = socket.recv_fds(client, 0, 1)
        assert data == b""
        assert client.recv(10) == b""
    try:
        return os.pread(descriptor, 100, 0)
    finally:
        os.close(descriptor)


async def test_whoever_connects_is_handed_the_descriptor_and_hung_up_on(
    stats: StatsSocket, tmp_path: Path
) -> None:
    path = tmp_path / "stats.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    for _ in range(3):
        assert await asyncio.to_thread(ask, path) == b"counters"


async def test_a_client_that_is_gone_already_disturbs_nobody(
    stats: StatsSocket, tmp_path: Path
) -> None:
    path = tmp_path / "stats.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
    assert await asyncio.to_thread(ask, path) == b"counters"


async def test_a_muted_one_lets_clients_wait(stats: StatsSocket, tmp_path: Path) -> None:
    stats.set_muted(True)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(ask, tmp_path / "stats.sock")
    stats.set_muted(False)
    assert await asyncio.to_thread(ask, tmp_path / "stats.sock") == b"counters"


async def test_a_closed_one_leaves_its_socket_to_be_replaced(
    stats: StatsSocket, tmp_path: Path
) -> None:
    path = tmp_path / "stats.sock"
    with pytest.raises(SocketInUse):
        StatsSocket(path, 0o600).open(0)
    stats.close()
    stats.close()
    assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(ask, path)
    stats.open(stats.fd)
    assert await asyncio.to_thread(ask, path) == b"counters"

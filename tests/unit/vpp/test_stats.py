"""What may go wrong with a stats segment; sound ones are for tests/contract/test_stats.py."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import pytest
from vpp_papi.vpp_stats import VPPStats

from vpplb.model.vip import VipId, VipProtocol
from vpplb.simulator.counters import PacketKind, StatsSegment
from vpplb.simulator.server import StatsSocket
from vpplb.sync.ports import LoadBalancerGone, PacketTally
from vpplb.vpp.stats import PapiVipCounters

WEB = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)
DNS = VipId(ip_network("192.0.2.1/32"), VipProtocol.UDP, 53)
IN_PROGRESS = 24
"""Where it is in the segment."""


@asynccontextmanager
async def handed_out(path: Path, descriptor: int) -> AsyncIterator[StatsSocket]:
    stats = StatsSocket(path, 0o600)
    stats.open(descriptor)
    try:
        yield stats
    finally:
        stats.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.sock"


@pytest.fixture
async def segment(path: Path) -> AsyncIterator[StatsSegment]:
    made = StatsSegment(2)
    async with handed_out(path, made.fd):
        yield made
    made.close()


def counters(path: Path) -> PapiVipCounters:
    return PapiVipCounters(path, timeout=0.2)


async def gone(path: Path) -> str:
    """Read in vain, but not for long; return why."""
    before = time.monotonic()
    with pytest.raises(LoadBalancerGone) as caught:
        await counters(path).read({WEB: 1})
    assert time.monotonic() - before < 1.0
    return str(caught.value).removeprefix(f"{path}: ")


async def test_packets_of_all_threads_are_added_up(path: Path, segment: StatsSegment) -> None:
    segment.resize_rows(3)
    for kind in PacketKind:
        segment.set_packets(kind, 0, 2, 10 * kind)
        segment.set_packets(kind, 1, 2, 1)
    packets = PacketTally(existing=1, first=11, untracked=21, no_server=31)
    assert await counters(path).read({WEB: 2, DNS: 1}) == {WEB: packets, DNS: PacketTally()}


async def test_a_vip_that_is_not_counted_is_left_out(path: Path, segment: StatsSegment) -> None:
    assert await counters(path).read({WEB: 1}) == {}
    segment.resize_rows(2)
    assert await counters(path).read({WEB: 1, DNS: 2}) == {WEB: PacketTally()}


async def test_no_vpp_is_said_with_the_path(path: Path) -> None:
    assert await gone(path) == "No such file or directory"


async def test_a_vpp_that_died_is_gone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    assert await gone(path) == "Connection refused"


async def test_a_vpp_that_hangs_is_gone_after_the_timeout(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as hung:
        hung.bind(str(path))
        hung.listen()
        assert await gone(path) == "timed out"


async def test_the_segment_of_a_vpp_that_died_amid_a_change_does_not_hang(
    path: Path, segment: StatsSegment
) -> None:
    segment.resize_rows(2)
    os.pwrite(segment.fd, struct.pack("=Q", 1), IN_PROGRESS)
    assert "VPP does not finish changing it" in await gone(path)


async def test_a_segment_that_changes_all_the_time_does_not_hang(
    path: Path, segment: StatsSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = count()
    monkeypatch.setattr(VPPStats, "epoch", property(lambda _: next(epochs)))
    assert "VPP keeps changing it" in await gone(path)


async def test_a_reading_waits_for_the_end_of_a_change(path: Path, segment: StatsSegment) -> None:
    segment.resize_rows(2)
    os.pwrite(segment.fd, struct.pack("=Q", 1), IN_PROGRESS)
    reading = asyncio.create_task(counters(path).read({WEB: 1}))
    await asyncio.sleep(0.02)
    assert not reading.done()
    os.pwrite(segment.fd, struct.pack("=Q", 0), IN_PROGRESS)
    assert await reading == {WEB: PacketTally()}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot mmap an empty file"),
        (b"\0" * 100, "its version is 0, not 2"),
        (struct.pack("=Q", 3) + b"\0" * 100, "its version is 3, not 2"),
        (struct.pack("=QQQQQQ", 2, 0, 1, 0, 8, 0) + b"\xff" * 100, "no readable stats segment"),
        (struct.pack("=QQQQQQ", 2, 4096, 1, 0, 0, 0) + b"\xff" * 100, "no readable stats segment"),
    ],
)
async def test_what_is_no_stats_segment_is_gone(path: Path, content: bytes, reason: str) -> None:
    descriptor = os.memfd_create("test")
    os.write(descriptor, content)
    async with handed_out(path, descriptor):
        assert reason in await gone(path)
    os.close(descriptor)


DIRECTORY, ENTRY = 32, 144
"""Where the directory is told in the segment, and bytes of an entry: type, value, name."""


def vector_at(segment: StatsSegment, place: int) -> int:
    """Where the vector is that a pointer in the segment points to."""
    base, pointer = (u64(segment, at) for at in (8, place))
    return pointer - base


def u64(segment: StatsSegment, at: int) -> int:
    return int.from_bytes(os.pread(segment.fd, 8, at), "little")


def first_counter(segment: StatsSegment) -> int:
    """Where the entry of the first of the four counters is."""
    return vector_at(segment, DIRECTORY)


async def test_a_directory_without_end_is_not_copied(path: Path, segment: StatsSegment) -> None:
    segment.resize_rows(2)
    os.ftruncate(segment.fd, 1 << 40)
    at = vector_at(segment, DIRECTORY)
    os.pwrite(segment.fd, struct.pack("=I", 0xFFFFFFFF), at - 8)
    assert "its directory has 4294967295 entries" in await gone(path)


async def test_threads_and_rows_without_end_are_not_copied(
    path: Path, segment: StatsSegment
) -> None:
    segment.resize_rows(2)
    os.ftruncate(segment.fd, 1 << 40)
    threads = vector_at(segment, first_counter(segment) + 8)
    row = vector_at(segment, threads)
    os.pwrite(segment.fd, struct.pack("=I", 0xFFFFFFF0), row - 8)
    assert "has 4294967280 entries" in await gone(path)
    os.pwrite(segment.fd, struct.pack("=I", 100_000), threads - 8)
    assert "has 100000 entries" in await gone(path)


@pytest.mark.parametrize("kind", [0, 1, 3, 6, 7, 8, 99])
async def test_a_counter_of_another_type_is_no_reading(
    path: Path, segment: StatsSegment, kind: int
) -> None:
    segment.resize_rows(2)
    os.pwrite(segment.fd, struct.pack("=I", kind), first_counter(segment))
    assert f"is of type {kind}, not 2" in await gone(path)


@pytest.mark.parametrize("pointer", [0, 1, 8, 1 << 63, (1 << 64) - 1])
async def test_pointers_that_lead_nowhere_are_no_reading(
    path: Path, segment: StatsSegment, pointer: int
) -> None:
    segment.resize_rows(2)
    os.pwrite(segment.fd, struct.pack("=Q", pointer), first_counter(segment) + 8)
    assert "no readable stats segment" in await gone(path)


async def test_a_socket_that_hands_out_nothing_is_gone(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        loop = asyncio.get_running_loop()

        def hang_up() -> None:
            listener.accept()[0].close()

        loop.add_reader(listener, hang_up)
        assert "no readable stats segment" in await gone(path)
        loop.remove_reader(listener)


async def test_a_vpp_that_was_restarted_is_read_anew(path: Path) -> None:
    reader = counters(path)
    for packets in (1, 2):
        segment = StatsSegment(1)
        segment.resize_rows(2)
        segment.set_packets(PacketKind.FIRST, 0, 1, packets)
        async with handed_out(path, segment.fd):
            assert await reader.read({WEB: 1}) == {WEB: PacketTally(first=packets)}
        segment.close()


async def test_nothing_is_left_open(path: Path, segment: StatsSegment) -> None:
    segment.resize_rows(2)
    await counters(path).read({WEB: 1})
    before = open_files()
    for _ in range(3):
        await counters(path).read({WEB: 1})
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

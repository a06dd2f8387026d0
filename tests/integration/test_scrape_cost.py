"""What it costs to read the metrics of 10,000 backends, in CPU, whoever else runs meanwhile."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from in_memory.large_registry import make_large_registry
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import MetricsRegistry

pytestmark = pytest.mark.slow

FRONTENDS, EACH = 1000, 10
MOST_SECONDS = 0.3
MOST_AT_A_TIME = 0.03
"""CPU that a scrape may take in all, and without a turn of anybody else on the loop."""


@pytest.fixture(scope="module")
def registry() -> MetricsRegistry:
    return make_large_registry(FRONTENDS, EACH)


@asynccontextmanager
async def serving(registry: MetricsRegistry) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        HttpServer(address="127.0.0.1:0", metrics=registry.render_pieces) as server,
        aiohttp.ClientSession(f"http://{server.listen_address}", auto_decompress=False) as session,
    ):
        yield session


async def scrape(session: aiohttp.ClientSession, encoding: str) -> bytes:
    """Read the metrics as they come over the wire."""
    headers = {"Accept-Encoding": encoding}
    async with session.get("/metrics", headers=headers) as response:
        assert response.headers.get("Content-Encoding", "identity") == encoding
        return await response.read()


async def longest_turn(stop: asyncio.Event) -> float:
    """Return the most CPU, in seconds, that was used between two turns of this task."""
    longest = 0.0
    while not stop.is_set():
        before = time.thread_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.thread_time() - before)
    return longest


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_scrape_costs_little_and_lets_decisions_have_their_turn(
    registry: MetricsRegistry, encoding: str
) -> None:
    seconds, turns = [], []
    async with serving(registry) as session:
        for _ in range(4):  # the least counts: at first caches are cold
            stop = asyncio.Event()
            watching = asyncio.create_task(longest_turn(stop))
            began = time.thread_time()
            await scrape(session, encoding)
            seconds.append(time.thread_time() - began)
            stop.set()
            turns.append(await watching)
    assert min(seconds) < MOST_SECONDS
    assert min(turns) < MOST_AT_A_TIME


async def test_what_is_packed_is_the_same_and_a_tenth_of_the_size(
    registry: MetricsRegistry,
) -> None:
    async with serving(registry) as session:
        packed, plain = await scrape(session, "gzip"), await scrape(session, "identity")
    unpacked = zlib.decompress(packed, wbits=16 + zlib.MAX_WBITS)
    first, second = (
        {line.rpartition(b" ")[0] for line in text.splitlines()} for text in (unpacked, plain)
    )
    assert first == second
    states = [line for line in first if line.startswith(b"vpplb_backend_state{")]
    assert len(states) == 5 * FRONTENDS * EACH
    assert 10 * len(packed) < len(plain)

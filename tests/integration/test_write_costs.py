"""What statuses cost the API server is bounded, however much happens."""

import asyncio
from functools import partial

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.status_writer import ToldAnswers, running, see
from vpplb.kube.status_writer import ON_END, WritePriority
from vpplb.model.names import ObjectKind

pytestmark = pytest.mark.looptime

DOWN = WritePriority.FRONTEND_DOWN
FRONTEND, BACKEND = ObjectKind.FRONTEND, ObjectKind.BACKEND


async def test_many_changes_in_a_moment_that_may_wait_are_one_write_of_the_newest() -> None:
    server = FakeApiServer()
    async with running(server) as writer:
        see(writer, server, ["b"])
        for n in range(5):
            writer.submit_status(BACKEND, key("b"), partial(dict, n=n), delay=0.1)
            await asyncio.sleep(0.015)
        assert server.requests == []
        assert writer.pending == 1
        await asyncio.sleep(0.1)
        assert server.status(BACKEND, key("b")) == {"n": 4}
    assert server.times == [pytest.approx(0.1)]


async def changing_all_the_time(server: FakeApiServer, seconds: int, delay: float) -> None:
    """Let an object change ten times a second, and wait until the newest is written."""
    async with running(server) as writer:
        see(writer, server, ["b"])
        for n in range(10 * seconds):
            writer.submit_status(BACKEND, key("b"), partial(dict, n=n), delay=delay)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.1)
    assert server.status(BACKEND, key("b")) == {"n": 10 * seconds - 1}


async def test_an_object_that_changes_all_the_time_is_written_once_a_second() -> None:
    server = FakeApiServer(latency=0.01)
    await changing_all_the_time(server, 30, delay=0.05)
    assert len(server.requests) == pytest.approx(30 + ON_END, abs=1)


async def test_what_somebody_waits_for_is_written_as_often_as_it_changes() -> None:
    server = FakeApiServer(latency=0.01)
    await changing_all_the_time(server, 30, delay=0.0)
    assert len(server.requests) == 300


async def test_an_object_that_was_quiet_is_written_soon_again() -> None:
    server = FakeApiServer()
    await changing_all_the_time(server, 5, delay=0.05)
    async with running(server) as writer:
        see(writer, server, ["b"])
        for n in (1, 2, 3):
            writer.submit_status(BACKEND, key("b"), partial(dict, n=-n), delay=0.05)
            await asyncio.sleep(0.06)
            assert server.status(BACKEND, key("b")) == {"n": -n}


async def test_all_writes_together_are_bounded_and_what_costs_none_is_not() -> None:
    server, told = FakeApiServer(latency=0.01), ToldAnswers()
    async with running(server, told, per_second=10.0) as writer:
        names = [str(n) for n in range(1000)]
        see(writer, server, names)
        for name in names:
            same = int(name) % 2 == 0
            state = {"state": "unknown" if same else "up"}
            writer.submit_status(BACKEND, key(name), partial(dict, state), WritePriority.BACKEND)
        await asyncio.sleep(5.05)
        assert len(server.requests) == 10 + 50
        for name in "abcdefghijklmno":
            see(writer, server, [name], FRONTEND)
            writer.submit_status(FRONTEND, key(name), lambda: {"state": "down"}, DOWN)
        await asyncio.sleep(0.05)
        assert len(server.requests) == 10 + 50 + 15, "agents wait for them"
        assert writer.tokens == pytest.approx(-15, abs=1)
        await asyncio.sleep(1)
        assert len(server.requests) == 10 + 50 + 15, "others wait now"
        await asyncio.sleep(60)
    assert told.results.count(("Backend", "unchanged")) == 500
    assert told.results.count(("Backend", "written")) == 500

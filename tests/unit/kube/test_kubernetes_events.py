import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fakes.api_server import FakeApiServer
from vpplb.kube import kubernetes_events
from vpplb.kube.api_types import (
    ApiUnreachable,
    KubeError,
    NamespaceTerminating,
    api_error,
    cluster_key,
)
from vpplb.kube.kubernetes_events import MOMENT, EventRecorder, ObjectEvent
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime

AT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
SENT = MOMENT + 0.05
"""Seconds until an event has been sent that nothing holds up."""


def event(note: str = "L4CON: connection refused") -> ObjectEvent:
    return ObjectEvent(
        kind=ObjectKind.BACKEND,
        key=ObjectKey("shop", "nginx0"),
        uid="u-1",
        type="Warning",
        reason="BackendDown",
        note=note,
        at=AT,
    )


@asynccontextmanager
async def running(
    server: FakeApiServer,
    on_drop: Callable[[], None] = lambda: None,
    rest: Callable[[float], Awaitable[None]] = lambda _: asyncio.sleep(0),
) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(server, "operator", "pod-1", on_drop, rest)
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def notes(server: FakeApiServer) -> list[object]:
    return [sent["note"] for sent in server.events]


async def test_an_event_says_what_happened_to_which_object_and_when() -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        recorder.emit_event(event())
        await asyncio.sleep(SENT)
    [sent] = server.events
    assert sent["regarding"] == {
        "apiVersion": "vpplb.dev/v1alpha1",
        "kind": "Backend",
        "namespace": "shop",
        "name": "nginx0",
        "uid": "u-1",
    }
    assert (sent["type"], sent["reason"]) == ("Warning", "BackendDown")
    assert sent["eventTime"] == "2026-01-01T12:00:00.123456Z"
    assert sent["reportingController"] == "vpplb.dev/operator"


async def test_events_of_one_moment_have_names_of_their_own() -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        recorder.emit_event(event())
        recorder.emit_event(event())
        await asyncio.sleep(SENT)
    assert server.events[0]["metadata"] != server.events[1]["metadata"]


@pytest.mark.parametrize(
    "name",
    ["a" * 253, f"{'a' * 190}.{'b' * 62}", f"{'a' * 189}-.{'b' * 62}"[:253], f"{'a.' * 126}a"],
)
async def test_events_of_an_object_with_a_long_name_have_names_that_are_accepted(name: str) -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        recorder.instance = "n" * 253
        for end in ("", "2"):
            key = ObjectKey("shop", name + end)
            recorder.emit_event(replace(event(), key=key))
        await asyncio.sleep(SENT)
    names = [sent["metadata"]["name"] for sent in server.events]  # type: ignore[index]
    label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    assert all(len(one) <= 253 and re.fullmatch(rf"{label}(\.{label})*", one) for one in names)
    assert names[0].rpartition(".")[0] != names[1].rpartition(".")[0]
    assert len(str(server.events[0]["reportingInstance"])) == 128


async def test_an_event_of_a_cluster_scoped_object_lives_in_default() -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        recorder.emit_event(
            ObjectEvent(
                kind=ObjectKind.DATAPLANE,
                key=cluster_key("node-1"),
                uid="u",
                type="Normal",
                reason="VipRecreated",
                note="",
                at=AT,
            )
        )
        await asyncio.sleep(SENT)
    assert server.requests[0][2]["metadata"]["namespace"] == "default"  # type: ignore[index]  # as it was sent


async def test_a_note_is_cut_to_what_the_server_takes_without_breaking_a_character() -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        recorder.emit_event(event("x" + "ü" * 600))
        await asyncio.sleep(SENT)
    note = notes(server)[0]
    assert note == "x" + "ü" * 511


async def test_after_the_burst_events_leave_at_the_rate() -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        for n in range(150):
            recorder.emit_event(event(str(n)))
        await asyncio.sleep(SENT)
        assert len(server.events) == 100
        await asyncio.sleep(3.0)
        assert len(server.events) == 130
        await asyncio.sleep(60.0)
    assert notes(server) == [str(n) for n in range(150)]


async def test_the_burst_comes_back_with_time_and_no_further_than_its_size() -> None:
    server = FakeApiServer()
    async with running(server) as recorder:
        for _ in range(2):
            for n in range(200):
                recorder.emit_event(event(str(n)))
            await asyncio.sleep(1000)
        start = len(server.events)
        for n in range(200):
            recorder.emit_event(event(str(n)))
        await asyncio.sleep(SENT)
        assert len(server.events) - start == 100


async def test_a_full_queue_drops_its_oldest_and_counts_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kubernetes_events, "QUEUE", 5)
    server, dropped = FakeApiServer(), []
    async with running(server, lambda: dropped.append(1)) as recorder:
        for n in range(8):
            recorder.emit_event(event(str(n)))
        await asyncio.sleep(10)
    assert notes(server) == ["3", "4", "5", "6", "7"]
    assert len(dropped) == 3


@pytest.mark.parametrize(
    "fault", [ApiUnreachable("refused"), api_error(429), api_error(503)], ids=str
)
async def test_an_event_that_found_no_server_is_sent_later(fault: KubeError) -> None:
    server, dropped = FakeApiServer(), []
    server.faults.append(fault)
    async with running(server, lambda: dropped.append(1)) as recorder:
        recorder.emit_event(event("one"))
        recorder.emit_event(event("two"))
        await asyncio.sleep(60)
    assert notes(server) == ["one", "two"]
    assert dropped == []


async def test_an_event_that_is_refused_is_dropped_and_the_next_one_sent() -> None:
    server, dropped = FakeApiServer(), []
    server.faults.append(api_error(403, "Forbidden", "no right"))
    async with running(server, lambda: dropped.append(1)) as recorder:
        recorder.emit_event(event("one"))
        recorder.emit_event(event("two"))
        await asyncio.sleep(60)
    assert notes(server) == ["two"]
    assert dropped == [1]


async def test_that_a_namespace_is_being_deleted_is_no_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, dropped = FakeApiServer(), []
    server.faults.append(NamespaceTerminating(403, "Forbidden", "it is being terminated"))
    async with running(server, lambda: dropped.append(1)) as recorder:
        recorder.emit_event(event("one"))
        recorder.emit_event(event("two"))
        await asyncio.sleep(60)
    said = [one.message for one in caplog.records if one.levelno > logging.DEBUG]
    assert (notes(server), dropped, said) == (["two"], [], [])


async def test_draining_ends_when_the_last_event_is_sent() -> None:
    server = FakeApiServer(latency=0.2)
    async with running(server) as recorder:
        await recorder.drain(5.0)
        assert asyncio.get_running_loop().time() == 0.0
        recorder.emit_event(event("a"))
        recorder.emit_event(event("b"))
        await recorder.drain(5.0)
        assert notes(server) == ["a", "b"]
        assert asyncio.get_running_loop().time() == pytest.approx(0.4)


async def test_draining_gives_up_in_time() -> None:
    server = FakeApiServer(latency=60.0)
    async with running(server) as recorder:
        recorder.emit_event(event())
        await recorder.drain(1.0)
        assert asyncio.get_running_loop().time() == 1.0


async def test_events_wait_for_statuses_but_not_for_ever() -> None:
    server, written = FakeApiServer(), asyncio.Event()

    async def rest(patience: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await written.wait()

    async with running(server, rest=rest) as recorder:
        for n in range(10):
            recorder.emit_event(event(str(n)))
        await asyncio.sleep(MOMENT + 1.05)
        assert notes(server) == ["0", "1"]
        written.set()
        await asyncio.sleep(0.01)
        assert len(server.events) == 10


async def test_draining_has_no_patience_though_writes_go_on() -> None:
    server = FakeApiServer()
    async with running(server, rest=asyncio.sleep) as recorder:
        for n in range(10):
            recorder.emit_event(event(str(n)))
        await recorder.drain(1.0)
        assert len(server.events) == 10

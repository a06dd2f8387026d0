"""kopf's thread: begun anew when it ends, stopped when it can be, never waited for in vain."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import kopf
import pytest

from lab.waiting import eventually
from vpplb.kube import object_watch as module
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_watch import ObjectWatch
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject

Run = Callable[..., None]


class ToldObjects:
    """Hears of objects, and on which thread."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int]] = []
        self.doubts = 0

    def note_doubt(self) -> None:
        self.doubts += 1

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        self.events.append((f"{kind} seen", new.key.name, threading.get_ident()))

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self.events.append((f"{kind} gone", key.name, threading.get_ident()))

    def heard(self) -> list[tuple[str, str]]:
        return [event[:2] for event in self.events]


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads know no loop time, so real time has to be short."""
    monkeypatch.setattr(module, "RESTART", (0.01, 0.02))
    monkeypatch.setattr(module, "STOP_TIMEOUT", 0.05)


def watch(*namespaces: str, period: float = 30.0) -> tuple[ObjectWatch, ToldObjects]:
    told = ToldObjects()
    kinds, cache = (ObjectKind.FRONTEND, ObjectKind.BACKEND), ObjectCache([told])
    return ObjectWatch(kinds, cache, namespaces, told.note_doubt, period=period), told


def instead_of_kopf(monkeypatch: pytest.MonkeyPatch, run: Run) -> list[dict[str, Any]]:
    """Have `run` called in place of kopf; return what it is called with."""
    calls: list[dict[str, Any]] = []

    async def recorded(**arguments: Any) -> None:
        calls.append(arguments | {"thread": threading.current_thread()})
        run(**arguments)

    monkeypatch.setattr(kopf, "operator", recorded)
    return calls


def until_stopped(*, stop_flag: threading.Event, **_: Any) -> None:
    assert stop_flag.wait(10)


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_runs_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def winds_down(**arguments: Any) -> None:
        until_stopped(**arguments)
        time.sleep(0.1)

    monkeypatch.setattr(module, "STOP_TIMEOUT", 10.0)
    calls = instead_of_kopf(monkeypatch, winds_down)
    task = asyncio.create_task(watch()[0].run())
    await eventually(lambda: calls, "it runs")
    await cancel(task)
    assert calls[0]["stop_flag"].is_set()
    assert len(calls) == 1
    calls[0]["thread"].join(1)  # it announces its end right before
    assert not calls[0]["thread"].is_alive()


@pytest.mark.parametrize(
    ("ending", "said"),
    [(None, "no reason given"), (RuntimeError("no cluster"), "no cluster")],
)
async def test_one_that_ends_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: Exception | None,
    said: str,
) -> None:
    def ends(**_: Any) -> None:
        if ending:
            raise ending

    calls = instead_of_kopf(monkeypatch, ends)
    one, told = watch()
    task = asyncio.create_task(one.run())
    await eventually(lambda: len(calls) >= 3, "it is begun anew, and again")
    assert one.trouble == f"the watch ended: {said}"
    assert told.doubts >= 2, "what was missed is listed"
    await cancel(task)
    assert f"the watch ended: {said}, will begin anew" in caplog.text


async def test_one_that_cannot_stop_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a daemon: the process ends without it."""
    release = threading.Event()
    calls = instead_of_kopf(monkeypatch, lambda **_: assert_true(release.wait(10)))
    task = asyncio.create_task(watch()[0].run())
    await eventually(lambda: calls, "it runs")
    await cancel(task)
    left = calls[0]["thread"]
    assert left.is_alive()
    assert left.daemon
    release.set()
    left.join(10)
    await asyncio.sleep(0)  # what it still says is heard by nobody


def assert_true(value: bool) -> None:
    assert value


@pytest.mark.parametrize(("namespaces", "clusterwide"), [((), True), (("x", "y"), False)])
async def test_it_watches_the_namespaces_it_is_told(
    monkeypatch: pytest.MonkeyPatch, namespaces: tuple[str, ...], clusterwide: bool
) -> None:
    calls = instead_of_kopf(monkeypatch, until_stopped)
    task = asyncio.create_task(watch(*namespaces)[0].run())
    await eventually(lambda: calls, "it runs")
    await cancel(task)
    assert calls[0]["clusterwide"] is clusterwide
    assert tuple(calls[0]["namespaces"]) == namespaces
    assert calls[0]["standalone"] is True
    assert calls[0]["settings"].posting.enabled is False


async def test_events_reach_the_informer_in_order_on_the_loop_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kind is only listened to: no finalizer and no annotation of ours on any object."""
    events = [("ADDED", "a", 1), ("MODIFIED", "b", 2), ("DELETED", "a", 3), ("ADDED", "c", 4)]

    def tells(*, registry: Any, stop_flag: threading.Event, **_: Any) -> None:
        # kopf has no other way to ask a registry what it has.
        for group in ("_changing", "_spawning", "_indexing"):
            assert not getattr(registry, group)._handlers
        handlers = {one.id: one for one in registry._watching._handlers}
        assert set(handlers) == {"frontends", "backends"}
        tell, is_news = handlers["backends"].fn, handlers["backends"].when
        for event_type, name, version in events:
            metadata = {"name": name, "namespace": "x", "resourceVersion": str(version)}
            event = {"type": event_type, "object": {"metadata": metadata}}
            assert is_news(event=event, name=name), "else kopf does not call the handler"
            with pytest.raises(StopIteration):  # it awaits nothing
                tell(event=event, name=name).send(None)
        until_stopped(stop_flag=stop_flag)

    instead_of_kopf(monkeypatch, tells)
    one, told = watch()
    task = asyncio.create_task(one.run())
    await eventually(lambda: ("Backend seen", "c") in told.heard(), "all is heard")
    await cancel(task)
    assert told.heard().index(("Backend seen", "b")) < told.heard().index(("Backend seen", "c"))
    assert told.heard()[-1] != ("Backend seen", "a")
    assert {thread for *_, thread in told.events} == {threading.get_ident()}


async def test_a_kopf_that_asks_for_nothing_is_left_behind_and_another_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However it hangs: what its thread does is nothing that anybody could interrupt."""
    release = threading.Event()
    calls = instead_of_kopf(monkeypatch, lambda **_: assert_true(release.wait(10)))
    one = watch(period=0.06)[0]
    task = asyncio.create_task(one.run())
    await eventually(lambda: len(calls) >= 2, "another is begun")
    assert "kopf has asked for nothing" in one.trouble
    await eventually(lambda: one.beyond_repair, "only a new process helps")
    assert one.beyond_repair == "3 threads hang that watched"
    release.set()
    await eventually(lambda: not one.beyond_repair, "they have ended after all")
    await cancel(task)


async def test_a_watch_without_an_answer_is_trouble_until_there_is_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    answered = threading.Event()

    def asks(*, stop_flag: threading.Event, **_: Any) -> None:
        while not stop_flag.wait(0.01):
            for asked in one.health._watches.values():
                asked.note_request({"watch": "true"})
                if asked.plural == "frontends" or answered.is_set():
                    asked.note_answer(200, "OK", {"watch": "true"})

    instead_of_kopf(monkeypatch, asks)
    one = watch(period=0.1)[0]
    assert one.health.ages() == {}
    task = asyncio.create_task(one.run())
    await eventually(lambda: one.trouble, "it is noticed")
    assert one.trouble == "no answer to the watch of backends for 0 s"
    assert set(one.health.ages()) == {"backends", "frontends"}
    answered.set()
    await eventually(lambda: not one.trouble, "it is answered")
    await cancel(task)
    assert [record.getMessage() for record in caplog.records] == [
        "no answer to the watch of backends for 0 s, trying on",
        "all watches are answered again",
    ]


def test_kopf_never_gives_up_a_request_nor_waits_long() -> None:
    """Else it would begin anew, or sleep while the server is back."""
    backoffs = module._settings(30).networking.error_backoffs
    waits = list(itertools.islice(iter(backoffs), 50))  # type: ignore[arg-type]  # kopf: or a number
    assert max(waits) <= 2.0
    assert waits[0] <= 0.1
    assert len(set(waits)) > 40, "chance keeps clients apart"


def test_kopf_is_told_to_end_what_is_dead() -> None:
    settings = module._settings(30)
    assert settings.watching.server_timeout == 30
    assert settings.watching.client_timeout == 35
    assert settings.watching.inactivity_timeout == 40
    assert settings.process.ultimate_exiting_timeout is None


async def test_a_changed_history_begins_the_watch_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = instead_of_kopf(monkeypatch, until_stopped)
    one = watch()[0]
    task = asyncio.create_task(one.run())
    await eventually(lambda: calls, "it runs")
    one.begin_anew("the server's history has changed")
    await eventually(lambda: len(calls) == 2, "it is begun anew")
    assert one.trouble == "the watch ended: the server's history has changed"
    await cancel(task)

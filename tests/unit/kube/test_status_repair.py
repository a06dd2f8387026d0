import asyncio
import logging
from collections.abc import Mapping
from functools import partial

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.status_writer import ToldAnswers, running, see
from vpplb.kube.api_types import ApiUnreachable, JsonObject
from vpplb.kube.object_cache import CacheEvent, ObjectCache
from vpplb.kube.status_repair import FIGHT, LONGEST, QUIET, StatusRepair, writer_of
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime

WEB: JsonObject = {
    "metadata": {
        "name": "web",
        "namespace": "default",
        "managedFields": [
            {"manager": "vpplb", "time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:status": {}}},
            {"manager": "velero", "time": "2026-01-02T03:05:00Z", "fieldsV1": {"f:status": {}}},
            {"manager": "kubectl", "time": "2026-01-02T03:06:00Z", "fieldsV1": {"f:spec": {}}},
        ],
    }
}


class Mended:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.repair = StatusRepair(self._submit)

    def _submit(self, kind: ObjectKind, name: ObjectKey) -> None:
        self.times.append(round(asyncio.get_running_loop().time(), 3))


async def test_a_status_that_somebody_wrote_is_put_right_at_once() -> None:
    mended = Mended()
    mended.repair.note_overwrite(ObjectKind.FRONTEND, WEB)
    await asyncio.sleep(0.1)
    assert mended.times == [0]


async def test_whoever_fights_for_a_status_is_answered_less_and_less_often() -> None:
    mended = Mended()
    for _ in range(6000):
        mended.repair.note_overwrite(ObjectKind.FRONTEND, WEB)
        await asyncio.sleep(0.1)
    gaps = [after - before for before, after in zip(mended.times, mended.times[1:], strict=False)]
    assert gaps[:2] == sorted(gaps[:2])
    assert len(mended.times) < 20
    assert max(gaps) <= LONGEST + 0.2


async def test_after_a_quiet_while_the_next_is_put_right_at_once_again() -> None:
    mended = Mended()
    for _ in range(5):
        mended.repair.note_overwrite(ObjectKind.FRONTEND, WEB)
        await asyncio.sleep(LONGEST)
    await asyncio.sleep(QUIET)
    before = len(mended.times)
    mended.repair.note_overwrite(ObjectKind.FRONTEND, WEB)
    await asyncio.sleep(0.1)
    assert len(mended.times) == before + 1


async def test_what_is_deleted_is_not_put_right() -> None:
    mended = Mended()
    mended.repair.note_overwrite(ObjectKind.FRONTEND, WEB)
    mended.repair.forget_object(ObjectKind.FRONTEND, key("web"))
    await asyncio.sleep(LONGEST)
    assert mended.times == []


async def test_it_is_said_once_who_wrote_and_once_that_it_is_a_fight(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mended = Mended()
    with caplog.at_level(logging.WARNING):
        for _ in range(2 * FIGHT):
            mended.repair.note_overwrite(ObjectKind.FRONTEND, WEB)
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "the status of Frontend default/web was written by velero and is put right"
    assert "again and again" in said[1]
    assert len(said) == 2


def test_an_object_without_managed_fields_names_no_writer() -> None:
    assert writer_of({"metadata": {}}) == ""


# --- how the writer tells ----------------------------------------------------------------


async def test_an_old_echo_of_the_watch_does_not_undo_our_own_write() -> None:
    server = FakeApiServer()
    async with running(server) as writer:
        old = server.add(ObjectKind.BACKEND, key("b"), {"state": "unknown"})
        writer.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", old)
        writer.submit_status(ObjectKind.BACKEND, key("b"), lambda: {"state": "up"})
        await writer.drain(5)
        writer.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", old)
        writer.submit_status(ObjectKind.BACKEND, key("b"), lambda: {"state": "up"})
        await writer.drain(5)
        writer.submit_status(ObjectKind.BACKEND, key("b"), lambda: {"state": "unknown"})
        await writer.drain(5)
    assert [body for _, _, body in server.requests] == [
        {"status": {"state": "up"}},
        {"status": {"state": "unknown"}},
    ]


async def test_what_somebody_else_wrote_into_the_status_is_put_right() -> None:
    server = FakeApiServer()
    async with running(server) as writer:
        see(writer, server, ["b"])
        changed = server.add(ObjectKind.BACKEND, key("b"), {"state": "nonsense", "x": 1})
        writer.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", changed)
        writer.submit_status(ObjectKind.BACKEND, key("b"), lambda: {"state": "unknown"})
        await writer.drain(5)
    assert server.status(ObjectKind.BACKEND, key("b")) == {"state": "unknown"}


def changed(raw: JsonObject, version: int, status: JsonObject, uid: str = "u") -> JsonObject:
    metadata = {**raw["metadata"], "resourceVersion": str(version), "uid": uid}
    return {"metadata": metadata, "status": status}


async def test_a_status_that_changes_without_a_write_of_ours_is_told() -> None:
    cache, foreign = ObjectCache(), list[bool]()
    writer = StatusWriter(FakeApiServer(), cache)

    def see_change(version: int, status: JsonObject, uid: str = "u") -> None:
        old = cache.get(ObjectKind.BACKEND, key("b"))
        raw = changed({"metadata": {"namespace": "default", "name": "b"}}, version, status, uid)
        cache.apply_event(ObjectKind.BACKEND, "MODIFIED", raw)
        new = cache.get(ObjectKind.BACKEND, key("b"))
        assert new is not None
        foreign.append(writer.note_change(ObjectKind.BACKEND, old, new))

    see_change(7, {"state": "up"})
    see_change(8, {"state": "up"})
    see_change(9, {"state": "down"})
    see_change(8, {"state": "up"})
    see_change(10, {"state": "up"}, uid="another")
    cache.reset_versions()
    see_change(3, {"state": "down"}, uid="another")
    assert foreign == [False, False, True, False, False, True]


async def test_what_the_server_made_of_a_write_stands_for_it() -> None:
    server, told = FakeApiServer(prunes=frozenset({"held"})), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        for state in ("up", "up", "down", "up"):
            wanted = {"state": state, "held": True}
            writer.submit_status(ObjectKind.BACKEND, key("b"), partial(dict[str, object], wanted))
            await writer.drain(5)
    assert [result for _, result in told.results] == ["written", "unchanged", "written", "written"]


class Echoing(FakeApiServer):
    """Tells the writer's watch of each write before it answers; its first answer is lost."""

    cache: ObjectCache

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        answer = await super().replace_status(kind, key, version, status)
        if not self.cache.is_known(CacheEvent(kind, "MODIFIED", answer)):
            self.cache.apply_event(kind, "MODIFIED", answer)
        if len(self.requests) == 1:
            raise ApiUnreachable("no answer in 10 s")
        return answer


async def test_the_echo_of_a_write_that_comes_before_its_answer_costs_nothing() -> None:
    """And it stands for the answer where that is lost: the object need not be read."""
    server, told = Echoing(), ToldAnswers()
    async with running(server, told) as writer:
        server.cache = writer.cache
        see(writer, server, ["b"])
        for state in ("up", "down"):
            writer.submit_status(
                ObjectKind.BACKEND, key("b"), partial(dict[str, object], {"state": state})
            )
            assert await writer.drain(60) == 0
    assert [verb for verb, *_ in server.requests] == ["replace_status"] * 2
    assert [result for _, result in told.results] == ["unreachable", "unchanged", "written"]
    assert len(told.answers) == 2

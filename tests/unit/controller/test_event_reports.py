import asyncio

import pytest

from data.objects import key
from vpplb.controller.event_reports import LASTING, BrokenReferences
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.event_reasons import EventNote

pytestmark = pytest.mark.looptime

WEB = key("web")
A = EventNote("Warning", "BackendNotFound", "there is no Backend default/a")
B = EventNote("Warning", "BackendNotFound", "there is no Backend default/b")


class ReferenceEar(BrokenReferences):
    def __init__(self) -> None:
        super().__init__(self.hear)
        self.heard: list[EventNote] = []

    def hear(self, kind: ObjectKind, at: ObjectKey, note: EventNote) -> None:
        assert (kind, at) == (ObjectKind.FRONTEND, WEB)
        self.heard.append(note)

    def now_is(self, note: EventNote | None) -> None:
        self.update_note(ObjectKind.FRONTEND, WEB, note)


async def test_what_lasts_is_told_once_however_often_it_is_seen() -> None:
    ear = ReferenceEar()
    for _ in range(10):
        ear.now_is(A)
        await asyncio.sleep(LASTING / 3)
    assert ear.heard == [A]


async def test_what_passes_is_not_told() -> None:
    ear = ReferenceEar()
    ear.now_is(A)
    await asyncio.sleep(LASTING / 2)
    ear.now_is(None)
    await asyncio.sleep(2 * LASTING)
    assert ear.heard == []


async def test_what_turns_into_something_else_is_told_as_it_is_when_it_has_lasted() -> None:
    ear = ReferenceEar()
    ear.now_is(A)
    await asyncio.sleep(LASTING / 2)
    ear.now_is(B)
    await asyncio.sleep(LASTING * 3 / 4)
    assert ear.heard == []
    await asyncio.sleep(LASTING / 2)
    assert ear.heard == [B]


async def test_what_comes_again_is_told_again() -> None:
    ear = ReferenceEar()
    for note in (A, None, A):
        ear.now_is(note)
        await asyncio.sleep(2 * LASTING)
    assert ear.heard == [A, A]


async def test_what_the_status_has_said_before_is_not_told_again() -> None:
    ear = ReferenceEar()
    ear.set_announced(ObjectKind.FRONTEND, WEB, A.text)
    ear.now_is(A)
    await asyncio.sleep(2 * LASTING)
    assert ear.heard == []


async def test_a_deleted_object_tells_nothing_and_made_anew_tells_anew() -> None:
    ear = ReferenceEar()
    ear.now_is(A)
    ear.forget_object(ObjectKind.FRONTEND, WEB)
    await asyncio.sleep(2 * LASTING)
    assert ear.heard == []
    ear.now_is(A)
    await asyncio.sleep(2 * LASTING)
    assert ear.heard == [A]

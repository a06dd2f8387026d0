import asyncio
import threading

import pytest

from lab.waiting import eventually
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.inbox import Inbox
from vpplb.model.names import ObjectKind


def obj(name: str, version: int) -> JsonObject:
    return {"metadata": {"name": name, "namespace": "x", "resourceVersion": str(version)}}


class Reader:
    def __init__(self) -> None:
        self.read: list[tuple[str, str | None, str, int]] = []

    def __call__(self, kind: ObjectKind, event_type: str | None, raw: JsonObject) -> None:
        metadata = raw["metadata"]
        if metadata["name"] == "bad":
            raise ValueError("a bug")
        self.read.append((kind, event_type, metadata["name"], int(metadata["resourceVersion"])))


async def test_of_each_object_the_newest_is_read_in_the_order_of_the_news() -> None:
    reader = Reader()
    inbox = Inbox(reader)
    for kind, event_type, name, version in [
        (ObjectKind.BACKEND, "ADDED", "a", 1),
        (ObjectKind.FRONTEND, None, "a", 2),
        (ObjectKind.BACKEND, "ADDED", "b", 3),
        (ObjectKind.BACKEND, "DELETED", "a", 4),
    ]:
        inbox.put(kind, event_type, obj(name, version))
    await asyncio.sleep(0)
    assert reader.read == [
        ("Frontend", None, "a", 2),
        ("Backend", "ADDED", "b", 3),
        ("Backend", "DELETED", "a", 4),
    ]


async def test_a_reader_that_is_busy_finds_no_more_than_there_are_objects() -> None:
    """Whatever a hundred changes of ten objects leave behind: ten events."""
    reader = Reader()
    inbox = Inbox(reader)

    def change() -> None:
        for version in range(1000):
            inbox.put(ObjectKind.BACKEND, "MODIFIED", obj(f"b{version % 10}", version))

    thread = threading.Thread(target=change)
    thread.start()
    thread.join()  # the loop is busy all the time
    await asyncio.sleep(0)
    assert [version for *_, version in reader.read] == list(range(990, 1000))


async def test_nothing_is_lost_between_two_readings() -> None:
    reader = Reader()
    inbox = Inbox(reader)

    def tell() -> None:
        for version in range(2000):
            inbox.put(ObjectKind.BACKEND, "ADDED", obj(f"b{version}", version))

    thread = threading.Thread(target=tell)
    thread.start()
    await eventually(lambda: len(reader.read) == 2000, "all is read")
    assert [version for *_, version in reader.read] == list(range(2000))
    thread.join()


async def test_an_object_that_cannot_be_taken_in_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = Reader()
    inbox = Inbox(reader)
    inbox.put(ObjectKind.BACKEND, "ADDED", obj("bad", 1))
    inbox.put(ObjectKind.BACKEND, "ADDED", obj("good", 2))
    await asyncio.sleep(0)
    assert reader.read == [("Backend", "ADDED", "good", 2)]
    assert "Backend x/bad could not be taken in" in caplog.text


def test_after_the_end_of_the_loop_nothing_is_read_and_nothing_fails() -> None:
    reader = Reader()

    async def make() -> Inbox:
        return Inbox(reader)

    inbox = asyncio.run(make())
    inbox.put(ObjectKind.BACKEND, "ADDED", obj("late", 1))
    assert reader.read == []

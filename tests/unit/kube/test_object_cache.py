import asyncio
import threading
from collections.abc import Iterable, Mapping

import pytest

from lab.waiting import eventually
from vpplb.kube.api_types import JsonObject, ObjectListing
from vpplb.kube.object_cache import CacheEvent, EventInbox, ObjectCache
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject

A = ObjectKey("default", "a")


def obj(version: int, name: str = "a", *, status: Mapping[str, object] | None = None) -> JsonObject:
    metadata = {
        "name": name,
        "namespace": "default",
        "resourceVersion": str(version),
        "uid": f"uid-{name}",
        "generation": 3,
        "managedFields": [{"manager": "kubectl"}],
    }
    return {"metadata": metadata, "spec": {}} | ({"status": status} if status else {})


class ToldVersions:
    """Notes of each upsert the versions before and after, and who is said to manage its fields."""

    def __init__(self) -> None:
        self.upserts: list[tuple[int | None, int, bool]] = []

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        managed = "managedFields" in new.raw["metadata"]
        self.upserts.append((old.version if old else None, new.version, managed))

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        pass


def test_an_object_is_read_as_it_was_told_last() -> None:
    cache = ObjectCache()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(5))
    cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj(7, status={"state": "up"}))
    known = cache.get(ObjectKind.BACKEND, A)
    assert known is not None
    assert (known.key, known.version, known.uid, known.generation) == (A, 7, "uid-a", 3)
    assert known.status == {"state": "up"}
    assert cache.get(ObjectKind.FRONTEND, A) is None
    assert cache.list_keys(ObjectKind.BACKEND) == [A]
    assert cache.list_objects(ObjectKind.BACKEND) == [known]
    assert cache.newest_version(ObjectKind.BACKEND) == 7


def test_a_deleted_object_is_read_no_more() -> None:
    cache = ObjectCache()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(5))
    cache.apply_event(ObjectKind.BACKEND, "DELETED", obj(6))
    assert cache.get(ObjectKind.BACKEND, A) is None
    assert cache.list_objects(ObjectKind.BACKEND) == []


def test_who_managed_its_fields_is_told_but_not_kept() -> None:
    told = ToldVersions()
    cache, raw = ObjectCache([told]), obj(5)
    cache.apply_event(ObjectKind.BACKEND, "ADDED", raw)
    assert told.upserts == [(None, 5, True)]
    assert "managedFields" not in cache.list_objects(ObjectKind.BACKEND)[0].raw["metadata"]
    assert "managedFields" in raw["metadata"], "it may be read by another thread"


def test_a_handler_that_was_added_is_told_after_those_before_it() -> None:
    order: list[str] = []

    class Noting(ToldVersions):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
            order.append(self.name)

    cache = ObjectCache([Noting("first")])
    cache.add_handlers(Noting("second"))
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(5))
    assert order == ["first", "second"]


def test_a_version_of_a_history_that_is_over_counts_as_older_than_any() -> None:
    told = ToldVersions()
    cache = ObjectCache([told])
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(50))
    cache.reset_versions()
    known = cache.get(ObjectKind.BACKEND, A)
    assert known is not None
    assert known.version == 0
    cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj(7))
    assert told.upserts == [(None, 50, True), (0, 7, True)]
    assert cache.newest_version(ObjectKind.BACKEND) == 7


def test_an_object_that_cannot_be_taken_in_is_logged_and_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class FailingHandler(ToldVersions):
        def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
            raise ValueError("a bug")

    cache = ObjectCache([FailingHandler()])
    cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj(5))
    assert "Backend default/a could not be taken in" in caplog.text


async def test_the_answer_to_a_write_is_taken_and_its_echo_is_not() -> None:
    told = ToldVersions()
    cache = ObjectCache([told])
    cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj(7, status={"state": "up"}))
    cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj(7, status={"state": "up"}))
    assert told.upserts == [(None, 7, True)]


async def test_a_list_is_taken_whole() -> None:
    cache = ObjectCache()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(5))
    await cache.apply_listing(ObjectKind.BACKEND, None, ObjectListing([obj(8, "b")], "9"))
    assert [key.name for key in cache.list_keys(ObjectKind.BACKEND)] == ["b"]
    assert cache.newest_version(ObjectKind.BACKEND) == 9


async def test_an_event_that_comes_after_the_list_without_its_object_comes_too_late() -> None:
    cache = ObjectCache()
    await cache.apply_listing(ObjectKind.BACKEND, None, ObjectListing([obj(4, "b")], "9"))
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(8))
    assert cache.get(ObjectKind.BACKEND, A) is None
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(10))
    assert cache.get(ObjectKind.BACKEND, A) is not None


async def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    cache = ObjectCache()
    await cache.apply_listing(ObjectKind.BACKEND, "other", ObjectListing([], "9"))
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(8))
    assert cache.get(ObjectKind.BACKEND, A) is not None


async def test_a_list_of_a_history_that_is_over_says_nothing_of_what_comes() -> None:
    cache = ObjectCache()
    await cache.apply_listing(ObjectKind.BACKEND, None, ObjectListing([], "9"))
    cache.reset_versions()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(8))
    assert cache.get(ObjectKind.BACKEND, A) is not None


# --- from one thread to another ------------------------------------------------------------


class Reader:
    def __init__(self) -> None:
        self.read: list[tuple[str, str | None, str, int]] = []

    def __call__(self, events: Iterable[CacheEvent]) -> None:
        for kind, event_type, raw in events:
            metadata = raw["metadata"]
            self.read.append((kind, event_type, metadata["name"], int(metadata["resourceVersion"])))


def backend_event(event_type: str | None, version: int, name: str) -> CacheEvent:
    return CacheEvent(ObjectKind.BACKEND, event_type, obj(version, name))


def tell(inbox: EventInbox, event: CacheEvent) -> None:
    """Tell an inbox of an event as kopf does, on any thread."""
    told = {"type": event.type, "object": event.raw}
    if inbox.is_news(event.kind, told):
        with pytest.raises(StopIteration):  # it awaits nothing
            inbox.put_event(event.kind, told).send(None)


async def test_of_each_object_the_newest_is_read_in_the_order_of_the_news() -> None:
    reader = Reader()
    inbox = EventInbox(reader)
    for kind, event_type, name, version in [
        (ObjectKind.BACKEND, "ADDED", "a", 1),
        (ObjectKind.FRONTEND, None, "a", 2),
        (ObjectKind.BACKEND, "ADDED", "b", 3),
        (ObjectKind.BACKEND, "DELETED", "a", 4),
    ]:
        tell(inbox, CacheEvent(kind, event_type, obj(version, name)))
    await asyncio.sleep(0)
    assert reader.read == [
        ("Frontend", None, "a", 2),
        ("Backend", "ADDED", "b", 3),
        ("Backend", "DELETED", "a", 4),
    ]


async def test_a_deletion_told_late_does_not_hide_the_object_that_was_made_anew() -> None:
    reader = Reader()
    inbox = EventInbox(reader)
    tell(inbox, CacheEvent(ObjectKind.BACKEND, "ADDED", obj(5)))
    tell(inbox, CacheEvent(ObjectKind.BACKEND, "DELETED", obj(4)))
    await asyncio.sleep(0)
    assert reader.read == [("Backend", "ADDED", "a", 5)]


async def test_a_reader_that_is_busy_finds_no_more_than_there_are_objects() -> None:
    """Whatever a hundred changes of ten objects leave behind: ten events."""
    reader = Reader()
    inbox = EventInbox(reader)

    def change() -> None:
        for version in range(1000):
            tell(inbox, backend_event("MODIFIED", version, f"b{version % 10}"))

    thread = threading.Thread(target=change)
    thread.start()
    thread.join()  # the loop is busy all the time
    await asyncio.sleep(0)
    assert [version for *_, version in reader.read] == list(range(990, 1000))


async def test_nothing_is_lost_between_two_readings() -> None:
    reader = Reader()
    inbox = EventInbox(reader)

    def add() -> None:
        for version in range(2000):
            tell(inbox, backend_event("ADDED", version, f"b{version}"))

    thread = threading.Thread(target=add)
    thread.start()
    await eventually(lambda: len(reader.read) == 2000, "all is read")
    assert [version for *_, version in reader.read] == list(range(2000))
    thread.join()


async def test_what_is_known_already_wakes_nobody() -> None:
    """Such as the echo of our own write; but a deletion is told, whatever its version."""
    reader, cache = Reader(), ObjectCache()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(7))
    inbox = EventInbox(reader, cache.is_known)
    for event_type, version in (("MODIFIED", 6), ("MODIFIED", 7), (None, 7)):
        tell(inbox, backend_event(event_type, version, "a"))
    await asyncio.sleep(0)
    assert reader.read == []
    for kind, event_type, name, version in (
        news := [
            (ObjectKind.BACKEND, "MODIFIED", "a", 8),
            (ObjectKind.BACKEND, None, "b", 5),
            (ObjectKind.FRONTEND, None, "a", 2),
        ]
    ):
        tell(inbox, CacheEvent(kind, event_type, obj(version, name)))
    await asyncio.sleep(0)
    assert reader.read == news
    tell(inbox, backend_event("DELETED", 7, "a"))
    await asyncio.sleep(0)
    assert reader.read[-1] == ("Backend", "DELETED", "a", 7)


def test_of_a_write_under_way_only_the_echo_is_known() -> None:
    """It may come before the answer; what shows anything else is news."""
    cache, up, down = ObjectCache(), {"state": "up"}, {"state": "down"}
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(7, status=down))
    labelled = obj(8, status=up)
    labelled["metadata"]["labels"] = {"a": "b"}
    news = [
        CacheEvent(ObjectKind.BACKEND, "MODIFIED", obj(8, status=down)),
        CacheEvent(ObjectKind.BACKEND, "MODIFIED", labelled),
        CacheEvent(ObjectKind.BACKEND, "DELETED", obj(8, status=up)),
        CacheEvent(ObjectKind.BACKEND, "MODIFIED", obj(8, "b", status=up)),
        CacheEvent(ObjectKind.FRONTEND, "MODIFIED", obj(8, status=up)),
    ]
    echo = CacheEvent(ObjectKind.BACKEND, "MODIFIED", obj(8, status=up))
    with cache.awaiting_echo((ObjectKind.BACKEND, A), up):
        assert cache.is_known(echo)
        assert not any(cache.is_known(event) for event in news)
    assert not cache.is_known(echo), "the answer is read"


def test_the_echo_of_a_write_without_an_answer_is_taken_after_all() -> None:
    told = ToldVersions()
    cache = ObjectCache([told])
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(7))
    echo = CacheEvent(ObjectKind.BACKEND, "MODIFIED", obj(8, status={"state": "up"}))

    def fail() -> None:
        with cache.awaiting_echo((ObjectKind.BACKEND, A), {"state": "up"}):
            assert cache.is_known(echo)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fail()
    assert told.upserts == [(None, 7, True), (7, 8, True)]


async def test_of_what_was_left_behind_nothing_is_read() -> None:
    """A thread that hangs may go on later, and tell of a history that is over."""
    reader = Reader()
    inbox = EventInbox(reader)
    inbox.close()
    tell(inbox, backend_event("ADDED", 1, "late"))
    await asyncio.sleep(0)
    assert reader.read == []


def test_after_the_end_of_the_loop_nothing_is_read_and_nothing_fails() -> None:
    reader = Reader()

    async def make() -> EventInbox:
        return EventInbox(reader)

    inbox = asyncio.run(make())
    tell(inbox, backend_event("ADDED", 1, "late"))
    assert reader.read == []

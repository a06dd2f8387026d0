from collections.abc import Mapping

from vpplb.kube.api_resources import JsonObject
from vpplb.kube.client import Listing
from vpplb.kube.object_cache import CachedObject, ObjectCache
from vpplb.model.names import ObjectKey, ObjectKind

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


class Told:
    """Notes of each upsert the versions before and after, and who is said to manage its fields."""

    def __init__(self) -> None:
        self.upserts: list[tuple[int | None, int, bool]] = []

    def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
        managed = "managedFields" in new.raw["metadata"]
        self.upserts.append((old.version if old else None, new.version, managed))

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        pass

    def on_history_reset(self) -> None:
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
    told = Told()
    cache, raw = ObjectCache([told]), obj(5)
    cache.apply_event(ObjectKind.BACKEND, "ADDED", raw)
    assert told.upserts == [(None, 5, True)]
    assert "managedFields" not in cache.list_objects(ObjectKind.BACKEND)[0].raw["metadata"]
    assert "managedFields" in raw["metadata"], "it may be read by another thread"


def test_a_handler_that_was_added_is_told_after_those_before_it() -> None:
    order: list[str] = []

    class Noting(Told):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
            order.append(self.name)

    cache = ObjectCache([Noting("first")])
    cache.add_handler(Noting("second"))
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(5))
    assert order == ["first", "second"]


def test_a_version_of_a_history_that_is_over_counts_as_older_than_any() -> None:
    told = Told()
    cache = ObjectCache([told])
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(50))
    cache.reset_versions()
    known = cache.get(ObjectKind.BACKEND, A)
    assert known is not None
    assert known.version == 0
    cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj(7))
    assert told.upserts == [(None, 50, True), (0, 7, True)]
    assert cache.newest_version(ObjectKind.BACKEND) == 7


async def test_a_list_is_taken_whole() -> None:
    cache = ObjectCache()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(5))
    await cache.apply_listing(ObjectKind.BACKEND, None, Listing([obj(8, "b")], "9"))
    assert [key.name for key in cache.list_keys(ObjectKind.BACKEND)] == ["b"]
    assert cache.newest_version(ObjectKind.BACKEND) == 9


async def test_an_event_that_comes_after_the_list_without_its_object_comes_too_late() -> None:
    cache = ObjectCache()
    await cache.apply_listing(ObjectKind.BACKEND, None, Listing([obj(4, "b")], "9"))
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(8))
    assert cache.get(ObjectKind.BACKEND, A) is None
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(10))
    assert cache.get(ObjectKind.BACKEND, A) is not None


async def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    cache = ObjectCache()
    await cache.apply_listing(ObjectKind.BACKEND, "other", Listing([], "9"))
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(8))
    assert cache.get(ObjectKind.BACKEND, A) is not None


async def test_a_list_of_a_history_that_is_over_says_nothing_of_what_comes() -> None:
    cache = ObjectCache()
    await cache.apply_listing(ObjectKind.BACKEND, None, Listing([], "9"))
    cache.reset_versions()
    cache.apply_event(ObjectKind.BACKEND, "ADDED", obj(8))
    assert cache.get(ObjectKind.BACKEND, A) is not None

import asyncio
from collections.abc import Callable, Mapping

import pytest

from fakes.api_server import FakeApiServer
from vpplb.kube.api_health import WatchHealth
from vpplb.kube.api_types import (
    PAGE,
    ApiUnreachable,
    JsonObject,
    KubeError,
    NotFound,
    ObjectListing,
    api_error,
    key_of,
)
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.kube.object_watch import ObjectWatch
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject


def obj(name: str, version: int, namespace: str = "default") -> JsonObject:
    return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": str(version)}}


class ListingClient(FakeApiServer):
    """A server that has just what a test says; `meanwhile` happens while it answers."""

    def __init__(self) -> None:
        super().__init__()
        self._version = 1
        self.objects[ObjectKind.NAMESPACE, ObjectKey("", "x")] = {"metadata": {"name": "x"}}
        self.meanwhile: Callable[[], None] = lambda: None
        self.listed: list[tuple[str, str | None]] = []

    def have(
        self, *objects: JsonObject, version: int, kind: ObjectKind = ObjectKind.BACKEND
    ) -> None:
        """Have these objects of a kind, and no other, as of this version."""
        for one, key in [at for at in self.objects if at[0] == kind]:
            del self.objects[one, key]
        self.objects |= {(kind, key_of(raw)): raw for raw in objects}
        self._version = version

    async def ask(self, verb: str, key: ObjectKey, body: Mapping[str, object]) -> None:
        await super().ask(verb, key, body)
        self.meanwhile()

    async def list_objects(self, kind: ObjectKind, namespace: str | None = None) -> ObjectListing:
        self.listed.append((kind, namespace))
        return await super().list_objects(kind, namespace)


class ToldEvents:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        anew = " anew" if old is not None and old.version == 0 else ""
        self.events.append((f"{kind} seen{anew} at {new.version}", new.key.name))

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self.events.append((f"{kind} gone", key.name))

    def take(self) -> list[tuple[str, str]]:
        events, self.events = self.events, []
        return events


def informer(
    *kinds: ObjectKind, namespaces: tuple[str, ...] = ()
) -> tuple[ObjectInformer, ListingClient, ToldEvents]:
    server, told = ListingClient(), ToldEvents()
    cache = ObjectCache([told])
    return (
        ObjectInformer(server, kinds or (ObjectKind.BACKEND,), cache, namespaces),
        server,
        told,
    )


@pytest.fixture(autouse=True)
def begun_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Watch nothing; note why the watch was to begin anew."""
    reasons: list[str] = []

    async def run(self: ObjectWatch) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ObjectWatch, "run", run)
    monkeypatch.setattr(ObjectWatch, "begin_anew", lambda self, why: reasons.append(why))
    return reasons


async def test_an_empty_list_is_complete_too() -> None:
    one, _, told = informer()
    assert one.trouble
    await one.list_all()
    assert one.trouble == ""
    assert told.take() == []


async def test_a_long_list_lets_others_have_their_turn_while_it_is_taken_in() -> None:
    one, server, told = informer()
    server.have(*(obj(f"b{n}", 5) for n in range(2 * PAGE)), version=9)
    listing = asyncio.create_task(one.list_all())
    taken: list[int] = []
    while not listing.done():
        await asyncio.sleep(0)
        taken.append(len(told.events))
    assert PAGE in taken
    assert taken[-1] == 2 * PAGE


async def test_events_older_than_what_is_known_are_dropped() -> None:
    one, server, told = informer()
    server.have(obj("a", 5), version=9)
    await one.list_all()
    one.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj("a", 4))
    one.cache.apply_event(ObjectKind.BACKEND, None, obj("a", 5))
    one.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj("a", 11))
    assert told.take() == [("Backend seen at 5", "a"), ("Backend seen at 11", "a")]


async def test_what_a_later_list_does_not_show_is_gone() -> None:
    one, server, told = informer()
    server.have(obj("a", 5), obj("b", 6), version=9)
    await one.list_all()
    told.take()
    server.have(obj("b", 6), version=20)
    await one.list_all()
    assert told.take() == [("Backend gone", "a")]


async def test_a_list_older_than_a_new_object_does_not_remove_it() -> None:
    one, server, told = informer()
    await one.list_all()
    server.meanwhile = lambda: one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("new", 30))
    server.have(version=20)
    await one.list_all()
    assert told.take() == [("Backend seen at 30", "new")]


async def test_a_list_older_than_a_deletion_does_not_bring_the_object_back() -> None:
    one, server, told = informer()
    one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("a", 5))
    server.meanwhile = lambda: one.cache.apply_event(ObjectKind.BACKEND, "DELETED", obj("a", 12))
    server.have(obj("a", 5), version=10)
    await one.list_all()
    assert told.take() == [("Backend seen at 5", "a"), ("Backend gone", "a")]
    one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("a", 15))
    assert told.take() == [("Backend seen at 15", "a")]


async def test_namespaced_kinds_are_listed_by_namespace_and_others_whole() -> None:
    one, server, _ = informer(ObjectKind.FRONTEND, ObjectKind.DATAPLANE, namespaces=("x", "y"))
    await one.list_all()
    assert server.listed == [("Frontend", "x"), ("Frontend", "y"), ("Dataplane", None)]


async def test_a_list_of_one_namespace_removes_nothing_of_another() -> None:
    one, server, told = informer(namespaces=("x", "y"))
    one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("a", 5, "y"))
    told.take()
    server.have(obj("a", 5, "y"), version=9)
    await one.list_all()
    assert told.take() == []


FORBIDDEN = api_error(403, "Forbidden", "backends is forbidden")
NO_NAMESPACE = api_error(404, "NotFound", 'namespaces "x" not found')


async def test_a_namespace_that_is_no_more_holds_up_no_other_and_takes_its_objects_with_it() -> (
    None
):
    one, server, told = informer(namespaces=("x", "y"))
    one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("a", 5, "x"))
    told.take()
    server.faults.extend([FORBIDDEN, NO_NAMESPACE])
    server.have(obj("b", 7, "y"), version=9)
    await one.list_all()
    assert one.trouble == ""
    assert told.take() == [("Backend gone", "a"), ("Backend seen at 7", "b")]


async def test_the_watch_is_told_which_namespaces_are_gone_and_which_are_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, server, _ = informer(namespaces=("x", "y"))
    noted: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        one.watch.health,
        "note_namespace",
        lambda kind, namespace, *, gone: noted.append((namespace, gone)),
    )
    server.faults.extend([FORBIDDEN, NO_NAMESPACE])
    await one.list_all()
    assert noted == [("x", True), ("y", False)]
    noted.clear()
    await one.list_all()
    assert noted == [("x", False), ("y", False)]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([FORBIDDEN], id="it is there"),
        pytest.param([FORBIDDEN, api_error(403, "Forbidden", "no")], id="we may not ask"),
        pytest.param([FORBIDDEN, ApiUnreachable("no answer")], id="nobody answers"),
        pytest.param([api_error(500, "InternalError", "oh")], id="no refusal"),
    ],
)
async def test_a_namespace_whose_objects_are_not_shown_is_waited_for(
    answers: list[KubeError],
) -> None:
    one, server, told = informer(namespaces=("x",))
    one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("a", 5, "x"))
    told.take()
    server.faults.extend(answers)
    listing = asyncio.create_task(one.list_all())
    await asyncio.sleep(0.1)
    assert one.trouble
    assert told.take() == []
    server.have(obj("a", 5, "x"), version=9)
    await listing
    assert one.trouble == ""


@pytest.mark.looptime
async def test_lists_are_tried_until_they_succeed_and_trouble_says_why_not() -> None:
    one, server, _ = informer()
    server.faults.extend([ApiUnreachable("no answer"), NotFound(404, "NotFound", "no such page")])
    listing = asyncio.create_task(one.list_all())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert one.trouble == "no answer"
    await asyncio.sleep(0.25)
    assert "CustomResourceDefinitions" in one.trouble
    await listing
    assert one.trouble == ""


@pytest.mark.looptime
async def test_who_asks_is_told_before_a_list_is_asked_for_and_when_it_is_complete() -> None:
    server, cache, told = ListingClient(), ObjectCache(), list[str]()
    server.have(obj("a", 1), version=1)
    server.meanwhile = lambda: told.append("asked for")

    def begin() -> Callable[[], None]:
        told.append("begins")
        return lambda: told.append(f"complete with {len(cache.list_keys(ObjectKind.BACKEND))}")

    one = ObjectInformer(server, (ObjectKind.BACKEND,), cache, on_list=begin)
    server.faults.append(ApiUnreachable("away"))
    await one.list_all()
    assert told == ["begins", "begins", "asked for", "complete with 1"]


@pytest.mark.looptime
async def test_a_watch_that_begins_anew_makes_a_list() -> None:
    one, server, told = informer()
    await one.list_all()
    running = asyncio.create_task(one.run())
    one.cache.apply_event(ObjectKind.BACKEND, "ADDED", obj("ghost", 5))
    server.have(obj("a", 7), version=9)
    await asyncio.sleep(5)
    assert ("Backend gone", "ghost") not in told.take()
    one.list_soon()
    await asyncio.sleep(2)
    assert told.take() == [("Backend seen at 7", "a"), ("Backend gone", "ghost")]
    running.cancel()


@pytest.mark.looptime
async def test_a_watch_that_begins_anew_and_finds_nothing_makes_a_list_too() -> None:
    """Nothing is told by kopf then: the last object was deleted meanwhile."""
    one, server, told = informer()
    server.have(obj("last", 5), version=9)
    await one.list_all()
    running = asyncio.create_task(one.run())
    server.have(version=12)
    one.list_soon()
    await asyncio.sleep(2)
    assert told.take()[-1] == ("Backend gone", "last")
    running.cancel()


@pytest.mark.looptime
async def test_a_kind_that_was_not_there_when_the_watch_began_is_watched_once_it_is_listed(
    begun_anew: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, server, _ = informer()
    one.watch.health = WatchHealth((ObjectKind.FRONTEND, ObjectKind.BACKEND))
    asked = one.watch.health._watches["/apis/vpplb.dev/v1alpha1/frontends"]
    asked.note_request({})
    running = asyncio.create_task(one.run())
    server.faults.extend([NotFound(404, "NotFound", "no such page")])
    one.list_soon()
    await asyncio.sleep(1.05)
    assert begun_anew == []
    await asyncio.sleep(1)
    assert begun_anew == ["kopf began without a kind that is there now"]
    running.cancel()


# --- a server that was restored from a backup -------------------------------------------------


async def test_a_list_older_than_what_is_known_says_that_history_has_changed(
    begun_anew: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    one, server, told = informer(ObjectKind.FRONTEND, ObjectKind.BACKEND)
    server.have(obj("web", 90), version=100, kind=ObjectKind.FRONTEND)
    server.have(obj("a", 80), obj("b", 95), version=100)
    await one.list_all()
    one.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj("a", 150))
    told.take()
    server.have(obj("web", 60), version=70, kind=ObjectKind.FRONTEND)
    server.have(obj("a", 50), version=70)
    await one.list_all()
    assert told.take() == [
        ("Frontend seen anew at 60", "web"),
        ("Backend seen anew at 50", "a"),
        ("Backend gone", "b"),
    ]
    assert begun_anew == ["the server's history has changed"]
    assert one.trouble == ""
    assert "history has changed" in caplog.text
    one.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj("a", 75))
    assert told.take() == [("Backend seen at 75", "a")]


async def test_history_has_changed_also_where_the_server_has_counted_past_what_was_known() -> None:
    one, server, told = informer()
    server.have(obj("a", 80), version=100)
    await one.list_all()
    one.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj("a", 105))
    told.take()
    server.have(obj("a", 80), version=130)
    await one.list_all()
    assert told.take() == [("Backend seen anew at 80", "a")]


async def test_a_watch_that_went_on_from_a_later_version_than_there_is_now_is_a_sign() -> None:
    one, server, told = informer()
    server.have(obj("a", 80), version=100)
    await one.list_all()
    one.cache.note_version(ObjectKind.BACKEND, 2000)
    told.take()
    server.have(obj("a", 80), version=1500)
    await one.list_all()
    assert told.take() == [("Backend seen anew at 80", "a")]


async def test_a_change_that_comes_while_a_list_is_under_way_is_no_sign() -> None:
    one, server, told = informer()
    server.have(obj("a", 80), version=100)
    await one.list_all()
    server.meanwhile = lambda: one.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", obj("a", 110))
    await one.list_all()
    assert told.take() == [("Backend seen at 80", "a"), ("Backend seen at 110", "a")]

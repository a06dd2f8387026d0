"""What the API, the dashboard and the stream of events show of the objects."""

import asyncio
from collections.abc import Mapping

from data.manifests import Raw, backend, frontend, health_check, manifest
from data.objects import NOON, key, pool
from data.objects import backend as parsed_backend
from data.objects import frontend as parsed_frontend
from data.objects import health_check as parsed_health_check
from in_memory.world import World
from vpplb.kube.api_types import cluster_key
from vpplb.model.health import HealthState, HealthTransition
from vpplb.model.names import OWN_KINDS, ObjectKey, ObjectKind
from vpplb.standalone.local_statuses import LocalObjects
from vpplb.telemetry.event_stream import EventStream, StreamEvent
from vpplb.telemetry.object_metrics import FrontendSample
from vpplb.telemetry.state_view import DecidedStateView


class ViewedWorld:
    def __init__(self) -> None:
        self.world, self.stream, self.objects = World(), EventStream(), LocalObjects()
        self.statuses: dict[tuple[str, ObjectKey], Raw] = {}
        self.rendered: list[str] = []
        self.view = DecidedStateView(self.objects, self.world.decided, self._render, self.stream)

    def _render(self, kind: str, name: ObjectKey) -> Mapping[str, object] | None:
        self.rendered.append(f"{kind} {name.name}")
        return self.statuses.get((kind, name))

    def forget(self, kind: ObjectKind, name: ObjectKey) -> None:
        self.view.publish_deletion(kind, name)
        self.objects.remove_object(kind, name)

    async def told(self) -> list[StreamEvent]:
        """Return what a subscriber that reads now from the beginning is told."""
        events: list[StreamEvent] = []

        async def read() -> None:
            events.extend([one async for one in self.stream.subscribe(f"{self.stream.run}-0")])

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        self.stream.close()
        await reading
        return events


def objects(view: DecidedStateView, kind: ObjectKind) -> list[object]:
    return [view.show_object(kind, name) for name in view.list_keys(kind) or ()]


def test_objects_are_shown_by_name_with_spec_and_status() -> None:
    viewed = ViewedWorld()
    viewed.statuses["Frontend", key("web")] = {"state": "up"}
    viewed.objects.put_object(
        ObjectKind.FRONTEND, key("web"), frontend(labels={"ignored": "field"})
    )
    viewed.objects.put_object(
        ObjectKind.FRONTEND, key("api"), {"metadata": {"labels": {"team": "x"}}}
    )
    assert objects(viewed.view, ObjectKind.FRONTEND) == [
        {
            "metadata": {"name": "api", "namespace": "default", "labels": {"team": "x"}},
            "spec": {},
            "status": {},
        },
        {
            "metadata": {"name": "web", "namespace": "default", "labels": {}},
            "spec": frontend(labels={"ignored": "field"})["spec"],
            "status": {"state": "up"},
        },
    ]


def test_every_kind_has_its_list() -> None:
    viewed = ViewedWorld()
    viewed.objects.put_object(ObjectKind.BACKEND, key("a"), backend())
    viewed.objects.put_object(ObjectKind.HEALTH_CHECK, key("check"), health_check())
    counts = [len(objects(viewed.view, kind)) for kind in OWN_KINDS]
    assert counts == [0, 1, 1, 0]


def test_a_dataplane_is_shown_with_the_status_that_its_agent_wrote() -> None:
    viewed = ViewedWorld()
    raw = manifest("Dataplane", "n1", {"paused": True}) | {"status": {"vpp": {"pid": 1}}}
    viewed.objects.put_object(ObjectKind.DATAPLANE, cluster_key("n1"), raw)
    assert objects(viewed.view, ObjectKind.DATAPLANE) == [
        {
            "metadata": {"name": "n1", "labels": {}},
            "spec": {"paused": True},
            "status": {"vpp": {"pid": 1}},
        }
    ]
    assert viewed.rendered == []


def test_what_is_gone_is_shown_no_more() -> None:
    viewed = ViewedWorld()
    viewed.objects.put_object(ObjectKind.BACKEND, key("a"), backend())
    viewed.forget(ObjectKind.BACKEND, key("a"))
    viewed.forget(ObjectKind.BACKEND, key("never seen"))
    assert objects(viewed.view, ObjectKind.BACKEND) == []


async def test_a_change_tells_the_object_as_it_is_when_it_is_read() -> None:
    viewed = ViewedWorld()
    viewed.objects.put_object(ObjectKind.BACKEND, key("a"), backend())
    viewed.view.publish_object(ObjectKind.BACKEND, key("a"))
    viewed.statuses["Backend", key("a")] = {"state": "down"}
    viewed.view.publish_object(ObjectKind.BACKEND, key("a"))
    viewed.statuses["Backend", key("a")] = {"state": "up"}
    [event] = await viewed.told()
    assert event.type == "backend"
    told = event.data["object"]
    assert isinstance(told, Mapping)
    assert told["status"] == {"state": "up"}


async def test_an_object_that_is_deleted_before_it_is_read_is_told_as_deleted() -> None:
    viewed = ViewedWorld()
    viewed.objects.put_object(ObjectKind.FRONTEND, key("web"), frontend())
    viewed.view.publish_object(ObjectKind.FRONTEND, key("web"))
    viewed.forget(ObjectKind.FRONTEND, key("web"))
    [event] = await viewed.told()
    assert event.data["deleted"] is True
    metadata = event.data["object"]
    assert isinstance(metadata, Mapping)
    assert metadata["metadata"]["name"] == "web"


async def test_only_frontends_and_backends_that_are_there_are_told() -> None:
    viewed = ViewedWorld()
    viewed.objects.put_object(ObjectKind.HEALTH_CHECK, key("check"), health_check())
    viewed.view.publish_object(ObjectKind.HEALTH_CHECK, key("check"))
    viewed.view.publish_object(ObjectKind.BACKEND, key("never seen"))
    viewed.forget(ObjectKind.HEALTH_CHECK, key("check"))
    assert await viewed.told() == []


async def test_the_backends_of_a_frontend_are_those_of_all_its_pools_each_once() -> None:
    viewed = ViewedWorld()
    viewed.world.put(
        parsed_health_check(),
        *(parsed_backend(name, f"10.0.0.{n}") for n, name in enumerate("abc", 1)),
        parsed_frontend("web", pool("p", b=10, a=10), pool("q", b=10)),
    )
    assert viewed.view.list_members(key("web")) == [key("a"), key("b")]
    assert viewed.view.list_members(key("none")) == []


async def test_transitions_and_removals_are_told_with_the_frontends_they_concern() -> None:
    viewed = ViewedWorld()
    viewed.world.put(
        parsed_health_check(),
        parsed_backend("a", "10.0.0.1"),
        parsed_frontend("web", pool("p", a=10)),
    )
    viewed.view.publish_transition(
        HealthTransition(
            backend=key("a"),
            from_state=HealthState.UP,
            to_state=HealthState.DOWN,
            at=NOON,
            code="L4CON",
            detail="connection refused",
        )
    )
    viewed.view.publish_removal(key("a"), key("web"))
    first, second = await viewed.told()
    assert (first.type, dict(first.data)) == (
        "transition",
        {
            "backend": "default/a",
            "from": "up",
            "to": "down",
            "at": "2026-01-01T12:00:00+00:00",
            "code": "L4CON",
            "detail": "connection refused",
            "frontends": ["default/web"],
        },
    )
    assert (second.type, dict(second.data)) == (
        "removed",
        {"backend": "default/a", "frontend": "default/web"},
    )


async def test_metrics_see_every_backend_and_the_weights_of_every_frontend() -> None:
    viewed = ViewedWorld()
    viewed.world.put(
        parsed_health_check(),
        parsed_backend("a", "10.0.0.1"),
        parsed_backend("idle", "10.0.0.9"),
        parsed_frontend("web", pool("p", a=10)),
    )
    viewed.world.verdict("a", up=True)
    [used, idle] = sorted(viewed.view.iter_backends())
    assert used == (key("a"), HealthState.UP, viewed.world.decided.backends[key("a")].health.since)
    assert idle == (key("idle"), HealthState.UNKNOWN, NOON)
    assert list(viewed.view.iter_frontends()) == [
        FrontendSample(key("web"), "up", [("p", "a", 10)], ["p"], "p", {HealthState.UP: 1})
    ]


async def test_metrics_see_the_pool_that_serves_and_each_backend_once() -> None:
    viewed = ViewedWorld()
    backends = [parsed_backend(name, f"10.0.0.{n}") for n, name in enumerate("abc", 1)]
    viewed.world.put(
        parsed_health_check(),
        *backends,
        parsed_frontend("web", pool("first", a=10, b=10), pool("later", b=1, c=1)),
    )
    for name, up in (("a", False), ("b", False), ("c", True)):
        viewed.world.verdict(name, up=up)
    [sample] = viewed.view.iter_frontends()
    assert (list(sample.pools), sample.active_pool) == (["first", "later"], "later")
    assert sample.backends == {HealthState.DOWN: 2, HealthState.UP: 1}


def test_values_of_headers_are_never_shown() -> None:
    viewed = ViewedWorld()
    headers = [{"name": "Authorization", "value": "Bearer s3cret"}, {"name": "X-A"}, "odd"]
    raw = health_check(type="HTTP", http={"path": "/x", "headers": headers})
    viewed.objects.put_object(ObjectKind.HEALTH_CHECK, key("check"), raw)
    [shown] = objects(viewed.view, ObjectKind.HEALTH_CHECK)
    assert "s3cret" not in str(shown)
    assert isinstance(shown, dict)
    assert shown["spec"]["http"] == {
        "path": "/x",
        "headers": [{"name": "Authorization", "value": "(hidden)"}, {"name": "X-A"}, "(hidden)"],
    }
    assert "s3cret" in str(raw), "what the user wrote is left as it is"


def test_who_uses_a_health_check_is_told_of_its_namespace_alone() -> None:
    viewed = ViewedWorld()
    specs: dict[str, object] = {
        "a": {"healthCheckRef": {"name": "http"}},
        "b": {"healthCheckRef": {"name": "other"}},
        "c": {"healthCheckRef": "http"},
        "d": None,
    }
    for name, spec in specs.items():
        viewed.objects.put_object(ObjectKind.BACKEND, key(name), {"metadata": {}, "spec": spec})
    elsewhere = ObjectKey("bank", "a")
    viewed.objects.put_object(ObjectKind.BACKEND, elsewhere, {"spec": specs["a"]})
    assert viewed.view.list_users(key("http")) == [key("a")]

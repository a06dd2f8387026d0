"""Agents that let statuses say that nobody probes: when, how much, and when they leave it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pytest

from data.cluster_objects import decided_backend, decided_frontend
from data.objects import key
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from vpplb.agent.operator_observer import LOST_AFTER, SILENT_AFTER, OperatorObserver
from vpplb.agent.silence_marker import BEGIN_AFTER, LOOK_EVERY, SPREAD, WORK, SilenceMarker
from vpplb.kube.api_types import ApiError
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stale_status import is_stale

pytestmark = pytest.mark.looptime

LEASE = ObjectKey("kube-system", "vpplb-operator")
SILENT = LOST_AFTER + SILENT_AFTER + 30
MARKED = SILENT + BEGIN_AFTER + SPREAD + 4 * LOOK_EVERY + 2 * WORK
"""Seconds until all agents have begun, and one of them has ended."""


class SilentCluster:
    """A server with frontends and their backends, whose last operator renews no lease any more."""

    def __init__(self, frontends: int = 1, *, has_lease: bool = True) -> None:
        self.server = FakeApiServer()
        self.names = [key(f"web{n}") for n in range(frontends)]
        for name in self.names:
            made = self.server.add(ObjectKind.FRONTEND, name, decided_frontend()["status"])
            made["spec"] = decided_frontend()["spec"]
        self.backend = key("a")
        self.server.add(
            ObjectKind.BACKEND, self.backend, decided_backend("a", "10.0.0.1", "up")["status"]
        )
        if has_lease:
            self.renew()

    def renew(self, minute: int = 0) -> None:
        lease = self.server.add(ObjectKind.LEASE, LEASE, {})
        renewed = f"2026-01-01T12:{minute:02}:00Z"
        lease["spec"] = {"holderIdentity": "op_1", "renewTime": renewed}

    @property
    def stale(self) -> int:
        """How many frontends say that nobody probes."""
        return sum(is_stale(self.server.status(ObjectKind.FRONTEND, one)) for one in self.names)

    def is_backend_stale(self) -> bool:
        return is_stale(self.server.status(ObjectKind.BACKEND, self.backend))

    def writes(self) -> int:
        return sum(verb == "replace_status" for verb, _, _ in self.server.requests)

    @contextmanager
    def agent(self) -> Iterator[SilenceMarker]:
        """Run what of an agent watches the operators and marks; it sees all writes at once."""
        cache = ObjectCache()
        observer = OperatorObserver(
            client=self.server,
            lease=LEASE,
            namespaces=(),
            has_road=False,
            is_led=lambda: False,
            tell=lambda heard: None,
        )
        marker = SilenceMarker(
            client=self.server,
            observer=observer,
            cache=cache,
            list_carried=lambda: self.names,
            clock=FakeClock(),
        )
        works = (observer.run(), marker.run(), self._watch(cache))
        tasks = [asyncio.create_task(one) for one in works]
        yield marker
        for task in tasks:
            task.cancel()

    async def _watch(self, cache: ObjectCache) -> None:
        seen, newest = dict[ObjectKey, str](), ""
        while True:
            names = self.names if self.server.version != newest else ()
            newest = self.server.version
            for name in names:
                raw = self.server.objects[ObjectKind.FRONTEND, name]
                if (version := raw["metadata"]["resourceVersion"]) != seen.get(name):
                    seen[name] = version
                    cache.apply_event(ObjectKind.FRONTEND, None, deepcopy(raw))
            await asyncio.sleep(0.5)


async def test_once_nobody_has_led_for_long_a_frontend_and_its_backends_say_so() -> None:
    cluster = SilentCluster()
    with cluster.agent():
        await asyncio.sleep(SILENT_AFTER + BEGIN_AFTER)
        assert (cluster.stale, cluster.is_backend_stale()) == (0, False)
        await asyncio.sleep(MARKED)
    assert (cluster.stale, cluster.is_backend_stale()) == (1, True)
    problem = str(cluster.server.status(ObjectKind.FRONTEND, cluster.names[0])["problem"])
    assert problem.startswith("Stale: as of 2026-01-01T12:00:00Z, nobody has probed since")


async def test_decisions_stay_as_they_are() -> None:
    cluster = SilentCluster()
    before = cluster.server.status(ObjectKind.FRONTEND, cluster.names[0])
    with cluster.agent():
        await asyncio.sleep(MARKED)
    after = cluster.server.status(ObjectKind.FRONTEND, cluster.names[0])
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"conditions", "problem"}


async def test_while_an_operator_renews_its_lease_nothing_is_marked() -> None:
    cluster = SilentCluster()
    with cluster.agent():
        for minute in range(1, 20):
            cluster.renew(minute)
            await asyncio.sleep(20)
    assert cluster.writes() == 0


async def test_a_lease_that_was_never_there_tells_nothing() -> None:
    cluster = SilentCluster(has_lease=False)
    with cluster.agent():
        await asyncio.sleep(2 * MARKED)
    assert cluster.writes() == 0


async def test_of_many_agents_few_work_and_nothing_is_written_twice() -> None:
    cluster = SilentCluster(frontends=40)
    running = [cluster.agent() for _ in range(8)]
    for one in running:
        one.__enter__()
    await asyncio.sleep(2 * MARKED)
    assert cluster.stale == 40
    tried = cluster.writes()
    await asyncio.sleep(MARKED)
    assert tried == cluster.writes() <= 41 * 1.3
    for one in running:
        one.__exit__(None, None, None)


async def test_an_operator_that_is_back_stops_it_though_much_is_left() -> None:
    cluster = SilentCluster(frontends=300)
    with cluster.agent():
        while not cluster.stale:  # noqa: ASYNC110 (what is waited for signals nothing)
            await asyncio.sleep(1)
        cluster.renew(59)
        await asyncio.sleep(2)
        stale = cluster.stale
        await asyncio.sleep(60)
        assert cluster.stale == stale < 300


async def test_whoever_takes_a_mark_away_is_an_operator_and_nothing_more_is_marked() -> None:
    cluster = SilentCluster(frontends=3)
    with cluster.agent():
        await asyncio.sleep(MARKED)
        kept = decided_frontend()["status"]
        assert cluster.stale == 3
        cluster.server.add(ObjectKind.FRONTEND, cluster.names[0], kept)
        await asyncio.sleep(MARKED)
    assert cluster.stale == 2


async def test_without_the_right_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = SilentCluster()
    cluster.server.refuse = lambda name: ApiError(403) if name == cluster.backend else None
    with cluster.agent():
        await asyncio.sleep(2 * MARKED)
    said = [one for one in caplog.records if "not marked as old" in one.getMessage()]
    assert [one.levelname for one in said].count("WARNING") == 1
    assert cluster.stale == 0

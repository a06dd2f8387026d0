"""What is noted of requests, and of watches on a server that answers as told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from fakes.api_http import answering
from vpplb.kube import api_health as module
from vpplb.kube.api_health import RequestHealth, WatchHealth
from vpplb.kube.api_types import RESOURCES
from vpplb.kube.client import open_session
from vpplb.kube.cluster_access import ClusterAccess
from vpplb.model.names import ObjectKind

BACKENDS = RESOURCES[ObjectKind.BACKEND].collection_path()
WATCH = {"watch": "true"}


@dataclass
class WatchedHealth:
    """Streams whose clock is set by hand, and what reaches the server."""

    server: str = ""
    now: float = 100.0
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    doubts: int = 0
    distrusted: list[str] = field(default_factory=list)
    versions: list[tuple[str, int]] = field(default_factory=list)

    def health(self, *kinds: ObjectKind, namespaces: tuple[str, ...] = ()) -> WatchHealth:
        def doubt() -> None:
            self.doubts += 1

        return WatchHealth(
            kinds or (ObjectKind.BACKEND,),
            namespaces,
            doubt,
            self.distrusted.append,
            lambda kind, version: self.versions.append((RESOURCES[kind].plural, version)),
            clock=lambda: self.now,
        )

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        self.tokens.append(request.headers["Authorization"])
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            await asyncio.sleep(10)
        return web.Response(body=b"{}", status=status, content_type="application/json")

    @asynccontextmanager
    async def session(self, health: WatchHealth) -> AsyncIterator[aiohttp.ClientSession]:
        async def auth_headers() -> Mapping[str, str]:
            return {"Authorization": f"Bearer {len(self.tokens)}"}

        access = ClusterAccess(server=self.server, auth_headers=auth_headers)
        async with open_session(access, health.observe) as session:
            yield session

    async def get(
        self, session: aiohttp.ClientSession, path: str = BACKENDS, query: Mapping[str, str] = WATCH
    ) -> int:
        async with session.get(self.server + path, params=query) as response:
            return response.status


@pytest.fixture
async def watched() -> AsyncIterator[WatchedHealth]:
    made = WatchedHealth()
    async with answering(made.answer) as made.server:
        yield made


async def test_an_answered_watch_is_alive(watched: WatchedHealth) -> None:
    health = watched.health()
    watched.now += 7
    assert health.ages() == {"backends": 7}
    async with watched.session(health) as session:
        assert await watched.get(session) == 200
    assert health.ages() == {"backends": 0}
    watched.now += 3
    assert health.ages() == {"backends": 3}


async def test_the_age_of_a_kind_is_that_of_its_oldest_namespace(watched: WatchedHealth) -> None:
    health = watched.health(ObjectKind.BACKEND, ObjectKind.DATAPLANE, namespaces=("x", "y"))
    watched.now += 5
    async with watched.session(health) as session:
        await watched.get(session, RESOURCES[ObjectKind.BACKEND].collection_path("x"))
        await watched.get(session, RESOURCES[ObjectKind.DATAPLANE].collection_path())
        assert health.ages() == {"backends": 5, "dataplanes": 0}
        await watched.get(session, RESOURCES[ObjectKind.BACKEND].collection_path("y"))
    assert health.ages() == {"backends": 0, "dataplanes": 0}


async def test_a_namespace_that_is_gone_is_missed_by_nobody_until_it_is_back(
    watched: WatchedHealth,
) -> None:
    health = watched.health(namespaces=("x", "y"))
    x, y = (RESOURCES[ObjectKind.BACKEND].collection_path(name) for name in ("x", "y"))
    async with watched.session(health) as session:
        await watched.get(session, x)
        watched.statuses = [500, 403, 403]
        await watched.get(session, y)
        assert watched.doubts == 0
        await watched.get(session, y)
        assert watched.doubts == 1, "a list finds out whether it is gone"
        await watched.get(session, y)
        assert watched.doubts == 1, "once is enough"
        watched.now += 61
        await watched.get(session, x)
        health.judge_ages(60)
        assert "(403 Forbidden)" in health.trouble
        health.note_namespace(ObjectKind.BACKEND, "y", gone=True)
        health.judge_ages(60)
        assert (health.trouble, health.ages()) == ("", {"backends": 0})
        health.note_namespace(ObjectKind.BACKEND, "x", gone=True)
        health.judge_ages(60)
        assert (health.trouble, health.ages()) == ("", {})
        await watched.get(session, y)
        watched.now += 61
        health.judge_ages(60)
    assert health.trouble == "no answer to the watch of backends for 61 s"
    assert health.ages() == {"backends": 61}


async def test_a_failure_is_no_answer_and_says_what_is_wrong(watched: WatchedHealth) -> None:
    health = watched.health(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    watched.now += 61
    async with watched.session(health) as session:
        await watched.get(session, RESOURCES[ObjectKind.FRONTEND].collection_path())
        watched.statuses = [429]
        await watched.get(session)
    assert health.ages() == {"backends": 61, "frontends": 0}
    health.judge_ages(61)
    assert health.trouble == ""
    health.judge_ages(60)
    told = "no answer to the watch of backends for 61 s (429 Too Many Requests)"
    assert health.trouble == told


@pytest.mark.looptime
async def test_a_server_that_takes_a_request_and_says_nothing_is_not_waited_for(
    watched: WatchedHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.05)
    health = watched.health()
    watched.statuses = [0]
    watched.now += 9
    async with watched.session(health) as session:
        with pytest.raises(TimeoutError):
            await watched.get(session)
    health.judge_ages(1)
    assert health.trouble == "no answer to the watch of backends for 9 s (no answer)"
    assert health.silence() == 0, "it was asked"


async def test_silence_is_of_the_stream_that_was_forgotten(watched: WatchedHealth) -> None:
    health = watched.health(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    watched.now += 4
    async with watched.session(health) as session:
        await watched.get(session)
        assert health.silence() == 4
        await watched.get(session, RESOURCES[ObjectKind.FRONTEND].collection_path())
        assert health.silence() == 0


async def test_a_watch_that_begins_by_a_list_is_told_once_it_goes_on_from_there(
    watched: WatchedHealth,
) -> None:
    """What our own list shows after that is newer than kopf's list, so nothing falls between."""
    health = watched.health()
    async with watched.session(health) as session:
        assert await watched.get(session, query={"limit": "500"}) == 200
        assert watched.doubts == 0
        await watched.get(session)
        assert watched.doubts == 1
        await watched.get(session)
    assert watched.doubts == 1, "it continues what was told"


async def test_a_list_that_failed_began_nothing(watched: WatchedHealth) -> None:
    health = watched.health()
    watched.statuses = [500]
    async with watched.session(health) as session:
        assert await watched.get(session, query={}) == 500
    assert watched.doubts == 0


async def test_what_else_kopf_asks_for_is_left_alone(watched: WatchedHealth) -> None:
    health = watched.health()
    async with watched.session(health) as session:
        assert await watched.get(session, "/apis", {}) == 200
    assert watched.asked == [("/apis", {})]


async def test_a_watch_is_known_behind_a_gateway_that_puts_a_path_before_it(
    watched: WatchedHealth,
) -> None:
    health = watched.health()
    async with watched.session(health) as session:
        watched.now += 50
        await watched.get(session, f"/k8s/clusters/c-1{BACKENDS}")
    assert health.ages() == {"backends": 0}


async def test_each_request_carries_the_token_of_that_moment(watched: WatchedHealth) -> None:
    health = watched.health()
    async with watched.session(health) as session:
        for _ in range(2):
            await watched.get(session)
    assert watched.tokens == ["Bearer 0", "Bearer 1"]


async def test_a_kind_that_is_not_there_is_told_and_doubted_once_it_is_back(
    watched: WatchedHealth,
) -> None:
    health = watched.health()
    async with watched.session(health) as session:
        watched.statuses = [404, 200]
        assert await watched.get(session) == 404
        health.ending = ""  # of the next kopf it is another
        watched.now += 4
        assert health.trouble == "the watch of backends fails for 4 s (404 Not Found)"
        assert watched.doubts == 0
        assert await watched.get(session) == 200
        assert health.trouble == ""
        assert watched.doubts == 1, "it may have been made anew"


async def test_a_watch_that_is_refused_ends_all(watched: WatchedHealth) -> None:
    """There kopf gives up, but might leave the others behind."""
    health = watched.health(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    frontends = RESOURCES[ObjectKind.FRONTEND].collection_path()
    async with (
        watched.session(health) as session,
        session.get(watched.server + frontends, params=WATCH) as watch,
    ):
        for asked_again in (403, 429, 401, 500):
            watched.statuses = [asked_again]
            await watched.get(session)
        assert len(health.ending) == 0
        watched.statuses = [404]
        await watched.get(session)
        assert health.ending == "the watch of backends is refused (404 Not Found)"
        assert watch.closed
        with pytest.raises(RuntimeError, match="is refused"):
            await watched.get(session, frontends)


@pytest.mark.looptime
async def test_a_watch_that_ended_and_is_not_asked_for_again_ends_all(
    watched: WatchedHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVEN_UP", 0.1)
    health = watched.health(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    waiting = asyncio.create_task(health.wait_given_up())
    async with watched.session(health) as session:
        for _ in range(8):
            await watched.get(session)
            await asyncio.sleep(0.04)
        await watched.get(session, query={})
        await asyncio.sleep(0.3)
        assert not waiting.done(), "what it lists keeps it busy"
        await watched.get(session)
        await waiting
    assert health.ending == "kopf has given the watch of backends up"


async def test_a_kind_that_is_not_asked_for_while_others_are_was_not_there(
    watched: WatchedHealth,
) -> None:
    health = watched.health(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    assert not health.is_partial()
    async with watched.session(health) as session:
        await watched.get(session)
        assert health.is_partial()
        await watched.get(session, RESOURCES[ObjectKind.FRONTEND].collection_path())
    assert not health.is_partial()


async def test_where_nothing_is_asked_for_in_a_while_nothing_was_there(
    watched: WatchedHealth,
) -> None:
    health = watched.health()
    watched.now += module.ANSWER_TIMEOUT
    assert not health.is_partial()
    watched.now += 1
    assert health.is_partial()


@pytest.mark.parametrize(("lasted", "doubted"), [(1, 1), (27, 1), (28, 0), (30, 0)])
async def test_a_watch_that_ends_before_its_time_is_doubted(
    watched: WatchedHealth, lasted: float, doubted: int
) -> None:
    health = watched.health()
    async with watched.session(health) as session:
        query = {**WATCH, "timeoutSeconds": "30"}
        await watched.get(session, query=query)
        watched.now += lasted
        await watched.get(session, query=query)
    assert watched.doubts == doubted


async def test_the_version_that_a_watch_goes_on_from_is_told(watched: WatchedHealth) -> None:
    async with watched.session(watched.health()) as session:
        await watched.get(session, query={**WATCH, "resourceVersion": "2000"})
    assert watched.versions == [("backends", 2000)]


async def test_a_version_too_large_for_the_server_is_doubted(watched: WatchedHealth) -> None:
    async with watched.session(watched.health()) as session:
        watched.statuses = [504]
        await watched.get(session, query={**WATCH, "resourceVersion": "2000"})
    assert watched.doubts == 1


def test_a_failure_is_told_once_it_has_lasted_and_until_an_answer() -> None:
    now = [100.0]
    health = RequestHealth(clock=lambda: now[0])
    assert health.trouble == ""
    health.note_failure("connection refused")
    assert health.trouble == ""
    now[0] += 2
    health.note_failure("401 Unauthorized")
    now[0] += 2
    assert health.trouble == "requests fail for 4 s: 401 Unauthorized"
    assert health.age() == 4
    health.note_answer()
    assert health.trouble == ""
    assert health.age() == 0

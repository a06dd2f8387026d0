"""What a session tells of the watches that go through it, on a server that answers as told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from vpplb.kube import streams as module
from vpplb.kube.api_resources import RESOURCES
from vpplb.kube.cluster_access import Access
from vpplb.kube.echoes import Echoes
from vpplb.kube.streams import Streams
from vpplb.model.names import ObjectKind

BACKENDS = RESOURCES[ObjectKind.BACKEND].collection_path()
WATCH = {"watch": "true"}
ECHO, NEWS = (
    b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"%d","uid":"u"}}}\n' % version
    for version in (7, 8)
)


@dataclass
class Bench:
    """Streams whose clock is set by hand, and what reaches the server."""

    server: str = ""
    now: float = 100.0
    statuses: list[int] = field(default_factory=list)
    body: bytes = b"{}"
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    anew: int = 0
    reached: list[tuple[str, int]] = field(default_factory=list)
    echoes: Echoes = field(default_factory=Echoes)

    def streams(self, *kinds: ObjectKind, namespaces: tuple[str, ...] = ()) -> Streams:
        def doubtful() -> None:
            self.anew += 1

        return Streams(
            kinds or (ObjectKind.BACKEND,),
            namespaces,
            continues=lambda path: self.versions.pop(path, ""),
            doubtful=doubtful,
            echoes=self.echoes,
            reached=lambda kind, version: self.reached.append((RESOURCES[kind].plural, version)),
            clock=lambda: self.now,
        )

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        self.tokens.append(request.headers["Authorization"])
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            await asyncio.sleep(10)
        return web.Response(body=self.body, status=status, content_type="application/json")

    @asynccontextmanager
    async def session(self, streams: Streams) -> AsyncIterator[aiohttp.ClientSession]:
        async def auth_headers() -> Mapping[str, str]:
            return {"Authorization": f"Bearer {len(self.tokens)}"}

        yield streams.session(Access(server=self.server, auth_headers=auth_headers))
        await streams.close()

    async def get(
        self, session: aiohttp.ClientSession, path: str = BACKENDS, query: Mapping[str, str] = WATCH
    ) -> int:
        async with session.get(self.server + path, params=query) as response:
            return response.status


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    server = web.Server(made.answer)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_an_answered_watch_is_alive(bench: Bench) -> None:
    streams = bench.streams()
    bench.now += 7
    assert streams.ages() == {"backends": 7}
    async with bench.session(streams) as session:
        assert await bench.get(session) == 200
    assert streams.ages() == {"backends": 0}
    bench.now += 3
    assert streams.ages() == {"backends": 3}


async def test_the_age_of_a_kind_is_that_of_its_oldest_namespace(bench: Bench) -> None:
    streams = bench.streams(ObjectKind.BACKEND, ObjectKind.DATAPLANE, namespaces=("x", "y"))
    bench.now += 5
    async with bench.session(streams) as session:
        await bench.get(session, RESOURCES[ObjectKind.BACKEND].collection_path("x"))
        await bench.get(session, RESOURCES[ObjectKind.DATAPLANE].collection_path())
        assert streams.ages() == {"backends": 5, "dataplanes": 0}
        await bench.get(session, RESOURCES[ObjectKind.BACKEND].collection_path("y"))
    assert streams.ages() == {"backends": 0, "dataplanes": 0}


async def test_a_failure_is_no_answer_and_says_what_is_wrong(bench: Bench) -> None:
    streams = bench.streams(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    bench.now += 61
    async with bench.session(streams) as session:
        await bench.get(session, RESOURCES[ObjectKind.FRONTEND].collection_path())
        bench.statuses = [429]
        await bench.get(session)
    assert streams.ages() == {"backends": 61, "frontends": 0}
    assert streams.late(61) == ""
    told = "no answer to the watch of backends for 61 s (429 Too Many Requests)"
    assert streams.late(60) == told


async def test_a_server_that_takes_a_request_and_says_nothing_is_not_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.05)
    streams = bench.streams()
    bench.statuses = [0]
    bench.now += 9
    async with bench.session(streams) as session:
        with pytest.raises(TimeoutError):
            await bench.get(session)
    assert streams.late(1) == "no answer to the watch of backends for 9 s (no answer)"
    assert streams.silence() == 0, "it was asked"


async def test_silence_is_of_the_stream_that_was_forgotten(bench: Bench) -> None:
    streams = bench.streams(ObjectKind.BACKEND, ObjectKind.FRONTEND)
    bench.now += 4
    async with bench.session(streams) as session:
        await bench.get(session)
        assert streams.silence() == 4
        await bench.get(session, RESOURCES[ObjectKind.FRONTEND].collection_path())
        assert streams.silence() == 0


async def test_a_watch_continues_the_informer_s_list(bench: Bench) -> None:
    streams = bench.streams()
    bench.versions = {BACKENDS: "42"}
    async with bench.session(streams) as session:
        assert await bench.get(session, query={}) == 200
    nothing_at_42 = {
        "fieldSelector": "metadata.name=-",
        "resourceVersion": "42",
        "resourceVersionMatch": "Exact",
    }
    assert bench.asked == [(BACKENDS, nothing_at_42)]
    assert bench.anew == 0


@pytest.mark.parametrize("expired", [True, False])
async def test_a_watch_that_continues_nothing_is_told(bench: Bench, expired: bool) -> None:
    streams = bench.streams()
    if expired:
        bench.versions, bench.statuses = {BACKENDS: "42"}, [410]
    async with bench.session(streams) as session:
        assert await bench.get(session, query={}) == 200
    assert bench.asked[-1] == (BACKENDS, {"fieldSelector": "metadata.name=-"})
    assert bench.anew == 1


async def test_a_list_that_failed_began_nothing(bench: Bench) -> None:
    streams = bench.streams()
    bench.statuses = [500]
    async with bench.session(streams) as session:
        assert await bench.get(session, query={}) == 500
    assert bench.anew == 0


async def test_what_else_kopf_asks_for_is_left_alone(bench: Bench) -> None:
    streams = bench.streams()
    async with bench.session(streams) as session:
        assert await bench.get(session, "/apis", {}) == 200
    assert bench.asked == [("/apis", {})]


async def test_each_request_carries_the_token_of_that_moment(bench: Bench) -> None:
    streams = bench.streams()
    async with bench.session(streams) as session:
        for _ in range(2):
            await bench.get(session)
    assert bench.tokens == ["Bearer 0", "Bearer 1"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (WATCH, b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n' + NEWS),
        ({}, ECHO + NEWS),
    ],
    ids=["watch", "list"],
)
async def test_a_watch_comes_without_echoes_and_a_list_as_it_is(
    bench: Bench, query: Mapping[str, str], told: bytes
) -> None:
    streams = bench.streams()
    bench.body = ECHO + NEWS
    bench.echoes.expect("7", "u")
    async with (
        bench.session(streams) as session,
        session.get(bench.server + BACKENDS, params=query) as response,
    ):
        assert b"".join([chunk async for chunk in response.content.iter_chunked(99)]) == told


async def test_a_kind_that_is_not_there_is_asked_for_again(bench: Bench) -> None:
    streams = bench.streams()
    async with bench.session(streams) as session:
        bench.statuses = [404, 200]
        assert await bench.get(session) == 503, "kopf gives up after a 404"
        bench.now += 4
        assert streams.failing(3) == "the watch of backends fails for 4 s (404 Not Found)"
        assert bench.anew == 0
        assert await bench.get(session) == 200
        assert streams.failing(3) == ""
        assert bench.anew == 1, "it may have been made anew"


@pytest.mark.parametrize(("lasted", "doubted"), [(1, 1), (27, 1), (28, 0), (30, 0)])
async def test_a_watch_that_ends_before_its_time_is_doubted(
    bench: Bench, lasted: float, doubted: int
) -> None:
    streams = bench.streams()
    async with bench.session(streams) as session:
        query = {**WATCH, "timeoutSeconds": "30"}
        async with session.get(bench.server + BACKENDS, params=query) as response:
            bench.now += lasted
            async for _ in response.content.iter_chunked(1000):
                pass
    assert bench.anew == doubted


async def test_the_version_that_a_watch_goes_on_from_is_told(bench: Bench) -> None:
    async with bench.session(bench.streams()) as session:
        await bench.get(session, query={**WATCH, "resourceVersion": "2000"})
    assert bench.reached == [("backends", 2000)]


async def test_a_version_too_large_for_the_server_is_doubted(bench: Bench) -> None:
    async with bench.session(bench.streams()) as session:
        bench.statuses = [504]
        await bench.get(session, query={**WATCH, "resourceVersion": "2000"})
    assert bench.anew == 1

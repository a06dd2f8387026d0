import asyncio
import base64
import hashlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from yarl import URL

from lab.waiting import eventually
from vpplb import __version__
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.telemetry import http
from vpplb.telemetry.allowed_hosts import is_own_host
from vpplb.telemetry.connections import ConnectionGuard
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http import CannotListen, Check, HttpServer, PageUnavailable
from vpplb.telemetry.http_readers import StaleReason

pytestmark = pytest.mark.looptime

WEB: Mapping[str, object] = {
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"port": 80},
}


class View:
    """Objects by kind; `written` counts how often one was shown."""

    def __init__(self) -> None:
        self.written = 0
        self.all: dict[ObjectKind, dict[ObjectKey, Mapping[str, object]]] = {
            ObjectKind.FRONTEND: {ObjectKey("shop", "web"): WEB},
            ObjectKind.BACKEND: {},
            ObjectKind.DATAPLANE: {ObjectKey("", "node-1"): {"metadata": {"name": "node-1"}}},
        }

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return sorted(self.all[kind])

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        return sorted(
            key for key in self.all[ObjectKind.BACKEND] if key.namespace == frontend.namespace
        )

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        return [ObjectKey(health_check.namespace, name) for name in ("b1", "b3")]

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        self.written += 1
        return self.all[kind].get(key)


@asynccontextmanager
async def serving(
    *,
    checks: Mapping[str, Check] | None = None,
    alive: Mapping[str, Check] | None = None,
    facts: Mapping[str, Callable[[], str]] | None = None,
    stream: EventStream | None = None,
    dashboard: bool = True,
    view: View | None = None,
    hosts: Sequence[str] = (),
    guard: ConnectionGuard | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    server = HttpServer(
        address="127.0.0.1:0",
        metrics=lambda: [b"vpplb_leader 1\n"],
        checks=checks or {},
        alive=alive or {},
        facts=facts or {},
        figures=lambda: {"writes_due": 3},
        view=view or View(),
        hosts=hosts,
        guard=guard or ConnectionGuard(),
        stream=stream,
        dashboard=dashboard,
    )
    async with server, aiohttp.ClientSession(f"http://{server.listen_address}") as session:
        yield session


async def fetch(session: aiohttp.ClientSession, path: str) -> tuple[int, object]:
    async with session.get(URL(path, encoded=True)) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        "nonsense",
    ],
)
async def test_metrics_are_served_in_prometheus_s_text_format(accept: str) -> None:
    """Whoever would rather have OpenMetrics reads this as well, by its type."""
    headers = {"Accept": accept}
    async with serving() as session, session.get("/metrics", headers=headers) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert await response.text() == "vpplb_leader 1\n"


async def test_a_program_is_ready_when_all_its_checks_say_so() -> None:
    reasons: dict[str, str | None] = {"vpp": "not connected", "objects": None}
    checks: dict[str, Check] = {
        "vpp": lambda: reasons["vpp"],
        "objects": lambda: reasons["objects"],
    }
    async with serving(checks=checks) as session:
        assert await fetch(session, "/readyz") == (
            503,
            {
                "ready": False,
                "checks": {"vpp": False, "objects": True},
                "notReady": {"vpp": "not connected"},
                "figures": {"writes_due": 3},
                "version": __version__,
            },
        )
        reasons["vpp"] = None
        status, body = await fetch(session, "/readyz")
        assert status == 200
        assert isinstance(body, dict)
        assert body["checks"] == {"vpp": True, "objects": True}
        assert (body["ready"], body["notReady"]) == (True, {})


async def test_readiness_says_the_facts_as_they_are_now() -> None:
    role = "standby"
    async with serving(facts={"role": lambda: role}) as session:
        for role in ("standby", "leading"):
            _, body = await fetch(session, "/readyz")
            assert isinstance(body, dict)
            assert (body["ready"], body["role"]) == (True, role)


async def test_readiness_names_the_run_whose_events_are_told() -> None:
    stream = EventStream()
    async with serving(stream=stream) as session:
        _, body = await fetch(session, "/readyz")
    assert isinstance(body, dict)
    assert stream.last_id.startswith(body["run"])


async def test_a_program_that_is_not_ready_is_alive() -> None:
    async with serving(checks={"vpp": lambda: "gone"}) as session:
        assert (await fetch(session, "/healthz"))[0] == 200


async def test_a_program_is_not_alive_when_only_a_new_process_helps() -> None:
    alive: dict[str, Check] = {"watch": lambda: "3 threads hang", "probers": lambda: None}
    async with serving(alive=alive) as session:
        assert await fetch(session, "/healthz") == (
            503,
            {
                "alive": False,
                "checks": {"watch": False, "probers": True},
                "notAlive": {"watch": "3 threads hang"},
                "figures": {"writes_due": 3},
            },
        )


async def test_figures_are_given_in_any_case() -> None:
    async with serving() as session:
        for path, said in {"/healthz": "alive", "/readyz": "ready"}.items():
            status, body = await fetch(session, path)
            assert isinstance(body, dict)
            assert (status, body[said], body["figures"]) == (200, True, {"writes_due": 3})


async def test_objects_are_served_as_lists_and_one_by_one() -> None:
    async with serving() as session:
        assert await fetch(session, "/api/v1/frontends") == (200, {"items": [WEB]})
        assert await fetch(session, "/api/v1/frontends/shop/web") == (200, WEB)
        assert await fetch(session, "/api/v1/backends") == (200, {"items": []})
        assert (await fetch(session, "/api/v1/dataplanes/node-1"))[0] == 200


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/api/v1/frontends/shop/none", "no such object: shop/none"),
        ("/api/v1/frontends/web", "no such object: web (give namespace/name)"),
        ("/api/v1/nonsense", "Not Found"),
        ("/nowhere", "Not Found"),
        ("/api/v1/frontends/x%0d%0aA:b", "no such object: x\r\nA:b (give namespace/name)"),
        ("/api/v1/frontends/%1b/%e2%80%ae", "no such object: \x1b/\u202e"),
    ],
)
async def test_what_is_not_there_is_a_404_in_json(path: str, error: str) -> None:
    async with serving() as session:
        assert await fetch(session, path) == (404, {"error": error})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(method: str) -> None:
    async with serving() as session:
        for path in ("/api/v1/frontends", "/api/v1/frontends/shop/web", "/metrics", "/"):
            async with session.request(method, path) as response:
                assert response.status == 405
                assert "GET" in response.headers["Allow"]
                assert "error" in await response.json()


async def test_head_answers_as_get_does_without_a_body() -> None:
    async with serving(stream=EventStream()) as session:
        for path in ("/metrics", "/healthz", "/readyz", "/", "/api/v1/frontends", "/api/v1/events"):
            async with session.head(path) as response:
                assert response.status == 200
                assert await response.read() == b""


async def test_answers_are_not_cached_sniffed_or_framed() -> None:
    async with serving(stream=EventStream()) as session:
        for path in ("/metrics", "/nowhere", "/", "/api/v1/frontends", "/api/v1/events"):
            async with session.head(path) as response:
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy


async def test_the_dashboard_needs_nothing_from_outside_and_its_policy_lets_it_run() -> None:
    async with serving() as session, session.get("/") as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]
    markup = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)\s*=\s*"([^"]*)""", markup) == ["data:,"]
    assert not re.search(r"""https?://|\bon\w+="|style=\"""", markup)
    for tag in ("script", "style"):
        [content] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


async def test_a_program_without_a_dashboard_has_nothing_at_the_root() -> None:
    async with serving(dashboard=False) as session:
        assert (await fetch(session, "/"))[0] == 404


async def sse(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Read one block of the stream."""
    block = (await response.content.readuntil(b"\n\n")).decode().strip()
    return dict(line.split(": ", 1) for line in block.splitlines())


async def test_events_are_told_as_they_happen_and_can_be_continued() -> None:
    stream = EventStream()
    async with serving(stream=stream) as session:
        async with session.get("/api/v1/events") as response:
            assert response.content_type == "text/event-stream"
            assert "Content-Encoding" not in response.headers, "packed they would wait for more"
            place = (await sse(response))["id"]
            stream.publish("backend", {"n": 1}, object="a")
            first = await sse(response)
            assert (first["event"], json.loads(first["data"])) == ("backend", {"n": 1})
        stream.publish("backend", {"n": 2}, object="b")
        headers = {"Last-Event-ID": place}
        async with session.get("/api/v1/events", headers=headers) as response:
            assert await sse(response) == {"retry": "2000"}
            assert [json.loads((await sse(response))["data"])["n"] for _ in range(2)] == [1, 2]


async def test_what_is_held_still_can_be_heard_from_its_beginning() -> None:
    stream = EventStream(size=2)
    for n in range(3):
        stream.publish("transition", {"n": n})
    async with serving(stream=stream) as session:
        async with session.get("/api/v1/events?after=oldest") as response:
            await sse(response)
            told = [(await sse(response))["data"] for _ in range(2)]
        assert told == ['{"n":1}', '{"n":2}']
        first = {"Last-Event-ID": stream.last_id}  # a browser that connects again
        async with session.get("/api/v1/events?after=oldest", headers=first) as response:
            await sse(response)
            stream.publish("transition", {"n": 3})
            assert (await sse(response))["data"] == '{"n":3}'


async def test_who_continues_from_another_process_is_told_to_begin_anew() -> None:
    async with serving(stream=EventStream()) as session:
        headers = {"Last-Event-ID": "other-7"}
        async with session.get("/api/v1/events", headers=headers) as response:
            await sse(response)
            assert (await sse(response))["event"] == "reset"


async def test_readers_of_events_are_counted_and_those_that_did_not_keep_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "KEEPALIVE", 0.01)  # by which it is noticed that one has gone
    stream = EventStream()
    server = HttpServer(address="127.0.0.1:0", metrics=list[bytes], stream=stream)

    def count(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    registry = CollectorRegistry()
    registry.register(server.readers)
    assert count("vpplb_stale_readers_total", reason="reset") == 0
    async with server, aiohttp.ClientSession(f"http://{server.listen_address}") as session:
        headers = {"Last-Event-ID": "other-7"}
        async with session.get("/api/v1/events", headers=headers) as response:
            await sse(response)
            assert (await sse(response))["event"] == "reset"
            assert count("vpplb_event_readers") == 1
        await eventually(lambda: count("vpplb_event_readers") == 0, "the reader has gone")
    assert count("vpplb_stale_readers_total", reason="reset") == 1
    assert count("vpplb_stale_readers_total", reason="timeout") == 0


async def test_a_silent_stream_says_now_and_then_that_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "KEEPALIVE", 0.01)
    stream = EventStream()
    async with serving(stream=stream) as session, session.get("/api/v1/events") as response:
        await sse(response)
        assert await response.content.readuntil(b"\n\n") == b": still here\n\n"
        stream.publish("transition", {"n": 1})
        while not (line := await response.content.readline()).startswith(b"data"):
            pass
        assert line == b'data: {"n":1}\n'


async def test_stopping_ends_open_streams_at_once() -> None:
    stream = EventStream()
    server = HttpServer(address="127.0.0.1:0", metrics=list[bytes], stream=stream)
    async with aiohttp.ClientSession() as session:
        async with server:
            response = await session.get(f"http://{server.listen_address}/api/v1/events")
            await sse(response)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 0.9
        assert await response.content.read() == b""


async def test_a_busy_port_is_told_clearly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = HttpServer(address=f"127.0.0.1:{port}", metrics=list[bytes])
        with pytest.raises(CannotListen, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            await server.__aenter__()
        assert server.listen_address is None


async def test_an_empty_address_serves_nothing() -> None:
    async with HttpServer(address="", metrics=list[bytes]) as server:
        assert server.listen_address is None


async def test_the_vips_of_a_node_are_told_or_why_they_cannot_be() -> None:
    asked: list[ObjectKey | None] = []

    async def vips(frontend: ObjectKey | None) -> Mapping[str, object]:
        asked.append(frontend)
        return {"vips": []}

    async def away(frontend: ObjectKey | None) -> Mapping[str, object]:
        raise PageUnavailable("VPP is not connected:\nno answer")

    nodes = {"n1": vips, "n2": away}
    server = HttpServer(address="127.0.0.1:0", metrics=list[bytes], find_node=nodes.get)
    async with server, aiohttp.ClientSession(f"http://{server.listen_address}") as session:
        assert await fetch(session, "/api/v1/dataplanes/n1/vips") == (200, {"vips": []})
        assert await fetch(session, "/api/v1/dataplanes/n2/vips") == (
            503,
            {"error": "VPP is not connected: no answer"},
        )
        assert (await fetch(session, "/api/v1/dataplanes/n3/vips"))[0] == 404
        assert (await fetch(session, "/api/v1/dataplanes/n1/vips?frontend=shop/web"))[0] == 200
        assert asked == [None, ObjectKey("shop", "web")]
        for wrong in ("frontend=web", "limit=1", "frontend=a/b&frontend=a/b"):
            assert (await fetch(session, f"/api/v1/dataplanes/n1/vips?{wrong}"))[0] == 400


def many(count: int) -> View:
    view = View()
    for n in range(count):
        key = ObjectKey("shop", f"b{n}")
        view.all[ObjectKind.BACKEND][key] = {
            "metadata": key._asdict(),
            "status": {"detail": "x" * 900},
        }
    return view


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("backends?limit=none", "limit is not a number from 1: none"),
        ("frontends?frontend=shop/web", "frontend is asked of backends alone"),
        ("healthchecks?healthcheck=shop/a", "healthcheck is asked of backends alone"),
        ("backends?healthcheck=a", "healthcheck is not namespace/name: a"),
        ("backends?limit=1&limit=2", "a parameter is given twice"),
        ("backends?watch=1", "there is no parameter watch"),
    ],
)
async def test_a_question_that_is_not_understood_is_refused_in_words(asked: str, said: str) -> None:
    async with serving() as session:
        status, body = await fetch(session, f"/api/v1/{asked}")
    assert status == 400
    assert isinstance(body, dict)
    assert said in body["error"]


@pytest.mark.parametrize(("accepts", "packed"), [("br, gzip;q=0.5", True), ("identity", False)])
async def test_large_answers_are_packed_for_whoever_takes_it(accepts: str, packed: bool) -> None:
    headers = {"Accept-Encoding": accepts}
    async with serving(view=many(300)) as session:
        for path in ("/metrics", "/api/v1/backends", "/api/v1/openapi.json"):
            async with session.get(path, headers=headers) as answer:
                text = await answer.read()  # unpacked
                assert (answer.headers.get("Content-Encoding") == "gzip") is packed
                assert answer.headers["Vary"] == "Accept-Encoding"
                if path == "/api/v1/backends":
                    assert len(json.loads(text)["items"]) == 300
                    assert (int(answer.headers["Content-Length"]) < len(text) / 8) is packed


async def test_a_hundred_readers_at_once_cost_what_two_cost() -> None:
    view = many(300)
    async with serving(view=view) as session:
        answers = await asyncio.gather(*(fetch(session, "/api/v1/backends") for _ in range(100)))
    assert all(answer == answers[0] for answer in answers)
    body = answers[0][1]
    assert isinstance(body, dict)
    assert len(body["items"]) == 300
    assert view.written <= 3 * 300


@pytest.mark.looptime(False)  # making it takes real time
async def test_while_a_long_answer_is_made_the_loop_goes_on() -> None:
    class SlowView(View):
        def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
            time.sleep(0.001)  # what writing an object costs
            return super().show_object(kind, key)

    view = SlowView()
    view.all[ObjectKind.BACKEND] = dict(many(200).all[ObjectKind.BACKEND])
    pauses: list[float] = []

    async def feel() -> None:
        now = asyncio.get_running_loop().time
        while True:
            before = now()
            await asyncio.sleep(0)
            pauses.append(now() - before)

    async with serving(view=view) as session:
        feeling = asyncio.create_task(feel())
        assert (await fetch(session, "/api/v1/backends"))[0] == 200
        feeling.cancel()
    assert len(pauses) > 30, "it had its turn again and again"


async def test_what_goes_while_a_list_is_made_is_left_out() -> None:
    class Going(View):
        def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
            return None if key.name == "b1" else super().show_object(kind, key)

    view = Going()
    view.all[ObjectKind.BACKEND] = dict(many(3).all[ObjectKind.BACKEND])
    async with serving(view=view) as session:
        _, body = await fetch(session, "/api/v1/backends")
    assert isinstance(body, dict)
    assert [one["metadata"]["name"] for one in body["items"]] == ["b0", "b2"]


async def test_a_reader_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TAKEN_WITHIN", 0.05)
    server = HttpServer(address="127.0.0.1:0", metrics=list[bytes], view=many(20_000))
    async with server:
        where = server.listen_address
        assert where is not None
        reader, writer = await asyncio.open_connection(where.host, where.port, limit=1024)
        writer.write(b"GET /api/v1/backends HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a reader that hangs
        await eventually(lambda: not server.guard.connection_count, "the connection is ended")
        assert server.readers.stale == {StaleReason.TIMEOUT: 1}
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_request_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    guard = ConnectionGuard(patience=0.05)
    async with serving(guard=guard) as session:
        reader, writer = await asyncio.open_connection("127.0.0.1", session._base_url.port)  # type: ignore[union-attr]  # it has one
        writer.write(sent)
        assert await ended(reader)
        writer.close()
        assert (await fetch(session, "/healthz"))[0] == 200


async def test_of_too_many_connections_the_one_that_is_idle_longest_makes_room() -> None:
    guard = ConnectionGuard(most=2, patience=30)
    async with serving(guard=guard) as session:
        port = session._base_url.port  # type: ignore[union-attr]  # it has one
        first, writer = await asyncio.open_connection("127.0.0.1", port)
        second, other = await asyncio.open_connection("127.0.0.1", port)
        assert (await fetch(session, "/healthz"))[0] == 200
        assert await ended(first)
        assert guard.connection_count <= 2
        assert not second.at_eof()
        writer.close()
        other.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def test_event_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_STREAMS", 1)
    async with (
        serving(stream=EventStream()) as session,
        session.get("/api/v1/events") as response,
    ):
        await sse(response)
        status, body = await fetch(session, "/api/v1/events")
        assert (status, body) == (503, {"error": "1 readers follow the events already"})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9091",
        "[::1]:9091",
        "[fd00::1]",
        "localhost",
        "LocalHost:80",
        "vpplb-operator",
        "vpplb.vpplb-system.svc",
        "vpplb.vpplb-system.svc.cluster.local:9091",
        "lb.example.org",
    ],
)
async def test_requests_for_this_server_are_answered(host: str) -> None:
    async with (
        serving(hosts=["lb.example.org"]) as session,
        session.get("/api/v1/frontends", headers={"Host": host}) as response,
    ):
        assert response.status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:9091", "evil.svc.com."])
async def test_a_page_of_somebody_else_s_cannot_read_by_its_own_name(host: str) -> None:
    async with (
        serving() as session,
        session.get("/api/v1/frontends", headers={"Host": host}) as response,
    ):
        assert response.status == 421
        assert "--http-host" in (await response.json())["error"]


def test_judging_a_host_asks_no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise AssertionError("a lookup would hold up the loop that decides")

    for lookup in ("getfqdn", "getaddrinfo", "gethostbyname", "gethostbyaddr"):
        monkeypatch.setattr(socket, lookup, ask)
    monkeypatch.setattr(socket, "gethostname", lambda: "Router.example.org")
    assert is_own_host("router.example.org:9091")
    assert not is_own_host("evil.example.org:9091")


async def test_any_name_will_do_where_that_is_wanted() -> None:
    async with (
        serving(hosts=["*"]) as session,
        session.get("/metrics", headers={"Host": "any.example"}) as response,
    ):
        assert response.status == 200

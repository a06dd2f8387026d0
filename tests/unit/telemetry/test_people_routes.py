"""Signing in: who is taken for whom, which requests count, and what is told to nobody."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
from yarl import URL

from lab.waiting import eventually
from vpplb.acting.ports import AccessUnknown, NotSignedIn, Person, SignInKind
from vpplb.model.names import ObjectKind
from vpplb.telemetry import http, people_routes, request_trust
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.people_routes import PeopleRoutes

OWN = {"X-Vpplb-Request": "page"}
TOKEN = "eyJhbGciOi.alice-token.sig"


class Tokens:
    """People by token, as a cluster tells of them; `away` for want of an answer."""

    sign_in_kind: SignInKind = "token"

    def __init__(self) -> None:
        self.names = {TOKEN: "alice@example.com"}
        self.readers = {"alice@example.com"}
        self.away = ""
        self.asked = 0
        self.known: set[str] = set()
        self.answering = asyncio.Event()
        self.answering.set()

    def remembers(self, *, authorization: str, credential: str) -> bool:
        return (credential or authorization.removeprefix("Bearer ")) in self.known

    async def sign_in(self, given: Mapping[str, object]) -> Person:
        return await self.identify_person(str(given.get("token")))

    async def identify_header(self, authorization: str) -> Person:
        return await self.identify_person(authorization.removeprefix("Bearer "))

    async def identify_person(self, credential: str) -> Person:
        self.asked += 1
        await self.answering.wait()
        if self.away:
            raise AccessUnknown(self.away)
        if credential not in self.names:
            raise NotSignedIn("the cluster does not know this token")
        return Person(name=self.names[credential], credential=credential)

    async def may_edit(self, person: Person, kind: ObjectKind, namespace: str) -> bool:
        return True

    async def may_read(self, person: Person, path: str) -> bool:
        return person.name in self.readers

    async def close(self) -> None:
        return None


@asynccontextmanager
async def serving(
    access: Tokens | None, *, guards_reading: bool = False
) -> AsyncIterator[aiohttp.ClientSession]:
    server = HttpServer(
        address="127.0.0.1:0",
        metrics=lambda: [b"vpplb_leader 1\n"],
        dashboard=True,
        stream=EventStream(),
        people=PeopleRoutes(access=access, guards_reading=guards_reading),
    )
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, as that of a port-forward
    async with (
        server,
        aiohttp.ClientSession(f"http://{server.listen_address}", cookie_jar=jar) as session,
    ):
        yield session


async def post(
    session: aiohttp.ClientSession, body: object, headers: Mapping[str, str] = OWN
) -> tuple[int, Any]:
    async with session.post("/api/v1/session", json=body, headers=headers) as response:
        return response.status, await response.json()


async def read_metrics(session: aiohttp.ClientSession, *tokens: str) -> list[int]:
    found = []
    for token in tokens:
        bearer = {"Authorization": f"Bearer {token}"}
        async with session.get("/metrics", headers=bearer) as response:
            found.append(response.status)
    return found


async def see(session: aiohttp.ClientSession, path: str = "/api/v1/session") -> tuple[int, Any]:
    async with session.get(path) as response:
        return response.status, await response.json()


# --- signing in ------------------------------------------------------------------------------


async def test_by_default_nobody_signs_in_and_everybody_reads() -> None:
    async with serving(None) as session:
        assert await see(session) == (
            200,
            {
                "acting": False,
                "signIn": None,
                "reading": "everybody",
                "signedIn": False,
                "name": "",
            },
        )
        async with session.post("/api/v1/session", json={"token": TOKEN}, headers=OWN) as answer:
            assert answer.status == 405
        async with session.post("/api/v1/actions", json={}, headers=OWN) as answer:
            assert answer.status == 404


async def test_a_token_signs_in_by_a_cookie_that_no_script_and_no_other_site_gets() -> None:
    async with serving(Tokens()) as session:
        async with session.post("/api/v1/session", json={"token": TOKEN}, headers=OWN) as response:
            body = await response.json()
            (cookie,) = response.headers.getall("Set-Cookie")
        assert (body["signedIn"], body["name"]) == (True, "alice@example.com")
        assert TOKEN not in json.dumps(body)
        assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"} <= set(cookie.split("; "))
        assert (await see(session))[1]["name"] == "alice@example.com"
        async with session.delete("/api/v1/session", headers=OWN) as response:
            assert (response.status, await response.read()) == (204, b"")
        assert (await see(session))[1]["signedIn"] is False


async def test_the_token_of_a_header_counts_as_a_proxy_for_oidc_adds_it() -> None:
    async with (
        serving(Tokens()) as session,
        session.get("/api/v1/session", headers={"Authorization": f"Bearer {TOKEN}"}) as response,
    ):
        assert (await response.json())["name"] == "alice@example.com"
        assert "Set-Cookie" not in response.headers


async def test_an_expired_token_is_signed_out_and_its_cookie_goes() -> None:
    tokens = Tokens()
    async with serving(tokens) as session:
        await post(session, {"token": TOKEN})
        tokens.names.clear()
        assert (await see(session))[1]["signedIn"] is False
        assert not list(session.cookie_jar)


async def test_a_large_token_goes_in_parts_and_a_smaller_one_leaves_none_of_them() -> None:
    """Browsers drop a cookie of more than 4,096 bytes without a word (envoy#27875)."""
    large, tokens = "x" * 9000, Tokens()
    tokens.names[large] = "bob"
    async with serving(tokens) as session:
        assert (await post(session, {"token": large}))[1]["name"] == "bob"
        cookies = list(session.cookie_jar)
        assert len(cookies) == 4
        assert all(len(one.OutputString()) < 4096 for one in cookies)
        # aiohttp's client, other than browsers, sends 8 KB of cookies at most.
        whole = "; ".join(f"{one.key}={one.value}" for one in cookies)
        async with session.get("/api/v1/session", headers={"Cookie": whole}) as response:
            assert (await response.json())["name"] == "bob"
        session.cookie_jar.clear()
        some = {one.key: one.value for one in cookies[:2]}
        session.cookie_jar.update_cookies(some, session._base_url or URL())
        assert (await post(session, {"token": TOKEN}))[0] == 200
        assert len(list(session.cookie_jar)) == 1
        assert (await see(session))[1]["name"] == "alice@example.com"


async def test_a_token_that_no_browser_could_carry_is_refused_in_words() -> None:
    endless, tokens = "x" * 13000, Tokens()
    tokens.names[endless] = "bob"
    async with serving(tokens) as session:
        status, body = await post(session, {"token": endless})
    assert status == 413
    assert "longer than 12288 bytes" in body["error"]


async def test_large_cookies_of_others_are_no_bad_request() -> None:
    """A proxy for sign-in passes its own on (oauth2-proxy#644, #1388)."""
    async with serving(Tokens()) as session:
        cookies = {"Cookie": f"_oauth2_proxy_0={'x' * 12000}"}
        async with session.get("/api/v1/session", headers=cookies) as response:
            assert response.status == 200


@pytest.mark.parametrize("cookie", ["%%%", "gAAAA", "not base64 ü", "=", "A" * 4000])
async def test_a_cookie_that_makes_no_sense_is_nobody_s(cookie: str) -> None:
    async with serving(Tokens()) as session:
        headers = {"Cookie": f"vpplb-session-0={cookie}"}
        async with session.get("/api/v1/session", headers=headers) as response:
            assert (response.status, (await response.json())["signedIn"]) == (200, False)


async def test_while_the_api_server_is_away_nobody_is_told_that_he_is_signed_out() -> None:
    tokens = Tokens()
    async with serving(tokens) as session:
        await post(session, {"token": TOKEN})
        tokens.away = "the API server cannot be asked at present"
        assert await see(session) == (503, {"error": tokens.away})
        assert list(session.cookie_jar)


async def test_no_token_is_in_a_log_or_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A dashboard once logged the requests of its sign-in whole (kubernetes/dashboard#3216)."""
    caplog.set_level(logging.DEBUG)
    tokens = Tokens()
    async with serving(tokens) as session:
        secret = base64.b64encode(b"very secret indeed").decode()
        _, body = await post(session, {"token": secret})
        tokens.away = "no answer"
        _, unknown = await post(session, {"token": secret})
        await post(session, {"token": TOKEN})
    assert secret not in json.dumps([body, unknown]) + caplog.text
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(Person(name="alice", credential=TOKEN))


@pytest.mark.parametrize(
    "line",
    [f"Authorization: Bearer {TOKEN}\x01", f"Authorization: {TOKEN}{'x' * 40000}", f"{TOKEN} :"],
    ids=["control", "long", "no-header"],
)
async def test_a_token_in_a_request_that_is_no_http_is_in_no_log(
    line: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Tokens()) as session:
        url = session._base_url
        assert url is not None
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n".encode())
        assert b" 400 " in await reader.readline()
        writer.close()
    assert TOKEN not in caplog.text


# --- who may have sent it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({}, 403, "has a header X-Vpplb-Request"),
        ({**OWN, "Origin": "https://evil.example"}, 403, "of another origin"),
        ({**OWN, "Origin": "null"}, 403, "of another origin"),
        ({**OWN, "Origin": "http://["}, 403, "of another origin"),
        ({**OWN, "Sec-Fetch-Site": "cross-site"}, 403, "of another origin"),
        ({**OWN, "Sec-Fetch-Site": "same-site"}, 403, "of another origin"),
        ({**OWN, "Content-Type": "text/plain"}, 415, "only application/json"),
        ({**OWN, "Content-Type": "application/x-www-form-urlencoded"}, 415, "only application"),
        ({**OWN, "Host": "evil.example"}, 421, "is not this server"),
    ],
    ids=["header", "origin", "no-origin", "odd", "cross", "sibling", "text", "form", "rebinding"],
)
async def test_a_request_of_another_page_signs_nobody_in(
    headers: Mapping[str, str], status: int, said: str
) -> None:
    """A page of a sibling name sends cookies that are Lax, and text/plain (CVE-2024-22424)."""
    tokens = Tokens()
    async with serving(tokens) as session:
        found, body = await post(session, {"token": TOKEN}, headers)
    assert (found, tokens.asked) == (status, 0)
    assert said in body["error"]


async def test_a_page_of_ours_is_one_by_its_origin_or_by_the_browser_s_word() -> None:
    async with serving(Tokens()) as session:
        origin = str(session._base_url).rstrip("/")
        for more in (
            {"Origin": origin},
            {"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"},
        ):
            assert (await post(session, {"token": TOKEN}, {**OWN, **more}))[0] == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 60000], ids=range(5))
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    headers = {**OWN, "Content-Type": "application/json"}
    async with (
        serving(Tokens()) as session,
        session.post("/api/v1/session", data=body, headers=headers) as response,
    ):
        assert response.status == 400
        assert "error" in await response.json()


async def test_an_endless_body_is_refused() -> None:
    async with serving(Tokens()) as session:
        assert (await post(session, {"token": "x" * 100_000}))[0] == 413


async def test_a_body_that_never_ends_does_not_hold_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a request is answered nothing else ends it: 256 of them were all there are."""
    monkeypatch.setattr(people_routes, "BODY_WITHIN", 0.05)

    async def begin() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    headers = {**OWN, "Content-Type": "application/json"}
    async with (
        serving(Tokens()) as session,
        session.post("/api/v1/session", data=begin(), headers=headers) as response,
    ):
        assert response.status == 408
        assert "no whole body within" in (await response.json())["error"]


async def test_bodies_that_never_end_leave_room_for_health(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(people_routes, "MOST_BODIES", 2)
    headers = {**OWN, "Content-Type": "application/json"}

    async def begin() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with serving(Tokens()) as session:

        async def send() -> int:
            async with session.post("/api/v1/session", data=begin(), headers=headers) as response:
                return response.status

        sending = [asyncio.create_task(send()) for _ in range(4)]
        await eventually(lambda: sum(one.done() for one in sending) == 2, "two are refused")
        assert {one.result() for one in sending if one.done()} == {503}
        for one in sending:
            one.cancel()
        await asyncio.wait(sending)
        async with asyncio.timeout(5):  # those who have gone make room
            while (await post(session, {"token": TOKEN}))[0] != 200:
                pass
    assert [one.message for one in caplog.records if one.levelno >= logging.WARNING] == []


# --- who could have read along ---------------------------------------------------------------


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_trust, "_read_peer", lambda request: ip_address("192.0.2.7"))


@pytest.mark.usefixtures("far_away")
async def test_a_token_in_the_clear_from_elsewhere_is_refused_in_words() -> None:
    tokens = Tokens()
    async with serving(tokens) as session:
        status, body = await post(session, {"token": TOKEN})
        assert status == 403
        assert "taken over TLS, or from this machine" in body["error"]
        bearer = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-Proto": "https"}
        async with session.get("/api/v1/session", headers=bearer) as response:
            found = await response.json()
    assert (found["signedIn"], tokens.asked) == (False, 0)
    assert "taken over TLS" in found["trouble"]


async def test_a_proxy_on_this_machine_says_whether_the_browser_had_tls() -> None:
    """Behind a proxy that ends TLS all comes in the clear (kubernetes/dashboard#5937)."""
    async with serving(Tokens()) as session:
        headers = {**OWN, "X-Forwarded-Proto": "http"}
        assert (await post(session, {"token": TOKEN}, headers))[0] == 403
        headers = {**OWN, "X-Forwarded-Proto": "https"}
        async with session.post(
            "/api/v1/session", json={"token": TOKEN}, headers=headers
        ) as response:
            (cookie,) = response.headers.getall("Set-Cookie")
        assert cookie.startswith("__Host-vpplb-session-0=")
        assert "Secure" in cookie.split("; ")


# --- how often -------------------------------------------------------------------------------


async def test_who_fails_to_sign_in_too_often_waits() -> None:
    """Whatever the peer says of itself in X-Forwarded-For (argo-cd#3404)."""
    tokens = Tokens()
    async with serving(tokens) as session:
        for number in range(5):
            headers = {**OWN, "X-Forwarded-For": f"192.0.2.{number}"}
            assert (await post(session, {"token": "wrong"}, headers))[0] == 401
        async with session.post("/api/v1/session", json={"token": TOKEN}, headers=OWN) as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 12
            assert "again in" in (await response.json())["error"]
        assert tokens.asked == 5


async def test_who_fails_many_times_at_once_waits_as_well() -> None:
    tokens = Tokens()
    tokens.answering.clear()
    async with serving(tokens) as session:
        trying = [asyncio.create_task(post(session, {"token": "wrong"})) for _ in range(40)]
        await eventually(lambda: sum(one.done() for one in trying) == 35, "the others are refused")
        tokens.answering.set()
        statuses = [status for status, _ in await asyncio.gather(*trying)]
    assert (statuses.count(401), statuses.count(429)) == (5, 35)
    assert tokens.asked == 5


async def test_who_signs_in_rightly_again_and_again_never_waits() -> None:
    async with serving(Tokens()) as session:
        assert {(await post(session, {"token": TOKEN}))[0] for _ in range(20)} == {200}


async def test_guesses_of_others_do_not_keep_out_whom_one_knows() -> None:
    """All may come from one address: that of a proxy, or of `kubectl port-forward`."""
    tokens = Tokens()
    async with serving(tokens, guards_reading=True) as session:
        await read_metrics(session, *(f"guess{number}" for number in range(40)))
        assert await read_metrics(session, TOKEN) == [429]
        tokens.known.add(TOKEN)
        assert await read_metrics(session, TOKEN) == [200]


# --- reading ---------------------------------------------------------------------------------


async def test_where_reading_is_guarded_all_but_health_and_the_page_wants_a_sign_in() -> None:
    tokens = Tokens()
    async with serving(tokens, guards_reading=True) as session:
        for path in ("/healthz", "/readyz", "/", "/api/v1/session"):
            async with session.get(path) as response:
                assert response.status == 200, path
        for path in ("/metrics", "/api/v1/openapi.json", "/api/v1/frontends", "/nowhere"):
            async with session.get(path) as response:
                assert response.status == 401, path
                assert response.headers["WWW-Authenticate"] == "Bearer"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with session.get("/metrics", headers=bearer) as response:
            assert await response.text() == "vpplb_leader 1\n"
        await post(session, {"token": TOKEN})
        async with session.get("/metrics") as response:
            assert response.status == 200
        tokens.readers.clear()
        assert await see(session, "/metrics") == (
            403,
            {"error": "alice@example.com may not read this"},
        )
        tokens.away = "the API server cannot be asked"
        assert await see(session, "/metrics") == (503, {"error": tokens.away})


@pytest.mark.parametrize("name", ["token", "access_token", "authorization"])
async def test_a_token_in_an_address_is_none(name: str) -> None:
    """Addresses are in logs and histories, and in what browsers tell the next page (RFC 6750)."""
    tokens = Tokens()
    async with serving(tokens, guards_reading=True) as session:
        assert (await see(session, f"/metrics?{name}={TOKEN}"))[0] == 401
    assert tokens.asked == 0


async def test_guessed_tokens_cost_the_api_server_a_bounded_number_of_questions() -> None:
    tokens = Tokens()
    async with serving(tokens, guards_reading=True) as session:
        statuses = await read_metrics(session, *(f"guess{number}" for number in range(40)))
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert tokens.asked <= 35


async def test_a_stream_of_events_ends_with_the_right_to_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stream goes on for days, a token for an hour."""
    monkeypatch.setattr(http, "CHECKED_EACH", 0.0)
    monkeypatch.setattr(http, "KEEPALIVE", 0.02)
    tokens = Tokens()
    async with serving(tokens, guards_reading=True) as session:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with session.get("/api/v1/events", headers=bearer) as response:
            await eventually(lambda: tokens.asked > 2, "it is asked again and again")
            tokens.names.clear()
            told = await asyncio.wait_for(response.read(), 5)
    assert b": still here" in told

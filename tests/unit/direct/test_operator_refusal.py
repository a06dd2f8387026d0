"""An operator's answer to an agent that it does not let in, as the agent tells of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from vpplb.direct.operator_refusal import MOST_BYTES, OperatorRefused, raise_for_refusal

pytestmark = pytest.mark.slow

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[aiohttp.ClientSession, BaseTestServer]]:
    app = web.Application()
    app.router.add_get("/", answer)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(middlewares=(raise_for_refusal,)) as session,
    ):
        yield session, server


async def refusal(answer: Answer) -> str:
    """Return what is told of an answer that opens no websocket."""
    async with answering(answer) as (session, server):
        with pytest.raises(OperatorRefused) as refused:
            await session.ws_connect(server.make_url("/"))
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"the token has expired\n", ": the token has expired"),
        (b"", ""),
        (b"  \n\n ", ""),
        (b"two\r\nlines", ": two lines"),
        (b"\x1b[2Jgone\x00", r": \u001b[2Jgone\u0000"),
        (b"\xff\xfe", ": \ufffd\ufffd"),
        ("\u202etxt".encode(), r": \u202etxt"),
        (b"x" * 100_000, f": {'x' * MOST_BYTES}"),
    ],
    ids=["words", "nothing", "blanks", "lines", "escapes", "no text", "direction", "much"],
)
async def test_its_words_are_told_in_one_line_that_can_be_printed(body: bytes, told: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=403, body=body)

    assert await refusal(answer) == f"it refuses this agent with HTTP 403{told}"


async def test_an_answer_without_an_end_is_read_to_the_bound() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=401)
        await response.prepare(request)
        while True:
            await response.write(b"no " * 1000)

    told = await refusal(answer)
    assert told.startswith("it refuses this agent with HTTP 401: no no")
    assert len(told) < MOST_BYTES + 50


async def test_a_token_is_not_taken_elsewhere_by_a_redirect() -> None:
    shown = list[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        shown.append(request.path_qs)
        raise web.HTTPFound("/?elsewhere")

    assert "HTTP 302" in await refusal(answer)
    assert shown == ["/"]


async def test_a_websocket_is_opened_as_without_it() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("welcome")
        await socket.close()
        return socket

    async with (
        answering(answer) as (session, server),
        session.ws_connect(server.make_url("/")) as socket,
    ):
        assert await socket.receive_str() == "welcome"

import asyncio
import json

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol

from vpplb.kube.echoes import MOST, PATIENCE, Echoes, Unechoed


def line(
    version: int, kind: str = "MODIFIED", labels: dict[str, str] | None = None, **spec: object
) -> bytes:
    """Return a change as an API server writes it: keys sorted, no spaces."""
    metadata = {"labels": labels or {}, "name": "b", "resourceVersion": str(version), "uid": "u-1"}
    told = {"type": kind, "object": {"kind": "Backend", "metadata": metadata, "spec": spec}}
    return json.dumps(told, separators=(",", ":")).encode()


async def told(echoes: Echoes, one: bytes) -> bytes:
    """Return what kopf is told instead of a line."""
    [instead] = await echoes.without([one])
    return instead


async def test_an_echo_becomes_a_bookmark_from_which_the_watch_goes_on() -> None:
    echoes = Echoes()
    echoes.expect("7", "u-1")
    assert json.loads(await told(echoes, line(7))) == {
        "type": "BOOKMARK",
        "object": {"metadata": {"resourceVersion": "7"}},
    }


@pytest.mark.parametrize(
    "other", [line(8), line(7, "ADDED"), line(7, "DELETED"), b'{"type":"ERROR"}', b""]
)
async def test_all_else_is_let_through_as_it_is(other: bytes) -> None:
    echoes = Echoes()
    echoes.expect("7", "u-1")
    assert await told(echoes, other) == other


async def test_an_echo_is_dropped_once() -> None:
    echoes = Echoes()
    echoes.expect("7", "u-1")
    await told(echoes, line(7))
    assert await told(echoes, line(7)) == line(7)


@pytest.mark.parametrize(
    "other",
    [
        line(8, labels={"resourceVersion": "7", "uid": "x"}),
        line(8, labels={"note": '"resourceVersion":"7","uid":"u-1"'}),
        line(8, note='"resourceVersion":"7","uid":"u-1"'),
    ],
)
async def test_a_version_that_an_object_names_elsewhere_is_not_its_own(other: bytes) -> None:
    echoes = Echoes()
    echoes.expect("7", "u-1")
    assert await told(echoes, other) == other


async def test_no_more_echoes_are_waited_for_than_memory_is_meant_for() -> None:
    echoes = Echoes()
    for version in range(MOST + 1):
        echoes.expect(str(version), "u-1")
    assert await told(echoes, line(0)) == line(0)
    assert await told(echoes, line(1)) != line(1)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_a_stream_is_given_in_whole_lines_however_it_comes(size: int) -> None:
    content = aiohttp.StreamReader(
        BaseProtocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop()
    )
    echoes = Echoes()
    echoes.expect("7", "u-1")
    sent = b"".join(one + b"\n" for one in (line(6), line(7), line(8, big="x" * 300)))
    for at in range(0, len(sent), size):
        content.feed_data(sent[at : at + size])
    content.feed_data(b"cut off")
    content.feed_eof()
    pieces = [piece async for piece in Unechoed(content, echoes).iter_chunked(10_000)]
    *lines, end = b"".join(pieces).split(b"\n")
    assert [json.loads(one)["type"] for one in lines] == ["MODIFIED", "BOOKMARK", "MODIFIED"]
    assert end == b"cut off"
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


async def test_an_echo_that_is_faster_than_the_answer_waits_for_it() -> None:
    echoes = Echoes()
    with echoes.writing("u-1"):
        waiting = asyncio.create_task(told(echoes, line(7)))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        echoes.expect("7", "u-1")
    assert json.loads(await waiting)["type"] == "BOOKMARK"


async def test_a_change_by_others_is_told_once_our_write_has_ended() -> None:
    echoes = Echoes()
    with echoes.writing("u-1"):
        waiting = asyncio.create_task(told(echoes, line(7)))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    assert await waiting == line(7)


async def test_what_is_told_of_other_objects_does_not_wait() -> None:
    echoes = Echoes()
    with echoes.writing("u-2"):
        async with asyncio.timeout(PATIENCE / 2):
            assert await told(echoes, line(7)) == line(7)


async def test_nothing_waits_for_long_for_answers_that_do_not_come() -> None:
    echoes, loop = Echoes(), asyncio.get_running_loop()
    began, lines = loop.time(), [line(7), line(8), line(9)]
    with echoes.writing("u-1"):
        assert await echoes.without(lines) == lines
    assert PATIENCE < loop.time() - began < PATIENCE + 0.1


async def test_after_a_write_that_failed_nothing_waits() -> None:
    echoes = Echoes()
    with pytest.raises(ValueError, match="refused"), echoes.writing("u-1"):
        raise ValueError("refused")
    async with asyncio.timeout(PATIENCE / 2):
        assert await told(echoes, line(7)) == line(7)

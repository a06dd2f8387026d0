import asyncio
from collections.abc import AsyncGenerator

import pytest

from vpplb.telemetry.event_stream import EventStream, StreamEvent

pytestmark = pytest.mark.looptime


async def read(events: AsyncGenerator[StreamEvent, None], most: int = 1000) -> list[StreamEvent]:
    """Read until nothing comes any more for a second."""
    found: list[StreamEvent] = []
    following = asyncio.ensure_future(anext(events))
    while len(found) < most:
        done, _ = await asyncio.wait((following,), timeout=1)
        if not done:
            break
        found.append(following.result())
        following = asyncio.ensure_future(anext(events))
    following.cancel()
    await asyncio.wait((following,))
    return found


def told(events: list[StreamEvent]) -> list[tuple[str, object]]:
    return [(event.type, event.data.get("n")) for event in events]


async def test_a_subscriber_hears_what_is_published_from_then_on() -> None:
    stream = EventStream()
    stream.publish("backend", {"n": 0}, object="a")
    events = stream.subscribe()
    reading = asyncio.create_task(read(events))
    await asyncio.sleep(0.1)
    stream.publish("backend", {"n": 1}, object="a")
    stream.publish("transition", {"n": 2})
    assert told(await reading) == [("backend", 1), ("transition", 2)]


async def test_every_subscriber_hears_everything() -> None:
    stream = EventStream()
    readings = [asyncio.create_task(read(stream.subscribe())) for _ in range(3)]
    await asyncio.sleep(0.1)
    for n in range(5):
        stream.publish("transition", {"n": n})
    for reading in readings:
        assert told(await reading) == [("transition", n) for n in range(5)]


async def test_reading_continues_after_the_last_event_that_was_heard() -> None:
    stream = EventStream()
    place = stream.last_id
    for n in range(5):
        stream.publish("transition", {"n": n})
    first = await read(stream.subscribe(place), most=2)
    rest = await read(stream.subscribe(first[-1].id))
    assert told(first + rest) == [("transition", n) for n in range(5)]


async def test_who_lags_is_told_only_the_newest_of_each_object() -> None:
    stream = EventStream()
    place = stream.last_id
    for n in range(10):
        stream.publish("backend", {"n": n}, object="a")
        stream.publish("frontend", {"n": n}, object="a")
    stream.publish("backend", {"n": 99}, object="b")
    assert told(await read(stream.subscribe(place))) == [
        ("backend", 9),
        ("frontend", 9),
        ("backend", 99),
    ]


async def test_who_has_fallen_out_of_the_ring_is_told_to_begin_anew_and_then_the_newest() -> None:
    stream = EventStream(size=3)
    place = stream.last_id
    for n in range(10):
        stream.publish("transition", {"n": n})
    assert told(await read(stream.subscribe(place))) == [
        ("reset", None),
        ("transition", 7),
        ("transition", 8),
        ("transition", 9),
    ]


async def test_a_slow_reader_blocks_nobody_and_does_not_miss_the_last_state() -> None:
    stream = EventStream(size=4)
    slow = stream.subscribe(stream.last_id)
    stream.publish("backend", {"n": 0}, object="a")
    assert (await anext(slow)).data == {"n": 0}
    for n in range(1, 1000):
        stream.publish("backend", {"n": n}, object="a")
    found = told(await read(slow))
    assert found == [("reset", None), ("backend", 999)]


@pytest.mark.parametrize("last_id", ["other-1", "nonsense", "", "run-99", "run-x", "run--1"])
async def test_who_comes_from_a_place_that_is_not_here_is_told_to_begin_anew(last_id: str) -> None:
    stream = EventStream(run="run")
    stream.publish("transition", {"n": 0})
    found = await read(stream.subscribe(last_id))
    assert told(found) == [("reset", None), ("transition", 0)]
    assert told(await read(stream.subscribe(found[0].id))) == [("transition", 0)]


async def test_who_comes_from_elsewhere_to_an_empty_stream_is_told_to_begin_anew_once() -> None:
    stream = EventStream()
    assert told(await read(stream.subscribe("other-5"))) == [("reset", None)]


async def test_what_is_made_when_it_is_read_tells_the_state_of_then() -> None:
    stream = EventStream()
    place, state = stream.last_id, {"n": 0}
    stream.publish("backend", lambda: dict(state), object="a")
    state["n"] = 7
    assert told(await read(stream.subscribe(place))) == [("backend", 7)]


async def test_memory_is_bounded_by_the_ring_whatever_is_published() -> None:
    stream = EventStream(size=10)
    for n in range(1000):
        stream.publish("backend", {"n": n}, object=f"object-{n}")
    assert len(stream._ring) == 10
    assert len(stream._newest) == 10


async def test_closing_ends_all_subscriptions() -> None:
    stream = EventStream()

    async def listen() -> list[StreamEvent]:
        return [event async for event in stream.subscribe()]

    listening = [asyncio.create_task(listen()) for _ in range(2)]
    await asyncio.sleep(0.1)
    stream.close()
    assert await asyncio.gather(*listening) == [[], []]

import asyncio

import pytest

from vpplb.kube.echo_pace import CROWD, QUIET, REST, WINDOW, EchoPace

pytestmark = pytest.mark.looptime


def tell(pace: EchoPace, echoes: int) -> None:
    for _ in range(echoes):
        pace.note_echo()


async def test_what_a_single_change_echoes_is_read_at_once() -> None:
    rests: list[float] = []
    pace = EchoPace(rests.append)
    for _ in range(10):
        tell(pace, CROWD - 1)
        await asyncio.sleep(WINDOW * 1.1)
    assert rests == []


async def test_where_echoes_crowd_the_loop_stands_still_once_it_has_worked_them_off() -> None:
    rests: list[float] = []
    pace = EchoPace(rests.append)
    tell(pace, 100 * CROWD)
    await asyncio.sleep(0)
    assert rests == [], "they are worked off first"
    await asyncio.sleep(1)
    assert rests == [REST]


async def test_it_stands_still_for_as_long_as_they_go_on_crowding() -> None:
    rests: list[float] = []
    pace = EchoPace(rests.append)
    for _ in range(20):
        tell(pace, 1)
        await asyncio.sleep(WINDOW / CROWD / 2)
    assert len(rests) > 1
    before = len(rests)
    await asyncio.sleep(1)
    tell(pace, CROWD - 1)
    await asyncio.sleep(1)
    assert len(rests) == before


async def test_as_long_as_there_is_more_to_work_off_it_does_not_stand_still() -> None:
    rests: list[float] = []
    pace = EchoPace(rests.append)
    for _ in range(1000):
        tell(pace, 1)
        await asyncio.sleep(QUIET / 2)
    assert rests == []
    await asyncio.sleep(1)
    assert rests == [REST]


async def test_echoes_that_take_time_to_read_do_not_pile_up() -> None:
    """As many are written a second as by default, and each takes half a millisecond to read."""
    loop = asyncio.get_running_loop()
    start, awake, longest = loop.time(), 0.0, 0.0

    def stand_still(seconds: float) -> None:
        nonlocal awake
        awake = loop.time() + seconds

    pace, rests = EchoPace(stand_still), 0
    for number in range(2500):
        told = start + number / 250
        while (wait := max(told, awake) - loop.time()) > 1e-6:
            await asyncio.sleep(wait)
        rests += awake > told
        longest = max(longest, loop.time() - told)
        pace.note_echo()
        await asyncio.sleep(0.0005)
    assert rests > 1000, "most come while it stands still"
    assert longest < REST + 0.02

import asyncio

import pytest

from vpplb.kube.echo_pace import CROWD, REST, WINDOW, EchoPace

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

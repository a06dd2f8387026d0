import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from vpplb.kube.calm import Calm
from vpplb.kube.gate import Gate
from vpplb.kube.lanes import GAP, Lanes

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def running(
    done: list[str], seconds: Callable[[str], float] = lambda item: 0.05, parallel: int = 2
) -> AsyncIterator[Lanes[str]]:
    lanes = Lanes[str](Gate(), Calm(0.2), parallel)

    async def take(item: str, number: int) -> None:
        await asyncio.sleep(seconds(item))
        done.append(item)

    task = asyncio.create_task(lanes.run(take))
    yield lanes
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_urgent_does_not_wait_for_the_ordinary() -> None:
    done: list[str] = []
    async with running(done, lambda item: 0.01 if item == "urgent" else 10.0) as lanes:
        for _ in range(5):
            lanes.put("ordinary", 0, urgent=False)
        await asyncio.sleep(1)
        lanes.put("urgent", 9, urgent=True)
        await asyncio.sleep(0.02)
        assert done == ["urgent"]


async def test_in_a_gap_of_the_urgent_one_ordinary_worker_goes_on() -> None:
    done: list[str] = []
    async with running(done) as lanes:
        lanes.put("urgent", 0, urgent=True)
        await asyncio.sleep(0)
        for n in range(6):
            lanes.put(str(n), 0, urgent=False)
        await asyncio.sleep(0.19)
        assert done == ["urgent", "0", "1"]
        await asyncio.sleep(0.2)
        assert len(done) > 5


async def test_the_ordinary_is_not_starved_by_the_urgent() -> None:
    done: list[str] = []
    async with running(done, parallel=1) as lanes:
        for _ in range(100):
            lanes.put("urgent", 0, urgent=True)
        await asyncio.sleep(0)
        for _ in range(100):
            lanes.put("ordinary", 0, urgent=False)
        await asyncio.sleep(3.01)
        assert done.count("ordinary") == pytest.approx(3 / (GAP + 0.05), abs=1)


async def test_the_lowest_priority_goes_first_and_equals_in_the_order_they_came() -> None:
    done: list[str] = []
    lanes = Lanes[str](Gate(), Calm(0.2), 1)

    async def take(item: str, number: int) -> None:
        done.append(item)

    for item, priority in (("b", 1), ("c", 1), ("a", 0)):
        lanes.put(item, priority, urgent=True)
    task = asyncio.create_task(lanes.run(take))
    await asyncio.sleep(0.01)
    task.cancel()
    assert done == ["a", "b", "c"]


async def test_it_rests_when_nothing_is_due_or_under_way() -> None:
    clock, done = asyncio.get_running_loop().time, list[str]()
    async with running(done) as lanes:
        await lanes.rest(5.0)
        assert clock() == 0
        for urgent in (True, False):
            lanes.put("item", 0, urgent=urgent)
            began = clock()
            await lanes.rest(0.01)
            assert clock() - began == pytest.approx(0.01)
            await lanes.rest(5.0)
            assert done.count("item") == 1 + (not urgent)

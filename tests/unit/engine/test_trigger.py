import asyncio

from vpplb.engine.trigger import Trigger


async def test_many_pulls_in_one_tick_are_one_run() -> None:
    runs: list[int] = []
    trigger = Trigger(lambda: runs.append(1))
    trigger.pull()
    trigger.pull()
    assert runs == []
    await asyncio.sleep(0)
    assert runs == [1]
    trigger.pull()
    await asyncio.sleep(0)
    assert runs == [1, 1]


async def test_a_cancelled_pull_does_not_run() -> None:
    runs: list[int] = []
    trigger = Trigger(lambda: runs.append(1))
    trigger.pull()
    trigger.cancel()
    await asyncio.sleep(0)
    assert runs == []

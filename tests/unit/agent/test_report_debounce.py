"""What is asked for again and again is run soon, once, and not too often."""

import asyncio

import pytest

from vpplb.agent.report_debounce import ReportDebounce

pytestmark = pytest.mark.looptime


async def test_many_pulls_in_one_tick_are_one_run() -> None:
    runs: list[int] = []
    trigger = ReportDebounce(lambda: runs.append(1), spacing=0.0)
    trigger.request_run()
    trigger.request_run()
    assert runs == []
    await asyncio.sleep(0)
    assert runs == [1]
    trigger.request_run()
    await asyncio.sleep(0)
    assert runs == [1, 1]


@pytest.mark.looptime
async def test_with_a_spacing_the_first_runs_at_once_and_the_last_is_never_lost() -> None:
    loop = asyncio.get_running_loop()
    runs: list[float] = []
    trigger = ReportDebounce(lambda: runs.append(loop.time()), spacing=1.0)
    began = loop.time()
    for _ in range(25):
        trigger.request_run()
        await asyncio.sleep(0.1)
    await asyncio.sleep(5)
    assert [round(at - began, 3) for at in runs] == [0, 1, 2, 3]
    trigger.request_run()
    await asyncio.sleep(0)
    assert len(runs) == 5


@pytest.mark.looptime
async def test_what_waits_for_its_time_can_be_run_at_once() -> None:
    runs: list[int] = []
    trigger = ReportDebounce(lambda: runs.append(1), spacing=60.0)
    trigger.run_now()
    assert runs == []
    trigger.request_run()
    await asyncio.sleep(0)
    trigger.request_run()
    trigger.run_now()
    assert runs == [1, 1]
    await asyncio.sleep(120)
    assert runs == [1, 1]


async def test_another_spacing_counts_from_the_last_run_on() -> None:
    runs: list[float] = []
    loop = asyncio.get_running_loop()
    trigger = ReportDebounce(lambda: runs.append(loop.time()), spacing=10.0)
    trigger.request_run()
    await asyncio.sleep(0)
    await asyncio.sleep(1)
    trigger.set_spacing(2.0)
    trigger.request_run()
    await asyncio.sleep(5)
    assert runs[1] - runs[0] == 2.0

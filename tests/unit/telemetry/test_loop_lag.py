import asyncio
import time

import pytest

from vpplb.telemetry.loop_lag import EVERY, WINDOW, LoopLag


@pytest.mark.looptime
async def test_a_loop_that_is_on_time_has_no_lag() -> None:
    lag = LoopLag()
    assert lag.worst_seconds() == 0
    running = asyncio.create_task(lag.run())
    await asyncio.sleep(3.1)
    assert lag.worst_seconds() < 0.01
    running.cancel()


@pytest.mark.slow
async def test_work_that_holds_up_the_loop_shows_at_once_and_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vpplb.telemetry.loop_lag.EVERY", 0.05)
    lag = LoopLag()
    running = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(0.05 + 0.2)  # noqa: ASYNC251 (that is what is to be noticed)
    assert 0.15 < lag.worst_seconds() < 1
    await asyncio.sleep(0.01)
    assert 0.15 < lag.worst_seconds() < 1, "the sample is taken"
    running.cancel()


@pytest.mark.looptime
async def test_a_lag_is_forgotten_after_a_while() -> None:
    lag = LoopLag()
    lag._samples.append(3.0)
    running = asyncio.create_task(lag.run())
    await asyncio.sleep(WINDOW - 2 * EVERY)
    assert lag.worst_seconds() == 3
    await asyncio.sleep(3 * EVERY)
    assert lag.worst_seconds() < 1
    running.cancel()

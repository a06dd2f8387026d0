import asyncio

import pytest

from vpplb.kube.calm import Calm

pytestmark = pytest.mark.looptime


async def _waited(calm: Calm) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await calm.comes()
    return loop.time() - began


async def test_undisturbed_it_is_calm() -> None:
    assert await _waited(Calm(1.0)) == 0


async def test_it_comes_some_time_after_the_last_disturbance() -> None:
    calm = Calm(1.0)
    calm.disturb()
    await asyncio.sleep(0.6)
    calm.disturb()
    assert await _waited(calm) == pytest.approx(1.0)
    assert await _waited(calm) == 0


async def test_it_can_be_disturbed_again() -> None:
    calm = Calm(1.0)
    for _ in range(3):
        calm.disturb()
        assert await _waited(calm) == pytest.approx(1.0)

import asyncio

import pytest

from vpplb.kube.errors import ApiError, ApiUnreachable, api_error
from vpplb.kube.gate import AILING, Gate

pytestmark = pytest.mark.looptime

AWAY = ApiUnreachable("refused")


async def closed_for(gate: Gate) -> float:
    clock = asyncio.get_running_loop().time
    began = clock()
    await gate.opened()
    return clock() - began


async def test_it_closes_longer_with_each_failure_and_never_for_long() -> None:
    gate = Gate()
    assert await closed_for(gate) == 0
    waits = []
    for _ in range(12):
        gate.server_failed(AWAY)
        waits.append(await closed_for(gate))
    assert waits[0] <= 0.1
    assert 2.5 <= waits[-1] <= 5
    gate.succeeded()
    gate.server_failed(AWAY)
    assert await closed_for(gate) <= 0.1


async def test_failures_while_it_is_closed_do_not_prolong_that() -> None:
    gate = Gate()
    for _ in range(50):
        gate.server_failed(AWAY)
    assert await closed_for(gate) <= 0.1


@pytest.mark.parametrize(("asked", "given"), [(3.0, 3.0), (3600.0, 10.0)])
async def test_a_server_that_asks_for_time_is_given_it_within_limits(
    asked: float, given: float
) -> None:
    gate = Gate()
    gate.server_failed(ApiError(429, "TooManyRequests", "", retry_after=asked))
    assert await closed_for(gate) == pytest.approx(given)


async def test_so_many_objects_that_fail_in_a_row_are_the_server_s_failure() -> None:
    gate = Gate()
    for n in range(AILING - 1):
        gate.object_failed(n, api_error(500))
    for _ in range(AILING):
        gate.object_failed(0, api_error(500))
    assert await closed_for(gate) == 0, "one object may fail as often as it likes"
    gate.succeeded()
    for n in range(AILING):
        assert await closed_for(gate) == 0
        gate.object_failed(n, api_error(500))
    assert await closed_for(gate) > 0


async def test_it_is_told_once_that_the_server_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    gate = Gate()
    gate.succeeded()
    for _ in range(3):
        gate.server_failed(AWAY)
        await gate.opened()
    gate.succeeded()
    gate.succeeded()
    assert [record.getMessage() for record in caplog.records] == [
        "status writes wait for the API server: refused",
        "the API server takes status writes again",
    ]

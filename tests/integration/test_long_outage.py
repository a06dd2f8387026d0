"""Ten minutes without an API server, in a moment of loop time."""

import asyncio

import pytest

from data.manifests import backend, frontend, health_check
from in_memory.operator import LocalOperator
from vpplb.kube.api_types import ApiUnreachable, KubeError, api_error
from vpplb.model.names import ObjectKind

pytestmark = pytest.mark.looptime

BACKENDS = [f"b{n}" for n in range(12)]
MINUTES = 10


async def world() -> LocalOperator:
    operator = LocalOperator()
    operator.apply(
        health_check("check"),
        *(
            backend(name, f"192.0.2.{n + 1}", healthCheckRef={"name": "check"})
            for n, name in enumerate(BACKENDS)
        ),
        frontend("web", pools=[{"name": "main", "backends": [{"name": b} for b in BACKENDS]}]),
    )
    operator.reconciler.set_synced(1)
    await operator.settle()
    for name in BACKENDS:
        operator.verdict(name, up=True)
    await operator.settle()
    operator.events()
    return operator


def writes(operator: LocalOperator) -> int:
    return sum(verb == "replace_status" for verb, *_ in operator.server.requests)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [ApiUnreachable("refused"), api_error(500)], ids=str)
async def test_what_flapped_for_ten_minutes_is_shown_as_it_is_ten_seconds_after(
    fault: KubeError,
) -> None:
    operator = await world()
    operator.server.refuse = lambda _: fault
    asked = writes(operator)
    for turn in range(2 * MINUTES):
        for name in BACKENDS:
            operator.verdict(name, up=turn % 2 == 1)
        await asyncio.sleep(30)
    assert operator.writes_due == len(BACKENDS) + 1, "no more than there are objects"
    assert writes(operator) - asked < 60 * MINUTES * 8 / 2.5, "eight in two and a half seconds"
    for name in BACKENDS:
        operator.verdict(name, up=name != "b7")
    operator.server.refuse = lambda _: None
    await asyncio.sleep(10)
    assert operator.writes_due == 0
    states = {name: operator.status(ObjectKind.BACKEND, name)["state"] for name in BACKENDS}
    assert states == {name: "down" if name == "b7" else "up" for name in BACKENDS}
    assert operator.status(ObjectKind.FRONTEND)["ready"] == "11/12"
    assert len(operator.server.events) <= 1000, "what is told afterwards is bounded too"
    asked = writes(operator)
    await asyncio.sleep(60)
    assert writes(operator) == asked, "all is said"
    await operator.stop()

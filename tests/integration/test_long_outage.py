"""Ten minutes without an API server, in a moment of loop time."""

import asyncio

import pytest

from data.manifests import backend, frontend, health_check
from in_memory.operator import LocalOperator
from vpplb.kube.errors import ApiUnreachable, KubeError, api_error
from vpplb.model.names import ObjectKind

pytestmark = pytest.mark.looptime

BACKENDS = [f"b{n}" for n in range(12)]
MINUTES = 10


async def world() -> LocalOperator:
    bench = LocalOperator()
    bench.apply(
        health_check("check"),
        *(
            backend(name, f"192.0.2.{n + 1}", healthCheckRef={"name": "check"})
            for n, name in enumerate(BACKENDS)
        ),
        frontend("web", pools=[{"name": "main", "backends": [{"name": b} for b in BACKENDS]}]),
    )
    bench.reconciler.set_synced()
    await bench.settle()
    for name in BACKENDS:
        bench.verdict(name, up=True)
    await bench.settle()
    bench.events()
    return bench


def writes(bench: LocalOperator) -> int:
    return sum(verb == "replace_status" for verb, *_ in bench.server.requests)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [ApiUnreachable("refused"), api_error(500)], ids=str)
async def test_what_flapped_for_ten_minutes_is_shown_as_it_is_ten_seconds_after(
    fault: KubeError,
) -> None:
    bench = await world()
    bench.server.refuse = lambda _: fault
    asked = writes(bench)
    for turn in range(2 * MINUTES):
        for name in BACKENDS:
            bench.verdict(name, up=turn % 2 == 1)
        await asyncio.sleep(30)
    assert bench.writes_due == len(BACKENDS) + 1, "no more than there are objects"
    assert writes(bench) - asked < 60 * MINUTES * 8 / 2.5, "eight in two and a half seconds"
    for name in BACKENDS:
        bench.verdict(name, up=name != "b7")
    bench.server.refuse = lambda _: None
    await asyncio.sleep(10)
    assert bench.writes_due == 0
    states = {name: bench.status(ObjectKind.BACKEND, name)["state"] for name in BACKENDS}
    assert states == {name: "down" if name == "b7" else "up" for name in BACKENDS}
    assert bench.status(ObjectKind.FRONTEND)["ready"] == "11/12"
    assert len(bench.server.events) <= 1000, "what is told afterwards is bounded too"
    asked = writes(bench)
    await asyncio.sleep(60)
    assert writes(bench) == asked, "all is said"
    await bench.stop()

"""The metrics of whoever has decided on very many backends."""

import asyncio

from data.objects import backend, frontend, health_check, pool, vip
from in_memory.world import World
from vpplb.plan.decisions import DecidedState
from vpplb.standalone.local_statuses import LocalObjects
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.metrics import DecisionMetrics, MetricsRegistry
from vpplb.telemetry.state_view import DecidedStateView


async def _decide_all(frontends: int, each: int) -> DecidedState:
    world = World()
    members = [
        [f"backend-{number * each + n:05}" for n in range(each)] for number in range(frontends)
    ]
    world.put(
        health_check(),
        *(
            backend(name, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
            for n, name in enumerate(name for names in members for name in names)
        ),
        *(
            frontend(
                f"web-{n:04}",
                pool("main", **dict.fromkeys(names[: each // 2], 10)),
                pool("spare", **dict.fromkeys(names[each // 2 :], 10)),
                on=vip(f"192.0.{n >> 8}.{n & 255}/32"),
            )
            for n, names in enumerate(members)
        ),
    )
    return world.decided


def make_large_registry(frontends: int, each: int) -> MetricsRegistry:
    """Return the metrics of so many frontends with so many backends each, in two pools."""
    decided, made = asyncio.run(_decide_all(frontends, each)), MetricsRegistry("operator")
    view = DecidedStateView(LocalObjects(), decided, lambda kind, key: None, EventStream())
    DecisionMetrics(made, view)
    return made

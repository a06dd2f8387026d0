"""What one transition costs an operator that has so many objects: CPU, and lines of our code."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import vpplb
from cluster.fleet import Fleet
from data.manifests import Raw
from in_memory.operator import LocalOperator
from vpplb.model.names import ObjectKind

_OURS = str(Path(vpplb.__file__).parent)


@asynccontextmanager
async def loaded(frontends: int) -> AsyncIterator[LocalOperator]:
    """Give an operator that has a fleet, on an API server in memory; all backends are up."""
    operator = LocalOperator()
    fleet = Fleet(frontends=frontends, doomed=0, port=80, doomed_port=81, namespace="default")
    # As after a restart: so nothing is announced, which at ten events a second takes long.
    shown: dict[ObjectKind, Raw] = {
        ObjectKind.BACKEND: {"status": {"state": "up", "since": "2026-01-01T00:00:00.000000Z"}},
        ObjectKind.FRONTEND: {"status": {"state": "up", "activePool": "main"}},
    }
    operator.apply(*(raw | shown.get(kind, {}) for kind, raw in fleet.objects()))
    operator.reconciler.set_synced(1)
    await operator.settle()
    while operator.pending:
        await operator.settle()
    yield operator
    await operator.stop()


async def cpu_of_transitions(operator: LocalOperator, count: int) -> float:
    """Let backends go down and up; return the CPU seconds of one transition, until written."""
    used = time.process_time()
    for number in range(count):
        operator.verdict(f"web0000-{number // 2 % 10}", up=bool(number % 2))
        await asyncio.sleep(0.002)
    return (time.process_time() - used) / count


async def lines_of_transition(operator: LocalOperator) -> int:
    """Let a backend go down; return how many lines of the package ran until all was written."""
    with _counting() as count:
        operator.verdict("web0000-0", up=False)
        await operator.settle()
    return count()


@contextmanager
def _counting() -> Iterator[Callable[[], int]]:
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        nonlocal lines
        lines += event == "line"
        return trace if frame.f_code.co_filename.startswith(_OURS) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: lines
    finally:
        sys.settrace(before)

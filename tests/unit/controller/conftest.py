"""An operator that serves one frontend."""

from collections.abc import AsyncIterator

import pytest

from support.operator_bench import OperatorBench


@pytest.fixture
async def operator() -> AsyncIterator[OperatorBench]:
    """Give an operator whose lists are complete, and empty."""
    bench = OperatorBench()
    bench.reconciler.set_synced()
    yield bench
    await bench.stop()

"""An operator that serves one frontend."""

from collections.abc import AsyncIterator

import pytest

from in_memory.operator import LocalOperator


@pytest.fixture
async def operator() -> AsyncIterator[LocalOperator]:
    """Give an operator whose lists are complete, and empty."""
    operator = LocalOperator()
    operator.reconciler.set_synced(1)
    yield operator
    await operator.stop()

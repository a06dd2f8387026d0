"""A syncer on a VPP in memory."""

from collections.abc import AsyncIterator

import pytest

from in_memory.syncer import LocalSyncer


@pytest.fixture
async def local() -> AsyncIterator[LocalSyncer]:
    local = LocalSyncer()
    yield local
    await local.stop()

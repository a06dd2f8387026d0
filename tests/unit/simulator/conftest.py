"""A simulated VPP that runs, and a client at its socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.raw_client import RawClient
from vpplb.simulator.server import VppSimulator


@pytest.fixture
async def vpp(tmp_path: Path) -> AsyncIterator[VppSimulator]:
    """Give a running simulator, in a folder that it has to make."""
    running = VppSimulator(tmp_path / "run" / "api.sock")
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def client(vpp: VppSimulator) -> AsyncIterator[RawClient]:
    connected = await RawClient.connect(vpp.api_socket)
    yield connected
    await connected.close()

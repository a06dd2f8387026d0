"""What `get_api_json` answers on the wire: without memclnt's definitions, and with a NUL behind."""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.raw_client import RawClient
from lab.simulated_vpp import simulated_vpp
from vpplb.simulator.messages import MESSAGES, ApiVersion

pytestmark = pytest.mark.slow


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real_vpp)])
async def api_socket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    if request.param == "simulator":
        async with simulated_vpp(tmp_path) as vpp:
            yield vpp.api_socket
    else:
        from lab.real_vpp import start_vpp

        with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path) as path:
            yield path


async def register(client: RawClient) -> tuple[int, dict[str, int]]:
    """Return our index, and the ids of the VPP by name and CRC."""
    client.send("sockclnt_create", name="test")
    reply = await client.receive()
    entries = struct.iter_unpack(">H64s", reply[20:])
    return int.from_bytes(reply[14:18], "big"), {
        name.rstrip(b"\0").decode(): number for number, name in entries
    }


async def test_definitions_are_json_with_a_nul_behind_that_is_not_counted(
    api_socket: Path,
) -> None:
    client = await RawClient.open(api_socket, ApiVersion())
    index, ids = await register(client)
    message = MESSAGES["get_api_json"]
    number = ids[f"{message.name}_{message.crc:08x}"]
    client.send_raw(struct.pack(">HII", number, index, 7))
    async with asyncio.timeout(10):
        reply = await client.receive()
    _, context, retval, length = struct.unpack_from(">HIiI", reply)
    text = reply[14:]
    assert (context, retval) == (7, 0)
    assert (len(text), text[-1:]) == (length + 1, b"\0")
    modules = {definition["module"] for definition in json.loads(text[:-1])}
    assert {"lb", "vlib", "vpe"} <= modules
    assert "memclnt" not in modules
    await client.close()

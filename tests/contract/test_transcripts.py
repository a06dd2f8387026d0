"""The simulator answers unmodified vpp_papi clients as a real VPP did, field by field.

With VPPLB_TEST_VPP the same conversations are held with a real VPP, each with a fresh one.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vpp_papi import VPPApiClient
from vpp_papi import vpp_papi_async as papi_async

from data import transcripts
from lab.real_vpp import start_vpp
from lab.simulated_vpp import LoopThread, run_in_thread
from vpplb.simulator.server import VppSimulator

pytestmark = pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning")
"""Of vpp_papi, which says so each time it is used."""


class Simulated:
    """A simulator and a synchronous client of it, for all transcripts."""

    def __init__(self, simulator: VppSimulator, loop: LoopThread, client: Any) -> None:
        self.simulator = simulator
        self.loop = loop
        self.client = client


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    simulator = VppSimulator(tmp_path_factory.mktemp("vpp") / "api.sock")
    with run_in_thread(simulator) as loop:
        client = connect(simulator.api_socket)
        yield Simulated(simulator, loop, client)
        client.disconnect()


def connect(api_socket: Path) -> Any:
    client = VPPApiClient(use_socket=True, server_address=str(api_socket), bootstrapapi=True)
    client.connect("test")
    return client


def check(name: str, client: Any) -> None:
    for number, exchange in enumerate(transcripts.read(name), start=2):
        reply = transcripts.plain(getattr(client.api, exchange.request)(**exchange.args))
        compare(name, number, exchange, reply)


def compare(name: str, line: int, exchange: transcripts.Exchange, reply: Any) -> None:
    answered = transcripts.comparable(exchange.request, reply)
    recorded = transcripts.comparable(exchange.request, exchange.reply)
    assert answered == recorded, f"{name}, line {line}: {exchange.request} {exchange.args}"


def test_there_are_transcripts_of_every_message_of_the_plugin() -> None:
    transcripts.require(transcripts.TRANSCRIPTS)
    said = {exchange.request for name in transcripts.names() for exchange in transcripts.read(name)}
    assert {"lb_add_del_vip_v2", "lb_add_del_as_v2", "lb_as_set_weight", "lb_as_v2_dump"} <= said


@pytest.mark.parametrize("name", transcripts.names())
def test_simulator_answers_the_synchronous_client_as_recorded(
    name: str, simulated: Simulated
) -> None:
    simulated.loop.call(simulated.simulator.clear)
    check(name, simulated.client)


@pytest.mark.parametrize("name", transcripts.names())
async def test_simulator_answers_the_asynchronous_client_as_recorded(
    name: str, tmp_path: Path
) -> None:
    simulator = VppSimulator(tmp_path / "api.sock")
    await simulator.start()
    client = papi_async.VPPApiClient(server_address=str(simulator.api_socket))
    assert await client.connect("test", asyncio.Queue()) == 0
    for number, exchange in enumerate(transcripts.read(name), start=2):
        answer = await getattr(client.api, exchange.request)(**exchange.args)
        reply = answer[1] if isinstance(exchange.reply, list) else answer
        compare(name, number, exchange, transcripts.plain(reply))
    await client.disconnect()
    await simulator.stop()


@pytest.mark.slow
@pytest.mark.real_vpp
@pytest.mark.parametrize("name", transcripts.names())
def test_real_vpp_answers_as_recorded(name: str, tmp_path: Path) -> None:
    with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path / "v") as api_socket:
        client = connect(api_socket)
        check(name, client)
        client.disconnect()

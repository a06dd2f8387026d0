"""From packets in VPP to series of a frontend: standalone on the simulator."""

import asyncio
import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from data.manifests import backend, frontend
from fakes.prober import FakeProber
from lab.waiting import eventually
from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.server import VppSimulator
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.standalone_parts import StandaloneOptions
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = pytest.mark.slow

POOLS = [{"name": "main", "backends": [{"name": "a"}]}]


def packets(pieces: Iterable[bytes]) -> dict[str, int]:
    """Return the packets of frontend default/web by kind."""
    series = r'^vpplb_vip_packets_total\{frontend="web",kind="(\w+)",namespace="default"\} (\S+)$'
    return {
        k: int(float(v)) for k, v in re.findall(series, b"".join(pieces).decode(), re.MULTILINE)
    }


@pytest.mark.parametrize("given", [False, True], ids=["own-connection", "given-connection"])
async def test_packets_to_a_vip_are_counted_for_its_frontend(tmp_path: Path, given: bool) -> None:
    simulator = VppSimulator(tmp_path / "api.sock", stats_socket=tmp_path / "stats.sock")
    await simulator.start()
    folder = tmp_path / "manifests"
    folder.mkdir()
    objects = [frontend(pools=POOLS), backend("a", "10.0.0.1")]
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    options = StandaloneOptions(
        folder=folder,
        vpp_api_socket=simulator.api_socket,
        vpp_stats_socket=simulator.stats_socket,
        state_file=tmp_path / "state.json",
        http_address="",
    )
    stop = asyncio.Event()
    lb = PapiLoadBalancer(simulator.api_socket) if given else None
    indexes = lb.vip_indexes if lb else None
    standalone = StandaloneApp(options, lb, FakeProber(), indexes=indexes)
    task = asyncio.create_task(standalone.run(stop))
    await eventually(lambda: bool(simulator.lb.table()), "the VIP")
    (vip,) = simulator.lb.table()
    await eventually(lambda: len(simulator.lb.table()[vip].servers) == 1, "its server")
    client = ip_address("203.0.113.7")
    for port in (1, 2, 2):
        flow = FiveTuple(client, vip.prefix.network_address, TCP, port, vip.port)
        assert simulator.lb.forward_packet(flow) == ip_address("10.0.0.1")
    counted = {"existing": 1, "first": 2, "untracked": 0, "no_server": 0}
    await eventually(lambda: packets(standalone._http.metrics()) == counted, "the packets")
    stop.set()
    await task
    await simulator.stop()

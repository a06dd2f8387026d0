"""NAT VIPs that come to share a server and its port: not told to VPP, which would abort of it."""

import os
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.simulated_vpp import simulated_vpp
from vpplb.model.vip import Encap, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op
from vpplb.vpp.lb import NOT_SENT, PapiLoadBalancer

pytestmark = pytest.mark.slow

DNS, OTHER = (VipId(ip_network(f"192.0.2.{host}/32"), VipProtocol.UDP, 53) for host in (1, 2))
A, B = ip_address("10.1.0.1"), ip_address("10.1.0.2")
NAT = VipSettings(encap=Encap.NAT4, target_port=5353)


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real_vpp)])
async def lb(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PapiLoadBalancer]:
    """What programs an empty VPP."""
    if request.param == "simulator":
        async with simulated_vpp(tmp_path) as simulator:
            async for each in _connected(simulator.api_socket):
                yield each
    else:
        from lab.real_vpp import start_vpp

        with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path) as path:
            async for each in _connected(path):
                yield each


async def _connected(socket: Path) -> AsyncIterator[PapiLoadBalancer]:
    papi = PapiLoadBalancer(socket)
    await papi.connect()
    await papi.read()
    yield papi
    await papi.close()


async def retvals(lb: PapiLoadBalancer, *ops: Op) -> list[int]:
    return [outcome.retval for outcome in await lb.apply_ops(ops)]


async def each_alone(lb: PapiLoadBalancer, *ops: Op) -> list[int]:
    return [retval for op in ops for retval in await retvals(lb, op)]


def served(vip: VipId, settings: VipSettings = NAT) -> tuple[Op, Op]:
    return AddVip(vip=vip, settings=settings), AddServer(vip=vip, address=A, weight=100)


async def test_a_server_waits_while_another_nat_vip_has_its_mapping(lb: PapiLoadBalancer) -> None:
    assert await retvals(lb, *served(DNS)) == [0, 0]
    assert await each_alone(lb, *served(OTHER)) == [0, NOT_SENT]
    elsewhere = VipSettings(encap=Encap.NAT4, target_port=54)
    again = DelVip(vip=OTHER, settings=NAT)
    assert await each_alone(lb, again, *served(OTHER, elsewhere)) == [0, 0, 0]


@pytest.mark.parametrize("look", [False, True], ids=["at once", "after a reading"])
async def test_a_nat_vip_that_is_made_anew_waits_for_its_servers(
    lb: PapiLoadBalancer, look: bool
) -> None:
    remove = DelServer(vip=DNS, address=A, flush=True), DelVip(vip=DNS, settings=NAT)
    assert await each_alone(lb, *served(DNS), *remove) == [0] * 4
    if look:
        await lb.read()
    b = AddServer(vip=DNS, address=B, weight=100)
    add, server = served(DNS)
    assert await each_alone(lb, add, b, server) == [0, 0, NOT_SENT]
    if look:
        await lb.read()
    assert await retvals(lb, server) == [NOT_SENT]

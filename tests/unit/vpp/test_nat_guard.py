"""A server of a NAT VIP is not given to VPP while another mapping for it is there, or lingers."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.simulated_vpp import simulated_vpp
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.nat_guard import NatGuard

A = ip_address("10.0.0.1")
DNS, NTP, WEB = (
    VipId.parse_text(f"192.0.2.{at}") for at in ("1/32 udp/53", "2/32 udp/123", "3/32 udp/80")
)
NAT = VipSettings(encap=Encap.NAT4, target_port=5353)
GRE = VipSettings(encap=Encap.GRE4)
LINGERS = "VPP has not forgotten 10.0.0.1 yet, which takes it two minutes"
ADDED = AddServer(vip=DNS, address=A, weight=1)


def guard(*made: tuple[VipId, VipSettings]) -> NatGuard:
    one = NatGuard()
    for vip, settings in made:
        one.on_applied(AddVip(vip=vip, settings=settings))
    return one


def row(settings: VipSettings) -> Vip:
    return Vip(settings=settings, servers={A: AppServer(weight=1)})


def test_a_server_that_was_removed_waits_until_vpp_has_forgotten_it() -> None:
    one = guard((DNS, NAT))
    assert one.refusal_of(ADDED) == ""
    one.on_applied(ADDED)
    one.on_applied(DelServer(vip=DNS, address=A, flush=True))
    assert one.refusal_of(ADDED) == LINGERS
    one.on_table_read({DNS: Vip(settings=NAT, servers={})}, [(DNS, A)])
    assert one.refusal_of(ADDED) == LINGERS
    one.on_table_read({DNS: Vip(settings=NAT, servers={})}, [])
    assert one.refusal_of(ADDED) == ""


def test_a_server_that_another_vip_has_by_nat_waits_for_the_same_port_alone() -> None:
    one = guard((DNS, NAT), (NTP, NAT), (WEB, VipSettings(encap=Encap.NAT4, target_port=80)))
    one.on_applied(AddServer(vip=NTP, address=A, weight=1))
    assert one.refusal_of(ADDED) == "192.0.2.2/32 udp/123 has 10.0.0.1 with the same port 5353"
    assert one.refusal_of(AddServer(vip=WEB, address=A, weight=1)) == ""
    one.on_table_read({DNS: Vip(settings=NAT, servers={}), NTP: row(NAT)}, [])
    assert one.refusal_of(ADDED) == "192.0.2.2/32 udp/123 has 10.0.0.1 with the same port 5353"


def test_what_lingers_of_a_vip_that_nobody_knows_may_be_of_nat() -> None:
    one = guard((DNS, NAT))
    one.on_table_read({DNS: Vip(settings=NAT, servers={})}, [(NTP, A)])
    assert one.refusal_of(ADDED) == LINGERS
    one.on_table_read({DNS: Vip(settings=NAT, servers={})}, [(None, A)])
    assert one.refusal_of(ADDED) == LINGERS


def test_a_vip_by_gre_waits_for_nothing_and_nothing_waits_for_it() -> None:
    one = guard((DNS, NAT), (WEB, GRE))
    one.on_applied(DelServer(vip=DNS, address=A, flush=True))
    assert one.refusal_of(AddServer(vip=WEB, address=A, weight=1)) == ""
    other = guard((DNS, NAT), (WEB, GRE))
    other.on_applied(AddServer(vip=WEB, address=A, weight=1))
    other.on_applied(DelServer(vip=WEB, address=A, flush=True))
    other.on_table_read({DNS: Vip(settings=NAT, servers={})}, [(WEB, A)])
    assert other.refusal_of(ADDED) == ""


@pytest.mark.looptime
@pytest.mark.slow
async def test_a_nat_vip_made_anew_gets_its_servers_when_vpp_has_forgotten_them(
    tmp_path: Path,
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        await lb.read()
        made: list[Op] = [AddVip(vip=DNS, settings=NAT), ADDED]
        assert [one.message for one in await lb.apply_ops(made)] == ["", ""]
        gone: list[Op] = [DelServer(vip=DNS, address=A, flush=True), DelVip(vip=DNS, settings=NAT)]
        assert [one.message for one in await lb.apply_ops(gone)] == ["", ""]
        assert [one.message for one in await lb.apply_ops(made)] == ["", LINGERS]
        await lb.read()
        assert [one.message for one in await lb.apply_ops([ADDED])] == [LINGERS]
        await lb.close()

"""What is right by all rules and may yet disappoint."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from data.objects import key, vip
from vpplb.model.objects import Frontend
from vpplb.model.problem import Problem
from vpplb.model.vip import (
    AppServer,
    Encap,
    IPAddress,
    LbConf,
    Vip,
    VipId,
    VipProtocol,
    VipSettings,
)
from vpplb.plan.resolved import ResolvedFrontend
from vpplb.plan.warnings import find_warnings, warn_of_unset_sources


def frontend(encap: Encap | None, protocol: VipProtocol, port: int = 53) -> ResolvedFrontend:
    vip_id = VipId(vip().prefix, protocol, port)
    one = Frontend(key=key("web"), vip=vip_id, pools=(), encap=encap)
    return ResolvedFrontend(frontend=one, encap=encap or Encap.GRE4, members=())


@pytest.mark.parametrize("encap", [Encap.NAT4, Encap.NAT6])
def test_tcp_on_a_nat_vip_is_warned_of(encap: Encap) -> None:
    (warning,) = find_warnings(frontend(encap, VipProtocol.TCP))
    assert (warning.field, warning.reason) == ("spec.encap", "NatDropsTcp")
    assert "drops TCP" in warning.message


@pytest.mark.parametrize(
    ("encap", "protocol"),
    [(Encap.GRE4, VipProtocol.TCP), (Encap.GRE4, VipProtocol.UDP), (None, VipProtocol.TCP)],
)
def test_what_vpp_carries_is_not_warned_of(encap: Encap | None, protocol: VipProtocol) -> None:
    assert find_warnings(frontend(encap, protocol)) == ()


@pytest.mark.parametrize("encap", [Encap.NAT4, Encap.NAT6])
def test_answers_from_the_swapped_port_are_warned_of(encap: Encap) -> None:
    (warning,) = find_warnings(frontend(encap, VipProtocol.UDP))
    assert warning.reason == "NatSwapsPort"
    assert "from port 13568 instead of 53" in warning.message


def test_a_port_that_is_the_same_when_it_is_swapped_is_not_warned_of() -> None:
    assert find_warnings(frontend(Encap.NAT4, VipProtocol.UDP, 0x1212)) == ()


def test_what_the_objects_of_others_do_to_it_is_among_them() -> None:
    doubt = Problem(kind="Frontend", key=key("web"), reason="ServersInVip", message="beware")
    assert find_warnings(replace(frontend(None, VipProtocol.TCP), warnings=(doubt,))) == (doubt,)


def serving(encap: Encap, *, servers: bool = True) -> dict[VipId, Vip]:
    some: dict[IPAddress, AppServer] = {IPv4Address("10.0.0.1"): AppServer(weight=1)}
    return {vip(): Vip(settings=VipSettings(encap=encap), servers=some if servers else {})}


def test_packets_that_come_from_nowhere_are_warned_of() -> None:
    (said,) = warn_of_unset_sources(LbConf(), serving(Encap.GRE4))
    assert said.startswith("GRE4 packets leave from VPP's default of all ones")
    assert "--ipv4-source-address" in said
    (said,) = warn_of_unset_sources(LbConf(), serving(Encap.GRE6))
    assert "spec.ipv6SourceAddress" in said


def test_a_source_that_is_set_or_not_needed_is_not_warned_of() -> None:
    assert (
        warn_of_unset_sources(LbConf(ipv4_source=IPv4Address("10.9.9.9")), serving(Encap.GRE4))
        == ()
    )
    assert warn_of_unset_sources(LbConf(), serving(Encap.L3DSR)) == ()
    assert warn_of_unset_sources(LbConf(), serving(Encap.GRE4, servers=False)) == ()

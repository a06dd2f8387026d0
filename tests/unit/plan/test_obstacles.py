"""What is not tried, since something that stays in VPP would have it refused."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from in_memory.planned import diff
from vpplb.model.vip import AppServer, Encap, StrangeVip, Vip, VipId, VipProtocol, VipSettings
from vpplb.plan.diff import diff_prefix
from vpplb.plan.obstacles import VipCase, keep_settings
from vpplb.plan.ops import AddServer, AddVip, DelVip, SetWeight, VipOp

PREFIX = ip_network("192.0.2.1/32")
WEB, TLS, DNS = (
    VipId(PREFIX, protocol, port)
    for protocol, port in ((VipProtocol.TCP, 80), (VipProtocol.TCP, 443), (VipProtocol.UDP, 53))
)
ALL = VipId(PREFIX, VipProtocol.ANY, 0)
A, V6 = ip_address("10.0.0.1"), ip_address("fd00::1")


def row(encap: Encap = Encap.GRE4, weight: int = 100, length: int = 1024) -> Vip:
    server = V6 if encap in (Encap.GRE6, Encap.NAT6) else A
    settings = VipSettings(encap=encap, table_length=length)
    return Vip(settings=settings, servers={server: AppServer(weight=weight)})


def ops(
    desired: Mapping[VipId, Vip], observed: Mapping[VipId, Vip], *owned: VipId
) -> tuple[VipOp, ...]:
    return diff(desired, observed, owned=owned, flushed={}).ops


def why(*cases: VipCase, strange: tuple[StrangeVip, ...] = ()) -> list[str]:
    return [planned.obstacle for planned in diff_prefix(cases, strange)]


def foreign(vip: VipId, have: Vip) -> VipCase:
    return VipCase(vip, have, None, None, foreign=True)


@pytest.mark.parametrize(
    ("wanted", "other", "rule"),
    [
        ((WEB, Encap.NAT4), (TLS, Encap.GRE4), "one encapsulation, here GRE4"),
        ((WEB, Encap.GRE4), (ALL, Encap.GRE4), "a VIP of all ports is alone on its prefix"),
        ((ALL, Encap.GRE4), (WEB, Encap.GRE4), "a VIP of all ports is alone on its prefix"),
    ],
)
def test_a_vip_that_another_keeps_from_being_made_is_not_tried(
    wanted: tuple[VipId, Encap], other: tuple[VipId, Encap], rule: str
) -> None:
    (vip, encap), (there, theirs) = wanted, other
    assert ops({vip: row(encap)}, {there: row(theirs)}) == ()
    (said, _) = why(VipCase(vip, None, row(encap), None), foreign(there, row(theirs)))
    assert said.startswith(f"VPP has {there}, not ours: ")
    assert rule in said


def test_a_vip_that_cannot_be_made_anew_stays_and_its_weights_are_kept_right() -> None:
    before = {WEB: row(), TLS: row()}
    assert ops({WEB: row(Encap.NAT4)}, before, WEB) == ()
    assert ops({WEB: row(Encap.NAT4, weight=0)}, before, WEB) == (
        SetWeight(vip=WEB, address=A, weight=0),
    )
    assert ops({WEB: row(Encap.GRE6)}, before, WEB) == ()
    (said, _) = why(VipCase(WEB, row(), row(Encap.NAT4), None), foreign(TLS, row()))
    assert said.endswith("here GRE4; what VPP has stays as it was made")


def test_it_is_made_anew_where_what_it_changes_hurts_nobody() -> None:
    assert AddVip(vip=WEB, settings=row(length=64).settings, recreated=True) in ops(
        {WEB: row(length=64)}, {WEB: row(), TLS: row()}, WEB
    )


def test_what_stays_since_it_cannot_be_made_anew_is_in_the_way_of_others() -> None:
    cases = (
        VipCase(WEB, row(), row(Encap.NAT4), None),
        VipCase(DNS, None, row(Encap.NAT4), None),
        foreign(TLS, row()),
    )
    assert [bool(said) for said in why(*cases)] == [True, True, False]
    assert all(planned.chain is None for planned in diff_prefix(cases))


def test_all_vips_of_a_prefix_can_change_their_encapsulation_together() -> None:
    before, after = {WEB: row(), TLS: row()}, {WEB: row(Encap.NAT4), TLS: row(Encap.NAT4)}
    done = ops(after, before)
    assert [type(op) for op in done if not isinstance(op, AddServer)].count(AddVip) == 2
    # One after the other they wait for each other, and neither is taken away meanwhile.
    assert ops(after | {TLS: row()}, before) == ()


def test_of_two_that_exclude_each_other_the_first_is_made() -> None:
    assert [type(op).__name__ for op in ops({WEB: row(), TLS: row(Encap.NAT4)}, {})] == [
        "AddVip",
        "AddServer",
    ]


def test_a_vip_stays_as_long_as_its_frontends_new_one_cannot_be_made() -> None:
    old = VipCase(DNS, row(), None, None, heir=row(weight=7), heir_id=ALL)
    new = VipCase(ALL, None, row(weight=7), None)
    kept, blocked, _ = diff_prefix((old, new, foreign(TLS, row())))
    assert kept.chain is not None
    assert kept.chain.ops == (SetWeight(vip=DNS, address=A, weight=7),)
    assert (blocked.chain, blocked.want) == (None, None)
    moved, made = diff_prefix((old, new))
    assert moved.chain is not None
    assert any(isinstance(op, DelVip) for op in moved.chain.ops)
    assert made.chain is not None


def test_what_no_frontend_can_have_is_in_the_way_as_well() -> None:
    sctp = StrangeVip(text="192.0.2.1/32 protocol 132 port 9", prefix=PREFIX, encap=Encap.GRE4)
    unknown = StrangeVip(text="::/8 all ports", prefix=PREFIX, all_ports=True)
    assert why(VipCase(WEB, None, row(), None), strange=(sctp,)) == [""]
    assert why(VipCase(WEB, None, row(Encap.NAT4), None), strange=(sctp,)) == [
        "VPP has 192.0.2.1/32 protocol 132 port 9, not ours: "
        "all VIPs of a prefix have one encapsulation, here GRE4"
    ]
    assert why(VipCase(WEB, None, row(), None), strange=(unknown,)) == [
        "VPP has ::/8 all ports, not ours: VPP cannot tell it from what is wanted"
    ]


def test_no_server_is_added_to_an_all_port_nat_vip_that_stays() -> None:
    assert keep_settings(ALL, row(Encap.NAT4), row()) is None
    assert keep_settings(WEB, row(Encap.NAT4), row()) == row(Encap.NAT4)
    assert keep_settings(WEB, row(), row(Encap.GRE6)) is None


def test_a_vip_by_nat_is_not_made_anew_by_nat_but_its_weights_are_kept_right() -> None:
    nat = row(Encap.NAT4)
    assert ops({DNS: row(Encap.NAT4, length=2048)}, {DNS: nat}, DNS) == ()
    assert ops({DNS: row(Encap.NAT4, weight=0, length=2048)}, {DNS: nat}, DNS) == (
        SetWeight(vip=DNS, address=A, weight=0),
    )
    (said,) = why(VipCase(DNS, nat, row(Encap.NAT4, length=2048), None))
    assert said.startswith("VPP cannot make a NAT VIP anew: what it has stays as it was made; ")
    assert "delete the Frontend" in said


@pytest.mark.parametrize(("old", "new"), [(Encap.NAT4, Encap.GRE4), (Encap.GRE4, Encap.NAT4)])
def test_a_vip_that_comes_to_nat_or_leaves_it_is_made_anew(old: Encap, new: Encap) -> None:
    assert any(isinstance(op, AddVip) for op in ops({DNS: row(new)}, {DNS: row(old)}, DNS))
    assert why(VipCase(DNS, row(old), row(new), None)) == [""]


def test_what_a_nat_vip_that_stays_excludes_is_not_tried_either() -> None:
    stays = VipCase(DNS, row(Encap.NAT4), row(Encap.NAT4, length=2048), None)
    assert all(why(stays, VipCase(WEB, None, row(Encap.GRE4), None)))

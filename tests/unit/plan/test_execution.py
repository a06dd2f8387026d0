"""What a VIP has become after some ops, and whether its chain goes on after a failure."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from in_memory.planned import diff
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings
from vpplb.plan.diff import PlanStep
from vpplb.plan.execution import apply_ops, count_as, may_continue
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, DelServer, DelVip, SetWeight


def vip() -> VipId:
    return VipId(ip_network("192.0.2.1"), VipProtocol.TCP, 80)


def row(weights: Mapping[str, int] | None = None, length: int = 1024) -> Vip:
    """A VIP with servers by last number of the address."""
    servers = {ip_address(f"10.0.0.{k}"): AppServer(weight=w) for k, w in (weights or {}).items()}
    return Vip(settings=VipSettings(encap=Encap.GRE4, table_length=length), servers=servers)


def test_a_chain_goes_on_after_a_failure_unless_the_vip_would_stand_without_a_server() -> None:
    want = row({"1": 0, "2": 50})
    assert not may_continue(PlanStep.CREATE, None, want)
    assert not may_continue(PlanStep.FILL, row({"1": 100, "2": 0}), want)
    assert not may_continue(PlanStep.FILL, row({"1": 100}), want)
    assert not may_continue(PlanStep.FILL, None, want)
    assert may_continue(PlanStep.FILL, row({"1": 100, "2": 1}), want)
    assert may_continue(PlanStep.PRUNE, row({"1": 100}), None)
    assert may_continue(PlanStep.CLEAR_VIP, None, want)


def test_after_ops_the_vip_is_what_vpp_makes_of_it() -> None:
    a, b = ip_address("10.0.0.1"), ip_address("10.0.0.2")
    ops = (
        AddVip(vip=vip(), settings=row().settings),
        AddServer(vip=vip(), address=a, weight=1),
        AddServer(vip=vip(), address=b, weight=2),
        SetWeight(vip=vip(), address=a, weight=9, flush=True),
        DelServer(vip=vip(), address=b),
    )
    assert apply_ops(None, ops) == row({"1": 9})
    assert apply_ops(row({"1": 9}), [DelVip(vip=vip(), settings=row().settings)]) is None
    assert apply_ops(None, [SetWeight(vip=vip(), address=a, weight=1)]) is None


def test_a_weight_of_a_server_that_is_not_there_makes_no_server() -> None:
    a, b = ip_address("10.0.0.1"), ip_address("10.0.0.2")
    ops = (SetWeight(vip=vip(), address=a, weight=9), SetWeight(vip=vip(), address=b, weight=9))
    assert apply_ops(row({"1": 1}), ops) == row({"1": 9})
    assert apply_ops(row({"1": 1}), (*ops, DelServer(vip=vip(), address=a))) == row()


def test_a_recreation_counts_once_and_a_removal_as_one() -> None:
    (again,) = diff({vip(): row(length=2048)}, {vip(): row()}, owned=(), flushed={}).chains
    assert [count_as(op, again) for op in again.ops] == [None, ChangeKind.VIP_RECREATED]
    (gone,) = diff({}, {vip(): row()}, owned=(vip(),), flushed={}).chains
    assert [count_as(op, gone) for op in gone.ops] == [ChangeKind.VIP_REMOVED]

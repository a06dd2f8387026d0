from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from in_memory.planned import diff
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings, VipTable
from vpplb.plan.diff import CallPlan, needs_flush
from vpplb.plan.ops import AddVip, DelVip, SetWeight
from vpplb.plan.render import call_text


def vip(port: int = 80, address: str = "192.0.2.1") -> VipId:
    return VipId(ip_network(address), VipProtocol.TCP if port else VipProtocol.ANY, port)


def row(
    weights: Mapping[str, int | tuple[int, int]] | None = None,
    encap: Encap = Encap.GRE4,
    length: int = 1024,
) -> Vip:
    """A VIP with servers by last number of the address: weight, or (weight, flush epoch)."""
    servers = {}
    for last, value in (weights or {}).items():
        weight, epoch = value if isinstance(value, tuple) else (value, 0)
        servers[ip_address(f"10.0.0.{last}")] = AppServer(weight=weight, flush_epoch=epoch)
    return Vip(settings=VipSettings(encap=encap, table_length=length), servers=servers)


def plan(
    desired: VipTable,
    observed: VipTable,
    owned: tuple[VipId, ...] = (),
    flushed: Mapping[str, int] | None = None,
) -> str:
    """The plan's text; `flushed` is by last number of the address, of VIP `vip()`."""
    applied = {ip_address(f"10.0.0.{k}"): v for k, v in (flushed or {}).items()}
    known = {} if flushed is None else {vip(): applied}
    calls = diff(desired, observed, owned=owned, flushed=known).ops
    return "".join(f"{call_text(op)}\n" for op in calls)


def test_equal_tables_need_no_call() -> None:
    table = {vip(): row({"1": 10})}
    assert not diff(table, table, owned=table, flushed={})
    assert plan(table, table) == ""


def test_a_new_vip_gets_its_servers_in_numeric_order() -> None:
    assert plan({vip(): row({"10": 1, "9": 0, "2": 3})}, {}) == (
        "192.0.2.1/32 tcp/80  + vip GRE4 table 1024\n"
        "192.0.2.1/32 tcp/80  + 10.0.0.2 weight 3\n"
        "192.0.2.1/32 tcp/80  + 10.0.0.9 weight 0\n"
        "192.0.2.1/32 tcp/80  + 10.0.0.10 weight 1\n"
    )


def test_weights_are_raised_before_others_are_lowered_and_servers_removed() -> None:
    before = {vip(): row({"1": 100, "2": 0, "3": 50})}
    assert plan({vip(): row({"1": 0, "2": 100, "4": 10})}, before) == (
        "192.0.2.1/32 tcp/80  + 10.0.0.4 weight 10\n"
        "192.0.2.1/32 tcp/80  = 10.0.0.2 weight 100\n"
        "192.0.2.1/32 tcp/80  = 10.0.0.1 weight 0\n"
        "192.0.2.1/32 tcp/80  - 10.0.0.3 flush\n"
    )


def test_raises_of_all_vips_come_before_any_is_lowered() -> None:
    before = {vip(80): row({"1": 1, "2": 0}), vip(443): row({"1": 1, "2": 0})}
    want = {vip(80): row({"1": 0, "2": 1}), vip(443): row({"1": 0, "2": 1})}
    ops = diff(want, before, owned=(), flushed={}).ops
    assert [op.weight for op in ops if isinstance(op, SetWeight)] == [1, 1, 0, 0]


def test_an_owned_vip_that_is_not_wanted_is_removed_servers_first_with_flush() -> None:
    assert plan({}, {vip(): row({"1": 1})}, owned=(vip(),)) == (
        "192.0.2.1/32 tcp/80  - 10.0.0.1 flush\n192.0.2.1/32 tcp/80  - vip\n"
    )


def test_a_vip_that_is_not_owned_is_left_alone() -> None:
    assert plan({}, {vip(): row({"1": 1})}, owned=(vip(443),)) == ""


def test_an_immutable_change_removes_and_recreates_that_vip_alone() -> None:
    before = {vip(80): row({"1": 1}), vip(443): row({"1": 1})}
    want = {vip(80): row({"1": 1}, length=4096), vip(443): row({"1": 1})}
    assert plan(want, before) == (
        "192.0.2.1/32 tcp/80  - 10.0.0.1 flush\n"
        "192.0.2.1/32 tcp/80  - vip\n"
        "192.0.2.1/32 tcp/80  + vip GRE4 table 4096 (recreated)\n"
        "192.0.2.1/32 tcp/80  + 10.0.0.1 weight 1\n"
    )


def test_removals_that_block_an_addition_come_before_it_and_others_after() -> None:
    before = {vip(80): row(), vip(443): row(), vip(80, "192.0.2.2"): row()}
    want = {vip(0): row()}
    ops = diff(want, before, owned=before, flushed={}).ops
    assert ops == (
        DelVip(vip=vip(80), settings=row().settings),
        DelVip(vip=vip(443), settings=row().settings),
        AddVip(vip=vip(0), settings=row().settings),
        DelVip(vip=vip(80, "192.0.2.2"), settings=row().settings),
    )


def test_a_new_encapsulation_for_all_vips_of_a_prefix_removes_all_before_it_adds_one() -> None:
    before = {vip(80): row(), vip(443): row()}
    want = {vip: row(encap=Encap.GRE6) for vip in before}
    kinds = [type(op) for op in diff(want, before, owned=(), flushed={}).ops]
    assert kinds == [DelVip, DelVip, AddVip, AddVip]


@pytest.mark.parametrize(
    ("have", "want", "applied", "flushes"),
    [
        (100, (100, 0), None, False),
        (100, (0, 0), 0, False),
        (100, (0, 1), 0, True),
        (0, (0, 1), 0, True),
        (0, (0, 1), 1, False),
        (0, (0, 7), None, False),
        (100, (100, 7), None, False),
        (100, (0, 7), None, True),
        (0, (50, 2), 1, True),
        (0, (0, 1), 9, False),
        (100, (0, 1), 9, True),
    ],
    ids=[
        "nothing new",
        "a drain keeps its flows",
        "lowered with a new epoch",
        "a new epoch at weight 0",
        "an applied epoch is not repeated",
        "without memory old epochs are taken as applied",
        "and so at any weight",
        "but what is lowered to 0 with an epoch is flushed",
        "a new epoch while the weight is raised",
        "epochs begun anew are taken as applied",
        "but what is lowered then is flushed",
    ],
)
def test_flush(have: int, want: tuple[int, int], applied: int | None, flushes: bool) -> None:
    weight, epoch = want
    server = AppServer(weight=weight, flush_epoch=epoch)
    assert needs_flush(AppServer(weight=have), server, applied) is flushes


def test_a_flush_is_one_call_with_the_weight() -> None:
    before = {vip(): row({"1": 100, "2": 0, "3": 0})}
    want = {vip(): row({"1": (0, 1), "2": (0, 1), "3": (5, 1)})}
    assert plan(want, before, flushed={"1": 0, "2": 0, "3": 0}) == (
        "192.0.2.1/32 tcp/80  = 10.0.0.3 weight 5 flush\n"
        "192.0.2.1/32 tcp/80  = 10.0.0.1 weight 0 flush\n"
        "192.0.2.1/32 tcp/80  = 10.0.0.2 weight 0 flush\n"
    )


def test_a_plan_is_empty_or_has_something_to_send() -> None:
    assert not CallPlan()
    assert diff({vip(): row()}, {}, owned=(), flushed={})

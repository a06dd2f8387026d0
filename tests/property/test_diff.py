"""From any configuration to any other, by the plan alone, on a VPP that is strict."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples import examples
from fakes.load_balancer import FakeLoadBalancer
from in_memory.planned import diff
from vpplb.model.vip import (
    AppServer,
    Encap,
    IPNetwork,
    Vip,
    VipId,
    VipProtocol,
    VipSettings,
    VipTable,
)
from vpplb.plan.diff import PlanStep
from vpplb.plan.execution import apply_ops
from vpplb.plan.ops import AddServer, AddVip
from vpplb.plan.render import call_text

PREFIXES: tuple[IPNetwork, ...] = (IPv4Network("192.0.2.1/32"), IPv6Network("2001:db8::/64"))
PORTS = ((VipProtocol.TCP, 80), (VipProtocol.UDP, 80), (VipProtocol.TCP, 443))
pytestmark = pytest.mark.slow
FEW = settings(max_examples=examples(50))
"""The machine may be slow; each run has other examples."""
SERVERS = {
    Encap.GRE4: [ip_address(f"10.0.0.{n}") for n in (1, 2, 10)],
    Encap.GRE6: [ip_address(f"fd00::{n}") for n in (1, 2, 10)],
}


servers = st.builds(AppServer, weight=st.sampled_from([0, 0, 1, 50, 100]))
rows = {
    encap: st.builds(
        Vip,
        settings=st.builds(
            VipSettings,
            encap=st.just(encap),
            table_length=st.sampled_from([1024, 4096]),
            src_ip_sticky=st.booleans(),
        ),
        servers=st.dictionaries(st.sampled_from(addresses), servers),
    )
    for encap, addresses in SERVERS.items()
}
prefixes = st.lists(st.sampled_from(PREFIXES), unique=True)
encaps = st.sampled_from(list(SERVERS))
ports_of_one = st.one_of(
    st.lists(st.sampled_from(PORTS), unique=True, min_size=1), st.just([(VipProtocol.ANY, 0)])
)


@st.composite
def tables(draw: st.DrawFn) -> dict[VipId, Vip]:
    """Tables that VPP can have: one encapsulation and one kind of VIP a prefix."""
    table: dict[VipId, Vip] = {}
    for prefix in draw(prefixes):
        row = rows[draw(encaps)]
        table |= {VipId(prefix, *port): draw(row) for port in draw(ports_of_one)}
    return table


def vpp_with(table: VipTable) -> FakeLoadBalancer:
    lb = FakeLoadBalancer()
    for vip, row in table.items():
        assert lb.do(AddVip(vip=vip, settings=row.settings)) == 0
        for address, server in row.servers.items():
            assert lb.do(AddServer(vip=vip, address=address, weight=server.weight)) == 0
    return lb


def plain(table: VipTable) -> VipTable:
    """Leave out what is only observed or only desired."""
    return {
        vip: Vip(
            settings=row.settings,
            servers={a: AppServer(weight=s.weight) for a, s in row.servers.items()},
        )
        for vip, row in table.items()
    }


def serves(table: Mapping[VipId, Vip], vip: VipId) -> bool:
    return vip in table and any(s.weight for s in table[vip].servers.values())


@FEW
@given(tables(), tables())
def test_the_plan_makes_one_table_of_the_other_and_vpp_refuses_nothing(
    before: VipTable, desired: VipTable
) -> None:
    lb = vpp_with(before)
    for op in diff(desired, lb.table(), owned=before, flushed={}).ops:
        assert lb.do(op) == 0
    assert lb.table() == plain(desired)
    assert not diff(desired, lb.table(), owned=before, flushed={})


@FEW
@given(tables(), tables(), st.data())
def test_only_owned_vips_are_removed(
    before: VipTable, desired: VipTable, data: st.DataObject
) -> None:
    owned = data.draw(st.sets(st.sampled_from(list(before)))) if before else set()
    touched = {vip.prefix for vip in desired}
    others = {v: row for v, row in before.items() if v not in owned and v.prefix not in touched}
    lb = vpp_with(before)
    for op in diff(desired, lb.table(), owned=owned, flushed={}).ops:
        lb.do(op)
    assert plain(others).items() <= lb.table().items()
    gone = before.keys() - lb.table().keys()
    assert gone <= owned | desired.keys()


@FEW
@given(tables(), tables())
def test_a_vip_that_serves_and_shall_serve_never_stands_without_a_server(
    before: VipTable, desired: VipTable
) -> None:
    lb = vpp_with(before)
    plan = diff(desired, lb.table(), owned=before, flushed={})
    recreated = {op.vip for op in plan.ops if isinstance(op, AddVip)}
    guarded = [v for v in desired if serves(before, v) and serves(desired, v)]
    for op in plan.ops:
        lb.do(op)
        assert all(serves(lb.table(), vip) for vip in guarded if vip not in recreated)


@FEW
@given(tables(), tables(), st.randoms())
def test_the_order_of_what_comes_in_does_not_matter(
    before: VipTable, desired: VipTable, random: st.DataObject
) -> None:
    def shuffled(table: VipTable) -> VipTable:
        items = list(table.items())
        random.shuffle(items)  # type: ignore[attr-defined]  # hypothesis' own Random
        return dict(items)

    plan = diff(desired, before, owned=list(before), flushed={})
    again = diff(shuffled(desired), shuffled(before), owned=list(shuffled(before)), flushed={})
    assert plan == again
    assert [*map(call_text, plan.ops)] == [*map(call_text, again.ops)]


@FEW
@given(tables(), tables())
def test_steps_are_in_order_and_what_they_do_to_a_vip_is_known_beforehand(
    before: VipTable, desired: VipTable
) -> None:
    for chain in diff(desired, before, owned=before, flushed={}).chains:
        steps = [step for step, _ in chain.steps]
        assert steps == sorted(set(steps), key=list(PlanStep).index)
        result = apply_ops(plain(before).get(chain.vip), chain.ops)
        want = plain(desired).get(chain.vip)
        assert result == want


@FEW
@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=8))
def test_each_flush_wished_for_is_made_once(wishes: list[tuple[int, bool]]) -> None:
    """A server's weights over time, each with or without a flush: none is lost, none repeated."""
    vip, address = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80), ip_address("10.0.0.1")
    fixed = VipSettings(encap=Encap.GRE4)
    lb = vpp_with({vip: Vip(settings=fixed, servers={address: AppServer(weight=50)})})
    epoch, applied = 0, {vip: {address: 0}}
    for weight, flush in wishes:
        epoch += flush
        server = AppServer(weight=weight, flush_epoch=epoch)
        desired = {vip: Vip(settings=fixed, servers={address: server})}
        for _ in range(2):
            for op in diff(desired, lb.table(), owned=(), flushed=applied).ops:
                assert lb.do(op) == 0
            applied[vip][address] = epoch
    assert len(lb.flushes) == epoch

"""What VPP is at every single call of any sequence of configurations, refused calls included.

The simulator's lb plugin is looked at after each call, with flows held open through it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from data.examples import examples
from in_memory.syncer import Listener
from vpplb.model.names import ObjectKey
from vpplb.model.vip import (
    AppServer,
    Encap,
    IPAddress,
    IPNetwork,
    LbConf,
    Vip,
    VipId,
    VipProtocol,
    VipSettings,
    VipTable,
)
from vpplb.plan.maglev_table import count_buckets
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight, VipOp
from vpplb.plan.settings import HeapSpace
from vpplb.simulator.flows import FiveTuple
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.rows import IP4_BITS, IP6_BITS, NewVip, VipKey
from vpplb.sync.apply import PlanApplier
from vpplb.sync.frontend_reports import FrontendReports
from vpplb.sync.ports import CallOutcome, ObservedVpp, VppInfo
from vpplb.sync.vip_records import WantedVip
from vpplb.sync.vip_state import VipState

PREFIXES = [ip_network("192.0.2.1/32"), ip_network("2001:db8::/64")]
PORTS = [(VipProtocol.TCP, 80), (VipProtocol.UDP, 53)]
ENCAPS = {
    4: [Encap.GRE4, Encap.GRE4, Encap.GRE6, Encap.L3DSR],
    6: [Encap.GRE4, Encap.GRE6, Encap.GRE6],
}
"""By the family of the VIP. A NAT VIP that is made anew is the death of VPP, whatever is called."""
SERVERS = {
    encap: [ip_address(f"{network}{n}") for n in (1, 2, 10)]
    for encap in Encap
    for network in ["fd00::" if encap is Encap.GRE6 else "10.0.0."]
}


Load = tuple[tuple[int | None, bool], ...]
"""By server: its weight (None: not there), and whether its flows are to be cut."""


class Wish(NamedTuple):
    """One VIP of a configuration."""

    port: tuple[VipProtocol, int]
    length: int
    sticky: bool
    load: Load


class Corner(NamedTuple):
    """All VIPs of one prefix: VPP wants one encapsulation, and all ports or single ones."""

    prefix: IPNetwork
    encap: Encap
    all_ports: bool
    wishes: tuple[Wish, ...]


def _all_ports(encap: Encap) -> st.SearchStrategy[bool]:
    """VPP does L3DSR for all ports only."""
    return st.just(True) if encap is Encap.L3DSR else st.booleans()


servers = st.tuples(st.sampled_from([None, 0, 0, 1, 50, 100]), st.booleans())
loads = st.tuples(*[servers] * len(SERVERS[Encap.GRE4]))
wishes = st.builds(
    Wish, st.sampled_from(PORTS), st.sampled_from([128, 128, 64]), st.booleans(), loads
)
wishes_of_one = st.lists(wishes, unique_by=lambda wish: wish.port, min_size=1, max_size=2).map(
    tuple
)
corners = st.one_of(
    [
        st.builds(Corner, st.just(prefix), st.just(encap), _all_ports(encap), wishes_of_one)
        for prefix in PREFIXES
        for encap in ENCAPS[prefix.version]
    ]
)
configurations = st.lists(corners, unique_by=lambda corner: corner.prefix, min_size=1, max_size=2)
refusals = st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 9), max_size=3))
"""Numbers of the calls that VPP refuses."""


_PROTOCOLS = {VipProtocol.TCP: 6, VipProtocol.UDP: 17, VipProtocol.ANY: 255}


class WatchedLoadBalancer:
    """Implements `sync.ports.LoadBalancer`, and never waits.

    `watch` is called after each op that VPP did; ops for which `refuses` is true are not done.
    `now` is VPP's clock, in seconds.
    """

    def __init__(self, watch: Callable[[Op], None]) -> None:
        self.now = 0.0
        self.state = LoadBalancerState(lambda: self.now)
        self.watch = watch
        self.refuses: Callable[[Op], bool] = lambda _op: False

    async def connect(self) -> VppInfo:
        return VppInfo(version="watched", pid=1)

    async def read(self) -> ObservedVpp:
        return ObservedVpp(table=self.state.table(), conf=LbConf())

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        outcomes = []
        for op in ops:
            retval = -1 if self.refuses(op) else self.do(op)
            outcomes.append(CallOutcome(op=op, retval=retval, message=f"({retval})"))
            if not retval:
                self.watch(op)
        return outcomes

    async def read_heap(self) -> HeapSpace | None:
        return None

    async def ping(self) -> None: ...

    async def close(self) -> None: ...

    def do(self, op: Op) -> int:
        """Do an op; return the retval."""
        state = self.state
        match op:
            case AddVip(vip=vip, settings=settings):
                new = NewVip(
                    encap=settings.encap,
                    dscp=settings.dscp,
                    target_port=settings.target_port,
                    table_length=settings.table_length,
                    src_ip_sticky=settings.src_ip_sticky,
                )
                return state.add_vip(_key(vip), new)
            case DelVip(vip=vip):
                return state.delete_vip(_key(vip))
            case AddServer(vip=vip, address=address, weight=weight):
                return state.add_server(_key(vip), int(address), weight)
            case DelServer(vip=vip, address=address, flush=flush):
                return state.delete_server(_key(vip), int(address), flush=flush)
            case SetWeight(vip=vip, address=address, weight=weight, flush=flush):
                return state.set_weight(_key(vip), int(address), weight, flush=flush)
            case SetConf():
                raise AssertionError("no settings are wished for")


def _key(vip: VipId) -> VipKey:
    prefix = vip.prefix
    length = prefix.prefixlen + (IP6_BITS - IP4_BITS if prefix.version == 4 else 0)
    return VipKey(int(prefix.network_address), length, _PROTOCOLS[vip.protocol], vip.port)


pytestmark = pytest.mark.slow

KEYS = [ObjectKey("shop", name) for name in ("web", "api", "dns", "tls")]
FOREIGN = VipId(ip_network("203.0.113.1/32"), VipProtocol.TCP, 80)
FLOWS = 12
"""Flows held open through each VIP."""


class Sequences(RuleBasedStateMachine):
    """The agent's VIPs and what applies plans, driven from one configuration to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.lb = WatchedLoadBalancer(lambda _op: None)
        self.vips = VipState()
        reports = FrontendReports(lambda _report: None)
        self.applier = PlanApplier(self.lb, Listener(), self.vips, reports, lambda *_: None)
        self.epochs: dict[tuple[VipId, IPAddress], int] = {}
        self.applied: dict[tuple[VipId, IPAddress], int] = {}
        self.wanted: dict[VipId, Vip] = {}
        self.before: VipTable = {}
        self.flows: dict[FiveTuple, tuple[VipId, IPAddress | None]] = {}
        self.renewed: set[VipId] = set()
        gre4 = VipSettings(encap=Encap.GRE4, table_length=64)
        self.lb.do(AddVip(vip=FOREIGN, settings=gre4))
        self.lb.do(AddServer(vip=FOREIGN, address=ip_address("10.9.9.9"), weight=7))
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        self.runner.close()

    @rule(configuration=configurations, refused=refusals)
    def configure(self, configuration: list[Corner], refused: frozenset[int]) -> None:
        """Go to another configuration altogether."""
        self._begin(self._table(configuration))
        self._work(refused)

    @rule(loads=st.lists(loads, min_size=4, max_size=4), refused=refusals)
    def rebalance(self, loads: list[Load], refused: frozenset[int]) -> None:
        """Go to other servers and weights, as edits and failovers do."""
        self._begin(
            {
                vip: Vip(settings=row.settings, servers=self._servers(vip, row, load))
                for (vip, row), load in zip(self.wanted.items(), loads, strict=False)
            }
        )
        self._work(refused)

    @rule(loads=st.lists(loads, min_size=4, max_size=4), refused=refusals)
    def fail_over(self, loads: list[Load], refused: frozenset[int]) -> None:
        """Go to other weights of the same servers."""
        self._begin(
            {
                vip: Vip(
                    settings=row.settings,
                    servers={
                        a: server
                        for a, server in self._servers(vip, row, load).items()
                        if a in row.servers
                    },
                )
                for (vip, row), load in zip(self.wanted.items(), loads, strict=False)
            }
        )
        self._work(refused)

    @rule()
    def try_again(self) -> None:
        """What was refused is done when it is refused no more."""
        self._begin(self.wanted)
        self._work(frozenset())
        expected = _weights(self.wanted) | {FOREIGN: {ip_address("10.9.9.9"): 7}}
        assert _weights(self.lb.state.table()) == expected

    def _work(self, refused: frozenset[int]) -> None:
        numbers = count()
        self.lb.refuses = lambda _op: next(numbers) in refused
        self.lb.watch = self._look
        self.vips.set_observed(self.runner.run(self.lb.read()).table)
        work = self.applier.apply_groups(list(self.vips.groups), lambda: True)
        assert list(self.runner.run(work)) == []
        self.lb.watch = lambda _op: None

    def _table(self, configuration: list[Corner]) -> dict[VipId, Vip]:
        table: dict[VipId, Vip] = {}
        for corner in configuration:
            for wish in corner.wishes[: 1 if corner.all_ports else None]:
                port = (VipProtocol.ANY, 0) if corner.all_ports else wish.port
                vip = VipId(corner.prefix, *port)
                settings = VipSettings(
                    encap=corner.encap,
                    table_length=wish.length,
                    src_ip_sticky=wish.sticky,
                    dscp=7 if corner.encap is Encap.L3DSR else 0,
                )
                empty = Vip(settings=settings, servers={})
                servers = self._servers(vip, empty, wish.load)
                table[vip] = Vip(settings=settings, servers=servers)
        return table

    def _servers(self, vip: VipId, row: Vip, load: Load) -> dict[IPAddress, AppServer]:
        made = {}
        for address, (weight, flush) in zip(SERVERS[row.settings.encap], load, strict=True):
            if weight is None:
                continue
            if flush and weight == 0:  # as the operator: flushed is what carries no new flows
                self.epochs[vip, address] = self.epochs.get((vip, address), 0) + 1
            epoch = self.epochs.get((vip, address), 0)
            made[address] = AppServer(weight=weight, flush_epoch=epoch)
        return made

    def _begin(self, table: Mapping[VipId, Vip]) -> None:
        """Want this table, and have flows open through what there is."""
        for key, (vip, row) in zip(KEYS, table.items(), strict=False):
            self.vips.set_desired(key, WantedVip(vip, row, repr(row)))
        for key in KEYS[len(table) :]:
            self.vips.remove_frontend(key)
        self.wanted = dict(table)
        self.before = self.lb.state.table()
        self.renewed = set()
        self.lb.now += 100  # which is longer than VPP remembers a flow
        self.flows = {
            flow: (vip, self.lb.state.forward_packet(flow))
            for vip, row in self.before.items()
            if _serves(row)  # else VPP's memory of flows fills with those that nobody serves
            for flow in (_flow(vip, number) for number in range(FLOWS))
        }

    # --- what holds after every call ----------------------------------------------------------

    def _look(self, op: Op) -> None:
        assert not isinstance(op, SetConf)
        self._look_at_flush(op, self.wanted.get(op.vip))
        table = self.lb.state.table()
        assert _weights(table)[FOREIGN] == {ip_address("10.9.9.9"): 7}
        vip = op.vip
        if isinstance(op, AddVip):
            self.renewed.add(vip)
        if vip not in self.wanted or vip not in self.before:
            return
        want, before, now = self.wanted[vip], self.before[vip], table.get(vip)
        if want.settings != before.settings:
            return  # it has to be made anew
        assert now is not None
        assert vip not in self.renewed
        if _serves(before) and _serves(want):
            assert _serves(now), "a VIP with a willing server stands without one"
        self._look_at_servers(before, want, now)
        self._look_at_flows(vip, want)

    def _look_at_servers(self, before: Vip, want: Vip, now: Vip) -> None:
        for address, server in now.servers.items():
            old, new = before.servers.get(address), want.servers.get(address)
            assert server.weight in {s.weight for s in (old, new) if s}
        for address in _untouched(before, want):
            assert now.servers[address].weight == before.servers[address].weight
        weights = {address: server.weight for address, server in now.servers.items()}
        assert {a: s.buckets for a, s in now.servers.items()} == count_buckets(
            weights, now.settings.table_length
        )

    def _look_at_flush(self, op: VipOp, want: Vip | None) -> None:
        """Flows are cut of servers that go, and once for each wish to cut them."""
        server = want.servers.get(op.address) if want and hasattr(op, "address") else None
        match op:
            case AddServer() if server:
                self.applied[op.vip, op.address] = server.flush_epoch
            case SetWeight(flush=True):
                assert server
                assert server.flush_epoch > self.applied[op.vip, op.address]
                self.applied[op.vip, op.address] = server.flush_epoch
            case _:
                return
        self.flows = {f: at for f, at in self.flows.items() if at != (op.vip, op.address)}

    def _look_at_flows(self, vip: VipId, want: Vip) -> None:
        """A flow stays where it is, unless its server was flushed or removed."""
        for flow, (on, server) in self.flows.items():
            if on == vip and server in want.servers:
                assert self.lb.state.forward_packet(flow) == server, f"a flow to {server} moved"


def _flow(vip: VipId, number: int) -> FiveTuple:
    target = vip.prefix.network_address
    source = ip_address("198.51.100.1" if target.version == 4 else "2001:db8:ffff::1")
    protocol = 17 if vip.protocol is VipProtocol.UDP else 6
    return FiveTuple(source, target, protocol, 1000 + number, vip.port or 80)


def _weights(table: VipTable) -> dict[VipId, dict[IPAddress, int]]:
    return {vip: {a: s.weight for a, s in row.servers.items()} for vip, row in table.items()}


def _serves(vip: Vip) -> bool:
    return any(server.weight for server in vip.servers.values())


def _untouched(before: Vip, want: Vip) -> list[IPAddress]:
    return [
        address
        for address, server in before.servers.items()
        if address in want.servers and want.servers[address].weight == server.weight
    ]


def test_at_no_call_a_vip_loses_its_last_server_nor_an_untouched_server_its_share_or_flows() -> (
    None
):
    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=examples(80),
            stateful_step_count=15,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        ),
    )

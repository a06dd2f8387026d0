import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from fakes.load_balancer import FakeLoadBalancer
from vpplb.engine.ports import LoadBalancerGone, VipReport, VppInfo
from vpplb.engine.syncer import Syncer
from vpplb.engine.vipbook import SyncerState
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, Protocol, Vip, VipId, VipSettings
from vpplb.plan.diff import ConfWish
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, DelServer, DelVip, Op, SetConf, SetWeight

pytestmark = pytest.mark.looptime

WEB, DNS = ObjectKey("shop", "web"), ObjectKey("shop", "dns")
VIP = VipId(ip_network("192.0.2.1/32"), Protocol.TCP, 80)
VIP2 = VipId(ip_network("192.0.2.2/32"), Protocol.UDP, 53)
A, B, C = (ip_address(f"10.0.0.{n}") for n in (1, 2, 3))
V6 = ip_address("fd00::1")


def row(*weights: int, epochs: tuple[int, ...] = (), encap: Encap = Encap.GRE4) -> Vip:
    """A VIP with servers A, B, … of these weights and flush epochs."""
    servers = {
        address: AppServer(weight=weight, flush_epoch=epoch)
        for address, weight, epoch in zip((A, B, C), weights, epochs or (0, 0, 0), strict=False)
    }
    return Vip(settings=VipSettings(encap=encap), servers=servers)


@dataclass
class Listener:
    """Notes what it is told."""

    infos: list[VppInfo] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    reports: list[VipReport] = field(default_factory=list)
    counts: Counter[ChangeKind] = field(default_factory=Counter)
    drift: int = 0
    syncs: int = 0
    memories: int = 0
    conf_errors: list[str] = field(default_factory=list)

    def connected(self, info: VppInfo) -> None:
        self.infos.append(info)

    def disconnected(self, reason: str) -> None:
        self.reasons.append(reason)

    def reported(self, report: VipReport) -> None:
        self.reports.append(report)

    def remembered(self) -> None:
        self.memories += 1

    def changed(self, kind: ChangeKind, count: int) -> None:
        self.counts[kind] += count

    def drifted(self, vips: int) -> None:
        self.drift += vips

    def synced(self, seconds: float) -> None:
        assert seconds >= 0
        self.syncs += 1

    def conf_failed(self, error: str) -> None:
        self.conf_errors.append(error)


class Bench:
    """A syncer on a fake VPP; `settle` starts it and lets it do what it has to do now."""

    def __init__(self, state: SyncerState | None = None, *, own_all: bool = False) -> None:
        self.lb = FakeLoadBalancer()
        self.start(state, own_all=own_all)

    def start(self, state: SyncerState | None = None, *, own_all: bool = False) -> None:
        self.listener = Listener()
        self.syncer = Syncer(self.lb, listener=self.listener, state=state, own_all=own_all)
        self.task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    async def restart(self, state: SyncerState | None) -> None:
        """Put a new syncer in the place of the old one, as a new process would."""
        await self.stop()
        self.lb.ops.clear()
        self.lb.flushes.clear()
        self.start(state)

    async def settle(self, seconds: float = 0.05) -> None:
        # Not before the test's own loop time has begun: a fixture has another.
        self.task = self.task or asyncio.create_task(self.syncer.run())
        await asyncio.sleep(seconds)
        assert not self.task.done()

    async def ops(self) -> list[Op]:
        """What is sent now, since the last time this was asked."""
        await self.settle()
        ops, self.lb.ops = self.lb.ops, []
        return ops

    def put(self, vip: VipId, have: Vip) -> None:
        """Have the VIP in VPP, as if someone else had made it."""
        self.lb.do(AddVip(vip=vip, settings=have.settings))
        for address, server in have.servers.items():
            self.lb.do(AddServer(vip=vip, address=address, weight=server.weight))

    def weights(self, vip: VipId = VIP) -> dict[str, int]:
        return {str(a): s.weight for a, s in self.lb.table()[vip].servers.items()}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def programmed(bench: Bench) -> Bench:
    """Have WEB programmed, A at 100, B at 50, C at 0, and forget the ops and reports of it."""
    bench.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    bench.syncer.set_synced()
    await bench.ops()
    bench.listener.reports.clear()
    bench.listener.counts.clear()
    return bench


# --- the start --------------------------------------------------------------------------------


async def test_nothing_is_sent_before_the_list_of_frontends_is_complete(bench: Bench) -> None:
    bench.put(VIP2, row(1))
    bench.syncer.set_desired(WEB, VIP, row(100), "r1")
    bench.syncer.set_conf(ConfWish(flow_timeout=60))
    await bench.settle(120)
    assert bench.lb.ops == []
    bench.syncer.set_synced()
    assert len(await bench.ops()) == 3


async def test_a_wanted_vip_is_made_with_all_its_servers_and_reported(bench: Bench) -> None:
    bench.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    bench.syncer.set_synced()
    await bench.settle()
    assert bench.weights() == {str(A): 100, str(B): 50, str(C): 0}
    assert bench.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]
    assert bench.listener.counts == {ChangeKind.VIP_ADDED: 1, ChangeKind.AS_ADDED: 3}
    assert bench.syncer.state.owned == {VIP: WEB}


async def test_a_vip_that_is_there_is_adopted_without_a_call(bench: Bench) -> None:
    bench.put(VIP, row(100, 50))
    bench.syncer.set_desired(WEB, VIP, row(100, 50), "r1")
    bench.syncer.set_synced()
    assert await bench.ops() == []
    assert bench.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]
    bench.syncer.remove(WEB)
    assert DelVip(vip=VIP, settings=row().settings) in await bench.ops()


async def test_a_restart_with_the_same_wishes_sends_nothing(bench: Bench) -> None:
    ready = await programmed(bench)
    await ready.restart(ready.syncer.state)
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    ready.syncer.set_synced()
    assert await ready.ops() == []
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]


async def test_an_empty_list_of_frontends_is_complete_too(bench: Bench) -> None:
    ready = await programmed(bench)
    await ready.restart(ready.syncer.state)
    ready.syncer.set_synced()
    await ready.settle()
    assert ready.lb.table() == {}
    assert ready.listener.counts[ChangeKind.VIP_REMOVED] == 1


# --- changes ----------------------------------------------------------------------------------


async def test_a_change_of_weights_costs_its_calls_and_no_reading(bench: Bench) -> None:
    ready = await programmed(bench)
    reads = ready.lb.reads
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 100), "r2")
    assert await ready.ops() == [
        SetWeight(vip=VIP, address=C, weight=100),
        SetWeight(vip=VIP, address=A, weight=0),
    ]
    assert ready.lb.reads == reads
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r2")]
    assert ready.listener.counts == {ChangeKind.AS_WEIGHT: 2}


async def test_the_same_wish_again_is_no_work(bench: Bench) -> None:
    ready = await programmed(bench)
    syncs = ready.listener.syncs
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    assert await ready.ops() == []
    assert ready.listener.syncs == syncs


async def test_many_wishes_at_once_are_one_round_with_the_last(bench: Bench) -> None:
    ready = await programmed(bench)
    for weight in range(1, 100):
        ready.syncer.set_desired(WEB, VIP, row(weight, 50, 0), f"w{weight}")
    assert await ready.ops() == [SetWeight(vip=VIP, address=A, weight=99)]
    assert [report.revision for report in ready.listener.reports] == ["w99"]


async def test_a_wish_during_a_round_is_met_in_the_next(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.delay = 0.5
    ready.syncer.set_desired(WEB, VIP, row(90, 50, 0), "r2")
    await ready.settle(0.1)
    ready.syncer.set_desired(WEB, VIP, row(80, 50, 0), "r3")
    await ready.settle(2)
    assert ready.weights()[str(A)] == 80
    assert [report.revision for report in ready.listener.reports] == ["r2", "r3"]


async def test_an_immutable_change_recreates_that_vip_alone(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(DNS, VIP2, row(1), "d1")
    await ready.ops()
    ready.listener.counts.clear()
    changed = Vip(settings=VipSettings(encap=Encap.GRE4, table_length=4096), servers={})
    ready.syncer.set_desired(WEB, VIP, changed, "r2")
    ops = await ready.ops()
    assert {op.vip for op in ops if not isinstance(op, SetConf)} == {VIP}
    assert ready.listener.counts == {ChangeKind.VIP_RECREATED: 1, ChangeKind.AS_REMOVED: 3}
    assert ready.lb.table()[VIP].settings.table_length == 4096


async def test_a_deleted_frontends_vip_is_removed_servers_first_with_flush(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.remove(WEB)
    assert await ready.ops() == [
        *(DelServer(vip=VIP, address=a, flush=True) for a in (A, B, C)),
        DelVip(vip=VIP, settings=row().settings),
    ]
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="")]
    assert ready.syncer.state == SyncerState()


async def test_a_frontend_that_moves_leaves_nothing_behind(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(WEB, VIP2, row(7), "r2")
    await ready.settle()
    assert list(ready.lb.table()) == [VIP2]
    assert ready.syncer.state.owned == {VIP2: WEB}


async def test_vips_of_others_are_left_alone(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.put(VIP2, row(1, 2))
    ready.syncer.remove(WEB)
    await ready.settle(120)
    assert list(ready.lb.table()) == [VIP2]
    assert list(ready.syncer.observed) == [VIP2]


async def test_own_all_removes_what_no_frontend_wants() -> None:
    bench = Bench(own_all=True)
    bench.put(VIP2, row(1, 2))
    bench.syncer.set_desired(WEB, VIP, row(1), "r1")
    bench.syncer.set_synced()
    await bench.settle()
    assert list(bench.lb.table()) == [VIP]
    await bench.stop()


# --- frontends without a computed dataplane ---------------------------------------------------


async def test_a_frontend_that_wants_nothing_known_keeps_its_vip(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.keep(WEB)
    assert await ready.ops() == []
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 1), "r2")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=1)]


async def test_it_keeps_its_vip_over_a_restart_and_until_it_is_deleted(bench: Bench) -> None:
    ready = await programmed(bench)
    await ready.restart(ready.syncer.state)
    ready.syncer.keep(WEB)
    ready.syncer.set_synced()
    await ready.settle(120)
    assert ready.lb.ops == []
    ready.syncer.remove(WEB)
    await ready.settle()
    assert ready.lb.table() == {}


async def test_own_all_spares_the_vip_of_a_kept_frontend() -> None:
    bench = Bench(own_all=True)
    bench.put(VIP, row(1))
    bench.syncer.keep(WEB, VIP)
    bench.syncer.set_synced()
    assert await bench.ops() == []
    await bench.stop()


async def test_what_is_owned_by_a_frontend_that_wants_another_vip_is_removed(bench: Bench) -> None:
    await bench.restart(SyncerState(owned={VIP: WEB}))
    bench.put(VIP, row(1))
    bench.syncer.set_desired(WEB, VIP2, row(1), "r1")
    bench.syncer.set_synced()
    await bench.settle()
    assert list(bench.lb.table()) == [VIP2]


async def test_of_two_frontends_with_one_vip_the_later_gets_it_and_the_other_is_told(
    bench: Bench,
) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(DNS, VIP, row(1), "d1")
    await ready.settle()
    assert ready.weights() == {str(A): 1}
    assert {(r.key, bool(r.error)) for r in ready.listener.reports} == {(WEB, True), (DNS, False)}
    ready.syncer.remove(DNS)
    await ready.settle()
    assert ready.weights() == {str(A): 100, str(B): 50, str(C): 0}
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r1")


# --- flushing ---------------------------------------------------------------------------------


async def test_a_greater_epoch_flushes_once(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 100, epochs=(1, 0, 0)), "r2")
    await ready.settle(120)
    assert ready.lb.flushes == [(VIP, A)]
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 99, epochs=(1, 0, 0)), "r3")
    await ready.settle()
    assert ready.lb.flushes == [(VIP, A)]


async def test_it_flushes_also_when_the_weight_is_0_already(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(0, 0, 1)), "r2")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=0, flush=True)]


async def test_a_drain_without_a_new_epoch_does_not_flush(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0), "r2")
    assert await ready.ops() == [SetWeight(vip=VIP, address=A, weight=0)]


async def test_a_restart_repeats_no_flush_and_loses_none(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0, epochs=(1, 0, 0)), "r2")
    await ready.settle()
    await ready.restart(ready.syncer.state)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0, epochs=(1, 0, 2)), "r3")
    ready.syncer.set_synced()
    await ready.settle()
    assert ready.lb.flushes == [(VIP, C)]


async def test_a_restart_without_memory_takes_old_epochs_as_applied(bench: Bench) -> None:
    ready = await programmed(bench)
    await ready.restart(None)
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(3, 2, 1)), "r2")
    ready.syncer.set_synced()
    assert await ready.ops() == []
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(3, 2, 2)), "r3")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=0, flush=True)]


async def test_a_flush_that_was_refused_is_not_lost(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.refuse = lambda op: -1 if isinstance(op, SetWeight) else 0
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(0, 0, 1)), "r2")
    await ready.settle()
    ready.lb.refuse = lambda _op: 0
    await ready.settle(5)
    assert ready.lb.flushes == [(VIP, C)]


async def test_a_flush_wished_for_during_a_round_is_not_taken_as_applied(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.delay = 0.5
    ready.syncer.set_desired(WEB, VIP, row(90, 50, 0), "r2")
    await ready.settle(0.1)
    ready.syncer.set_desired(WEB, VIP, row(90, 50, 0, epochs=(0, 0, 1)), "r3")
    await ready.settle(2)
    assert ready.lb.flushes == [(VIP, C)]


# --- failures ---------------------------------------------------------------------------------


async def test_a_failing_vip_is_reported_and_holds_up_no_other(bench: Bench) -> None:
    bench.lb.refuse = lambda op: -1 if not isinstance(op, SetConf) and op.vip == VIP else 0
    bench.syncer.set_desired(WEB, VIP, row(1), "r1")
    bench.syncer.set_desired(DNS, VIP2, row(1), "d1")
    bench.syncer.set_synced()
    await bench.settle()
    assert list(bench.lb.table()) == [VIP2]
    assert bench.listener.reports == [
        VipReport(key=WEB, vip=VIP, revision="r1", error="+ vip GRE4 table 1024: (-1)"),
        VipReport(key=DNS, vip=VIP2, revision="d1"),
    ]


async def test_it_is_tried_again_ever_later_but_each_sync_interval_at_least(bench: Bench) -> None:
    times: list[float] = []

    def refuse(op: Op) -> int:
        times.append(asyncio.get_running_loop().time())
        return -1

    bench.lb.refuse = refuse
    bench.syncer.set_desired(WEB, VIP, row(1), "r1")
    bench.syncer.set_synced()
    await bench.settle(200)
    gaps = [round(b - a) for a, b in itertools.pairwise(times)]
    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert set(gaps[5:]) == {30}
    assert len(bench.listener.reports) == 1
    bench.lb.refuse = lambda _op: 0
    await bench.settle(31)
    assert bench.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r1")


async def test_a_new_wish_is_tried_at_once_after_a_failure(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.refuse = lambda _op: -1
    ready.syncer.set_desired(WEB, VIP, row(1, 50, 0), "r2")
    await ready.settle(20)
    ready.lb.refuse = lambda _op: 0
    ready.lb.ops.clear()
    ready.syncer.set_desired(WEB, VIP, row(2, 50, 0), "r3")
    assert await ready.ops() == [SetWeight(vip=VIP, address=A, weight=2)]


async def test_no_weight_is_lowered_when_the_only_raise_failed(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_desired(WEB, VIP, row(100, 0, 0), "r2")
    await ready.ops()
    ready.lb.refuse = lambda op: -1 if isinstance(op, SetWeight) and op.address == C else 0
    ready.syncer.set_desired(WEB, VIP, row(0, 0, 100), "r3")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=100)]
    assert ready.weights()[str(A)] == 100


async def test_weights_are_lowered_in_spite_of_a_failed_addition_if_another_serves(
    bench: Bench,
) -> None:
    ready = await programmed(bench)
    wish = Vip(
        settings=row().settings,
        servers={**row(0, 50, 0).servers, V6: AppServer(weight=10)},
    )
    ready.syncer.set_desired(WEB, VIP, wish, "r2")
    await ready.settle()
    assert ready.weights() == {str(A): 0, str(B): 50, str(C): 0}
    assert ready.listener.reports[-1].error == f"+ {V6} weight 10: (-97)"


async def test_a_vip_that_cannot_be_removed_is_reported_and_tried_again(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.refuse = lambda op: -1 if isinstance(op, DelVip) else 0
    ready.syncer.remove(WEB)
    await ready.settle()
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="", error="- vip: (-1)")]
    ready.lb.refuse = lambda _op: 0
    await ready.settle(5)
    assert ready.lb.table() == {}
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="")


# --- losing VPP -------------------------------------------------------------------------------


async def test_it_connects_again_with_backoff_from_a_tenth_of_a_second_to_five() -> None:
    bench = Bench()
    bench.lb.down = True
    await bench.settle(60)
    # 0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, then each 5 s
    assert bench.lb.connects == 7 + 10
    assert set(bench.listener.reasons) == {"connection refused"}
    bench.lb.down = False
    await bench.settle(5)
    assert [info.pid for info in bench.listener.infos] == [1]
    await bench.stop()


async def test_a_new_vpp_is_programmed_in_full_within_seconds(bench: Bench) -> None:
    ready = await programmed(bench)
    before = ready.lb.table()
    ready.lb.restart()
    await ready.settle(2)
    assert ready.lb.table() == before
    assert [info.pid for info in ready.listener.infos] == [1, 2]
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]
    assert ready.listener.drift == 0


async def test_a_hung_vpp_is_gone_after_five_seconds(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.hung = True
    await ready.settle(6.2)
    assert ready.listener.reasons[0] == "no answer"
    ready.lb.hung = False
    await ready.settle(11)
    assert len(ready.listener.infos) == 2


async def test_a_connection_lost_in_the_middle_is_taken_up_where_vpp_stands(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.lb.die_after = 1
    ready.syncer.set_desired(WEB, VIP, row(1, 2, 3), "r2")
    await ready.settle(2)
    assert ready.weights() == {str(A): 1, str(B): 2, str(C): 3}
    assert ready.listener.reasons == ["VPP closed the connection"]
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r2")


async def test_when_it_is_stopped_vpp_goes_on_as_it_is(bench: Bench) -> None:
    ready = await programmed(bench)
    before = ready.lb.table()
    await ready.stop()
    assert ready.lb.table() == before
    with pytest.raises(LoadBalancerGone):
        await ready.lb.ping()


# --- drift, pause, settings -------------------------------------------------------------------


async def test_what_was_changed_behind_its_back_is_repaired_and_counted(bench: Bench) -> None:
    ready = await programmed(bench)
    before = ready.lb.table()
    ready.lb.do(SetWeight(vip=VIP, address=A, weight=1))
    ready.lb.do(DelServer(vip=VIP, address=B))
    await ready.settle(31)
    assert ready.lb.table() == before
    assert ready.listener.drift == 1
    await ready.settle(120)
    assert ready.listener.drift == 1


async def test_vpp_is_read_each_sync_interval_and_pinged_in_between(bench: Bench) -> None:
    ready = await programmed(bench)
    reads, pings = ready.lb.reads, ready.lb.pings
    await ready.settle(120)
    assert ready.lb.reads - reads in (3, 4)
    assert ready.lb.pings - pings > 100
    assert ready.lb.ops == []


async def test_paused_it_only_reads_and_resumed_it_makes_good(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.paused = True
    ready.syncer.set_desired(WEB, VIP, row(1, 50, 0), "r2")
    ready.syncer.set_conf(ConfWish(flow_timeout=99))
    ready.lb.do(SetWeight(vip=VIP, address=B, weight=2))
    reads = ready.lb.reads
    await ready.settle(120)
    assert ready.lb.ops == []
    assert ready.lb.reads > reads
    assert ready.syncer.observed[VIP].servers[B].weight == 2
    ready.syncer.paused = False
    await ready.settle()
    assert ready.weights() == {str(A): 1, str(B): 50, str(C): 0}
    assert ready.lb.conf.flow_timeout == 99
    assert ready.listener.drift == 0


async def test_settings_are_sent_only_where_they_differ_and_all_at_once(bench: Bench) -> None:
    ready = await programmed(bench)
    source = IPv4Address("10.9.9.9")
    ready.syncer.set_conf(ConfWish(ipv4_source=source))
    (op,) = await ready.ops()
    assert isinstance(op, SetConf)
    assert op.conf.ipv4_source == source
    assert op.conf.flow_timeout == 40
    ready.syncer.set_conf(ConfWish(ipv4_source=source, flow_timeout=40))
    assert await ready.ops() == []
    assert ready.listener.conf_errors == [""]
    assert ready.listener.counts == {ChangeKind.CONF: 1}


async def test_refused_settings_are_reported_and_not_sent_without_end(bench: Bench) -> None:
    ready = await programmed(bench)
    ready.syncer.set_conf(ConfWish(sticky_buckets_per_core=1000))
    await ready.settle()
    for weight in range(5):
        ready.syncer.set_desired(WEB, VIP, row(weight + 1, 50, 0), f"w{weight}")
        await ready.settle()
    assert len([op for op in ready.lb.ops if isinstance(op, SetConf)]) == 1
    assert ready.listener.conf_errors[0].endswith("(-70)")


async def test_what_is_to_be_remembered_is_told_before_a_vip_is_made(bench: Bench) -> None:
    owned_when_made: list[bool] = []

    def refuse(op: Op) -> int:
        if isinstance(op, AddVip):
            owned_when_made.append(bench.listener.memories > 0 and VIP in bench.syncer.state.owned)
        return 0

    bench.lb.refuse = refuse
    bench.syncer.set_desired(WEB, VIP, row(1), "r1")
    bench.syncer.set_synced()
    await bench.settle()
    assert owned_when_made == [True]


@pytest.mark.slow
async def test_a_thousand_vips_are_programmed_in_slices_and_all_reported(bench: Bench) -> None:
    for number in range(1000):
        vip = VipId(ip_network(f"10.1.{number // 250}.{number % 250}/32"), Protocol.TCP, 80)
        bench.syncer.set_desired(ObjectKey("many", f"f{number}"), vip, row(1, 1), "r")
    bench.syncer.set_synced()
    await bench.settle()
    assert len(bench.lb.table()) == 1000
    assert len(bench.listener.reports) == 1000

"""When VPP is read, programmed, repaired and left alone."""

import asyncio
from ipaddress import IPv4Address, ip_network

import pytest

from in_memory.syncer import DNS, VIP, VIP2, WEB, A, B, C, LocalSyncer, programmed, row
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Encap, LbConf, StrangeVip, Vip, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import ChangeKind, DelServer, DelVip, SetConf, SetWeight
from vpplb.plan.settings import DesiredSettings, HeapSpace
from vpplb.sync.ports import LoadBalancerGone, VipReport
from vpplb.sync.vip_state import OwnedState

pytestmark = pytest.mark.looptime


async def test_nothing_is_sent_before_the_list_of_frontends_is_complete(local: LocalSyncer) -> None:
    local.put(VIP2, row(1))
    local.syncer.set_desired(WEB, VIP, row(100), "r1")
    local.syncer.set_settings(DesiredSettings(flow_timeout=60))
    await local.settle(120)
    assert local.lb.ops == []
    local.syncer.set_synced()
    assert len(await local.ops()) == 3


async def test_a_wanted_vip_is_made_with_all_its_servers_and_reported(local: LocalSyncer) -> None:
    local.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    local.syncer.set_synced()
    await local.settle()
    assert local.weights() == {str(A): 100, str(B): 50, str(C): 0}
    assert local.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]
    assert local.listener.counts == {ChangeKind.VIP_ADDED: 1, ChangeKind.AS_ADDED: 3}
    assert local.syncer.vips.owned_state.owned == {VIP: WEB}


async def test_a_vip_that_is_there_is_adopted_without_a_call(local: LocalSyncer) -> None:
    local.put(VIP, row(100, 50))
    local.syncer.set_desired(WEB, VIP, row(100, 50), "r1")
    local.syncer.set_synced()
    assert await local.ops() == []
    assert local.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]
    local.syncer.remove_frontend(WEB)
    assert DelVip(vip=VIP, settings=row().settings) in await local.ops()


async def test_a_restart_with_the_same_wishes_sends_nothing(local: LocalSyncer) -> None:
    ready = await programmed(local)
    await ready.restart(ready.syncer.vips.owned_state)
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    ready.syncer.set_synced()
    assert await ready.ops() == []
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]


async def test_an_empty_list_of_frontends_is_complete_too(local: LocalSyncer) -> None:
    ready = await programmed(local)
    await ready.restart(ready.syncer.vips.owned_state)
    ready.syncer.set_synced()
    await ready.settle()
    assert ready.lb.table() == {}
    assert ready.listener.counts[ChangeKind.VIP_REMOVED] == 1


async def test_a_change_of_weights_costs_its_calls_and_no_reading(local: LocalSyncer) -> None:
    ready = await programmed(local)
    reads = ready.lb.reads
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 100), "r2")
    assert await ready.ops() == [
        SetWeight(vip=VIP, address=C, weight=100),
        SetWeight(vip=VIP, address=A, weight=0),
    ]
    assert ready.lb.reads == reads
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r2")]
    assert ready.listener.counts == {ChangeKind.AS_WEIGHT: 2}


async def test_the_same_wish_again_is_no_work(local: LocalSyncer) -> None:
    ready = await programmed(local)
    syncs = ready.listener.syncs
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    assert await ready.ops() == []
    assert ready.listener.syncs == syncs


async def test_many_wishes_at_once_are_one_round_with_the_last(local: LocalSyncer) -> None:
    ready = await programmed(local)
    for weight in range(1, 100):
        ready.syncer.set_desired(WEB, VIP, row(weight, 50, 0), f"w{weight}")
    assert await ready.ops() == [SetWeight(vip=VIP, address=A, weight=99)]
    assert [report.revision for report in ready.listener.reports] == ["w99"]


async def test_a_wish_during_a_round_is_met_in_the_next(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.lb.delay = 0.5
    ready.syncer.set_desired(WEB, VIP, row(90, 50, 0), "r2")
    await ready.settle(0.1)
    ready.syncer.set_desired(WEB, VIP, row(80, 50, 0), "r3")
    await ready.settle(2)
    assert ready.weights()[str(A)] == 80
    assert [report.revision for report in ready.listener.reports] == ["r2", "r3"]


async def test_an_immutable_change_recreates_that_vip_alone(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(DNS, VIP2, row(1), "d1")
    await ready.ops()
    ready.listener.counts.clear()
    changed = Vip(settings=VipSettings(encap=Encap.GRE4, table_length=4096), servers={})
    ready.syncer.set_desired(WEB, VIP, changed, "r2")
    ops = await ready.ops()
    assert {op.vip for op in ops if not isinstance(op, SetConf)} == {VIP}
    assert ready.listener.counts == {ChangeKind.VIP_RECREATED: 1, ChangeKind.AS_REMOVED: 3}
    assert ready.lb.table()[VIP].settings.table_length == 4096
    assert ready.listener.remade == [(WEB, VIP, changed.settings)]


async def test_a_deleted_frontends_vip_is_removed_servers_first_with_flush(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    ready.syncer.remove_frontend(WEB)
    assert await ready.ops() == [
        *(DelServer(vip=VIP, address=a, flush=True) for a in (A, B, C)),
        DelVip(vip=VIP, settings=row().settings),
    ]
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="")]
    assert ready.syncer.vips.owned_state == OwnedState()


async def test_it_connects_again_with_backoff_from_a_tenth_of_a_second_to_five() -> None:
    local = LocalSyncer()
    local.lb.down = True
    await local.settle(60)
    # 0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, then each 5 s
    assert local.lb.connects == 7 + 10
    assert set(local.listener.reasons) == {"connection refused"}
    local.lb.down = False
    await local.settle(5)
    assert [info.pid for info in local.listener.infos] == [1]
    await local.stop()


async def test_a_new_vpp_is_programmed_in_full_within_seconds(local: LocalSyncer) -> None:
    ready = await programmed(local)
    before = ready.lb.table()
    ready.lb.restart()
    await ready.settle(2)
    assert ready.lb.table() == before
    assert [info.pid for info in ready.listener.infos] == [1, 2]
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="r1")]
    assert ready.listener.drift == 0


async def test_a_hung_vpp_is_gone_after_five_seconds(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.lb.hung = True
    await ready.settle(6.2)
    assert ready.listener.reasons[0] == "no answer"
    ready.lb.hung = False
    await ready.settle(11)
    assert len(ready.listener.infos) == 2


async def test_a_connection_lost_in_the_middle_is_taken_up_where_vpp_stands(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    ready.lb.die_after = 1
    ready.syncer.set_desired(WEB, VIP, row(1, 2, 3), "r2")
    await ready.settle(2)
    assert ready.weights() == {str(A): 1, str(B): 2, str(C): 3}
    assert ready.listener.reasons == ["VPP closed the connection"]
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r2")


async def test_when_it_is_stopped_vpp_goes_on_as_it_is(local: LocalSyncer) -> None:
    ready = await programmed(local)
    before = ready.lb.table()
    await ready.stop()
    assert ready.lb.table() == before
    with pytest.raises(LoadBalancerGone):
        await ready.lb.ping()


async def test_what_was_changed_behind_its_back_is_repaired_and_counted(local: LocalSyncer) -> None:
    ready = await programmed(local)
    before = ready.lb.table()
    ready.lb.do(SetWeight(vip=VIP, address=A, weight=1))
    ready.lb.do(DelServer(vip=VIP, address=B))
    await ready.settle(31)
    assert ready.lb.table() == before
    assert ready.listener.drift == 1
    await ready.settle(120)
    assert ready.listener.drift == 1


async def test_vpp_is_read_each_sync_interval_and_pinged_in_between(local: LocalSyncer) -> None:
    ready = await programmed(local)
    reads, pings = ready.lb.reads, ready.lb.pings
    await ready.settle(120)
    assert ready.lb.reads - reads in (3, 4)
    assert ready.lb.pings - pings > 100
    assert ready.lb.ops == []


@pytest.mark.parametrize("began", [0.548, 0.673, 0.798])
async def test_a_moment_that_is_shorter_than_the_clock_tells_apart_passes(
    local: LocalSyncer, began: float
) -> None:
    """Thirty seconds later than those, by the arithmetic of floats, is after the clock shows it."""
    await asyncio.sleep(began)
    ready = await programmed(local)
    reads = ready.lb.reads
    await ready.settle(120)
    assert ready.lb.reads - reads in (3, 4)


async def test_paused_it_only_reads_and_resumed_it_makes_good(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_paused(True)
    ready.syncer.set_desired(WEB, VIP, row(1, 50, 0), "r2")
    ready.syncer.set_settings(DesiredSettings(flow_timeout=99))
    ready.lb.do(SetWeight(vip=VIP, address=B, weight=2))
    reads = ready.lb.reads
    await ready.settle(120)
    assert ready.lb.ops == []
    assert ready.lb.reads > reads
    assert ready.syncer.vips.observed[VIP].servers[B].weight == 2
    ready.syncer.set_paused(False)
    await ready.settle()
    assert ready.weights() == {str(A): 1, str(B): 50, str(C): 0}
    assert ready.lb.conf.flow_timeout == 99
    assert ready.listener.drift == 0


async def test_settings_are_sent_only_where_they_differ_and_all_at_once(local: LocalSyncer) -> None:
    ready = await programmed(local)
    source = IPv4Address("10.9.9.9")
    ready.syncer.set_settings(DesiredSettings(ipv4_source=source))
    (op,) = await ready.ops()
    assert isinstance(op, SetConf)
    assert op.conf.ipv4_source == source
    assert op.conf.flow_timeout == 40
    ready.syncer.set_settings(DesiredSettings(ipv4_source=source, flow_timeout=40))
    assert await ready.ops() == []
    assert ready.listener.conf_errors == []
    assert ready.listener.counts == {ChangeKind.CONF: 1}


async def test_refused_settings_are_reported_and_not_sent_without_end(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_settings(DesiredSettings(sticky_buckets_per_core=1000, allow_flow_loss=True))
    await ready.settle()
    for weight in range(5):
        ready.syncer.set_desired(WEB, VIP, row(weight + 1, 50, 0), f"w{weight}")
        await ready.settle()
    assert len([op for op in ready.lb.ops if isinstance(op, SetConf)]) == 1
    assert [error[-5:] for error in ready.listener.conf_errors] == ["(-70)"]
    ready.syncer.set_settings(DesiredSettings())
    await ready.settle()
    assert ready.listener.conf_errors[1:] == [""]


@pytest.mark.slow
async def test_a_thousand_vips_are_programmed_in_slices_and_all_reported(
    local: LocalSyncer,
) -> None:
    for number in range(1000):
        vip = VipId(ip_network(f"10.1.{number // 250}.{number % 250}/32"), VipProtocol.TCP, 80)
        local.syncer.set_desired(ObjectKey("many", f"f{number}"), vip, row(1, 1), "r")
    local.syncer.set_synced()
    await local.settle()
    assert len(local.lb.table()) == 1000
    assert len(local.listener.reports) == 1000


NEIGHBOUR = VipId(VIP.prefix, VipProtocol.TCP, 443)


async def test_a_vip_is_not_taken_away_where_its_new_self_would_be_refused(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    await ready.settle(1)
    ready.put(NEIGHBOUR, row(1))  # by somebody else, just now: not read yet
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, encap=Encap.NAT4), "r2")
    assert await ready.ops() == []
    (report,) = ready.listener.reports
    assert report.error == (
        "VPP has 192.0.2.1/32 tcp/443, not ours: all VIPs of a prefix have one encapsulation, "
        "here GRE4; what VPP has stays as it was made"
    )
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 100, encap=Encap.NAT4), "r3")
    await ready.settle()
    assert ready.weights() == {str(A): 0, str(B): 50, str(C): 100}


async def test_it_is_made_anew_when_what_was_in_its_way_has_gone(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.put(NEIGHBOUR, row(1))
    ready.syncer.set_desired(WEB, VIP, row(100, encap=Encap.NAT4), "r2")
    reads = ready.lb.reads
    await ready.settle(300)
    assert ready.lb.reads - reads <= 300 / 30 + 1  # no more than at rest
    ready.lb.rows.pop(NEIGHBOUR)
    await ready.settle(31)
    assert ready.lb.table()[VIP].settings.encap is Encap.NAT4
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r2")
    assert ready.listener.drift == 0


async def test_a_frontend_keeps_its_old_vip_until_its_new_one_can_be_made(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    for prefix in ("192.0.2.1/32", "192.0.2.2/32"):
        new = VipId(ip_network(prefix), VipProtocol.ANY, 0)
        wall = VipId(new.prefix, VipProtocol.TCP, 443)
        await ready.settle(1)
        ready.put(wall, row(1))
        ready.syncer.set_desired(WEB, new, row(100, 50, 7), f"all of {prefix}")
        await ready.settle()
        assert ready.weights() == {str(A): 100, str(B): 50, str(C): 7}
        assert "192.0.2." in ready.listener.reports[-1].error
        ready.lb.rows.pop(wall)
        await ready.settle(31)
        assert set(ready.lb.rows) == {new}
        ready.syncer.set_desired(WEB, VIP, row(100, 50, 0), "back")
        await ready.settle()
        assert set(ready.lb.rows) == {VIP}


async def test_vips_that_no_frontend_can_have_are_told_once(local: LocalSyncer) -> None:
    local.lb.strange = (StrangeVip(text="::/64 all ports", all_ports=True),)
    ready = await programmed(local)
    await ready.settle(120)
    assert ready.listener.strange == [["::/64 all ports"]]
    ready.lb.strange = ()
    await ready.settle(31)
    assert ready.listener.strange[-1] == []


async def test_buckets_are_not_changed_in_service_without_a_word_for_it(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_settings(DesiredSettings(sticky_buckets_per_core=2048, flow_timeout=60))
    assert await ready.ops() == [SetConf(conf=LbConf(flow_timeout=60))]
    assert ready.listener.conf_errors == [
        "stickyBucketsPerCore 2048 is not set: VPP would forget all known flows of the VIPs in"
        " service; spec.allowFlowLoss: true lets it"
    ]
    await ready.settle(300)
    assert ready.listener.drift == 0
    wish = DesiredSettings(sticky_buckets_per_core=2048, flow_timeout=60, allow_flow_loss=True)
    ready.syncer.set_settings(wish)
    await ready.settle()
    assert ready.lb.conf == LbConf(sticky_buckets_per_core=2048, flow_timeout=60)
    assert ready.listener.conf_errors[1:] == [""]
    assert ready.listener.forgotten == [2048]


async def test_a_vpp_that_serves_nothing_yet_gets_its_buckets_without_a_word(
    local: LocalSyncer,
) -> None:
    local.syncer.set_settings(DesiredSettings(sticky_buckets_per_core=2048))
    ready = await programmed(local)
    assert ready.lb.conf.sticky_buckets_per_core == 2048
    assert ready.listener.forgotten == []
    ready.lb.restart()
    await ready.settle(10)
    assert ready.lb.conf.sticky_buckets_per_core == 2048


@pytest.mark.parametrize("free", [HeapSpace(1 << 30, 1), HeapSpace(1 << 33, 9), None])
async def test_buckets_that_vpp_has_no_memory_for_are_never_set(free: HeapSpace | None) -> None:
    local = LocalSyncer()
    local.lb.free_memory = free
    wish = DesiredSettings(sticky_buckets_per_core=1 << 24, allow_flow_loss=True)
    local.syncer.set_settings(wish)
    ready = await programmed(local)
    assert ready.lb.conf.sticky_buckets_per_core == 1024
    (error,) = ready.listener.conf_errors
    assert "stickyBucketsPerCore 16777216 is not set: " in error
    ready.lb.free_memory = HeapSpace(1 << 33, 1)
    ready.lb.restart()
    await ready.settle(10)
    assert ready.lb.conf.sticky_buckets_per_core == 1 << 24
    await ready.stop()


async def test_what_somebody_changes_again_and_again_is_repaired_ever_later(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    repairs = 0
    for _ in range(240):  # two hours
        ready.lb.rows[VIP] = (VipSettings(encap=Encap.GRE4, table_length=64), {A: 1})
        await ready.settle(30)
        repairs += ready.lb.rows[VIP][0].table_length == 1024
    assert 10 <= repairs <= 20
    assert ready.listener.drift == len(ready.listener.remade) == repairs
    report = ready.listener.reports[-1]
    assert "something else keeps changing it: repaired" in report.error
    assert "next 600 s after the last" in report.error
    assert ready.listener.contests[-1] == 1
    ready.syncer.set_desired(WEB, VIP, row(7, 50, 0), "r2")  # a decision does not wait
    await ready.settle()
    assert ready.weights()[str(A)] == 7


async def test_settings_that_somebody_changes_again_and_again_are_too(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_settings(DesiredSettings(flow_timeout=60))
    await ready.settle()
    before = len(ready.lb.ops)
    for _ in range(240):
        ready.lb.conf = LbConf(flow_timeout=77)
        await ready.settle(30)
    assert 10 <= len(ready.lb.ops) - before <= 20
    assert any("the settings: something else" in said for said in ready.listener.conf_errors)


async def test_a_quarrel_is_over_after_half_an_hour_of_quiet(local: LocalSyncer) -> None:
    ready = await programmed(local)
    for _ in range(20):
        ready.lb.rows[VIP][1][A] = 1
        await ready.settle(30)
    await ready.settle(3600)
    assert ready.weights()[str(A)] == 100
    ready.lb.rows[VIP][1][A] = 1
    await ready.settle(31)
    assert ready.weights()[str(A)] == 100
    assert ready.listener.reports[-1].error == ""


async def test_packets_that_come_from_nowhere_are_warned_of_once(
    local: LocalSyncer, caplog: pytest.LogCaptureFixture
) -> None:
    local.put(VIP, row(100))
    local.syncer.set_desired(WEB, VIP, row(100), "r1")
    local.syncer.set_synced()
    await local.settle(120)  # several readings
    assert caplog.text.count("GRE4 packets leave from VPP's default") == 1

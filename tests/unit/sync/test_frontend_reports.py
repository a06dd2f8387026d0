"""What fails, what is told of it, and when it is tried again."""

import asyncio
import itertools

import pytest

from in_memory.syncer import DNS, V6, VIP, VIP2, WEB, A, B, C, LocalSyncer, programmed, row
from vpplb.model.vip import AppServer, Vip
from vpplb.plan.ops import DelVip, Op, SetConf, SetWeight
from vpplb.sync.ports import VipReport

pytestmark = pytest.mark.looptime


async def test_a_frontend_that_moves_is_reported_where_it_is_now(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.lb.refuse = lambda op: -1 if isinstance(op, DelVip) else 0
    ready.syncer.set_desired(WEB, VIP2, row(7), "r2")
    await ready.settle()
    last = ready.listener.reports[-1]
    assert last == VipReport(key=WEB, vip=VIP2, revision="r2", error=f"{VIP}: - vip: (-1)")
    ready.lb.refuse = lambda _op: 0
    await ready.settle(5)
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP2, revision="r2")


async def test_a_failure_of_a_vip_that_was_never_made_ends_with_its_frontend(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    ready.lb.refuse = lambda _op: -1
    ready.syncer.set_desired(DNS, VIP2, row(7), "d1")
    await ready.settle()
    ready.syncer.remove_frontend(DNS)
    await ready.settle()
    assert ready.listener.reports[-1] == VipReport(key=DNS, vip=VIP2, revision="")
    count = len(ready.listener.reports)
    await ready.settle(120)
    assert len(ready.listener.reports) == count


async def test_of_two_frontends_with_one_vip_the_later_gets_it_and_the_other_is_told(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(DNS, VIP, row(1), "d1")
    await ready.settle()
    assert ready.weights() == {str(A): 1}
    assert {(r.key, bool(r.error)) for r in ready.listener.reports} == {(WEB, True), (DNS, False)}
    ready.syncer.remove_frontend(DNS)
    await ready.settle()
    assert ready.weights() == {str(A): 100, str(B): 50, str(C): 0}
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r1")


async def test_a_failing_vip_is_reported_and_holds_up_no_other(local: LocalSyncer) -> None:
    local.lb.refuse = lambda op: -1 if not isinstance(op, SetConf) and op.vip == VIP else 0
    local.syncer.set_desired(WEB, VIP, row(1), "r1")
    local.syncer.set_desired(DNS, VIP2, row(1), "d1")
    local.syncer.set_synced()
    await local.settle()
    assert list(local.lb.table()) == [VIP2]
    assert local.listener.reports == [
        VipReport(key=WEB, vip=VIP, revision="r1", error="+ vip GRE4 table 1024: (-1)"),
        VipReport(key=DNS, vip=VIP2, revision="d1"),
    ]


async def test_it_is_tried_again_ever_later_but_each_sync_interval_at_least(
    local: LocalSyncer,
) -> None:
    times: list[float] = []

    def refuse(op: Op) -> int:
        times.append(asyncio.get_running_loop().time())
        return -1

    local.lb.refuse = refuse
    local.syncer.set_desired(WEB, VIP, row(1), "r1")
    local.syncer.set_synced()
    await local.settle(200)
    gaps = [round(b - a) for a, b in itertools.pairwise(times)]
    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert set(gaps[5:]) == {30}
    assert len(local.listener.reports) == 1
    local.lb.refuse = lambda _op: 0
    await local.settle(31)
    assert local.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="r1")


async def test_a_new_wish_is_tried_at_once_after_a_failure(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.lb.refuse = lambda _op: -1
    ready.syncer.set_desired(WEB, VIP, row(1, 50, 0), "r2")
    await ready.settle(20)
    ready.lb.refuse = lambda _op: 0
    ready.lb.ops.clear()
    ready.syncer.set_desired(WEB, VIP, row(2, 50, 0), "r3")
    assert await ready.ops() == [SetWeight(vip=VIP, address=A, weight=2)]


async def test_no_weight_is_lowered_when_the_only_raise_failed(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(WEB, VIP, row(100, 0, 0), "r2")
    await ready.ops()
    ready.lb.refuse = lambda op: -1 if isinstance(op, SetWeight) and op.address == C else 0
    ready.syncer.set_desired(WEB, VIP, row(0, 0, 100), "r3")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=100)]
    assert ready.weights()[str(A)] == 100


async def test_weights_are_lowered_in_spite_of_a_failed_addition_if_another_serves(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    wish = Vip(
        settings=row().settings,
        servers={**row(0, 50, 0).servers, V6: AppServer(weight=10)},
    )
    ready.syncer.set_desired(WEB, VIP, wish, "r2")
    await ready.settle()
    assert ready.weights() == {str(A): 0, str(B): 50, str(C): 0}
    assert ready.listener.reports[-1].error == f"+ {V6} weight 10: (-97)"


async def test_a_vip_that_cannot_be_removed_is_reported_and_tried_again(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.lb.refuse = lambda op: -1 if isinstance(op, DelVip) else 0
    ready.syncer.remove_frontend(WEB)
    await ready.settle()
    assert ready.listener.reports == [VipReport(key=WEB, vip=VIP, revision="", error="- vip: (-1)")]
    ready.lb.refuse = lambda _op: 0
    await ready.settle(5)
    assert ready.lb.table() == {}
    assert ready.listener.reports[-1] == VipReport(key=WEB, vip=VIP, revision="")

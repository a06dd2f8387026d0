"""Many VIPs at once: rounds side by side, what ends them, and what is remembered on the way."""

from collections.abc import Sequence
from ipaddress import ip_network

import pytest

from in_memory.syncer import VIP, WEB, A, B, LocalSyncer, row
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId, VipProtocol
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, Op, SetConf, SetWeight, VppChange
from vpplb.sync.apply import ROUNDS, SLICE

pytestmark = pytest.mark.looptime

MANY = 2 * ROUNDS * SLICE


def want_many(local: LocalSyncer, weight: int = 1) -> None:
    for number in range(MANY):
        vip = VipId(ip_network((0x0A010000 + number, 32)), VipProtocol.TCP, 80)
        key = ObjectKey("many", f"f{number}")
        local.syncer.set_desired(key, vip, row(weight, 1), f"r{weight}")
    local.syncer.set_synced()


def vips_of(ops: list[Op]) -> list[VipId]:
    return [op.vip for op in ops if not isinstance(op, SetConf)]


async def test_rounds_go_on_side_by_side_and_each_keeps_its_steps_in_order(
    local: LocalSyncer,
) -> None:
    local.lb.delay = 0.1
    want_many(local)
    await local.settle(0.45)  # connected and read after 0.3; then each step takes 0.1
    begun = set(vips_of(local.lb.ops))
    assert len(begun) == ROUNDS * SLICE
    assert all(isinstance(op, AddVip) for op in local.lb.ops)
    await local.settle(1)
    assert len(local.lb.table()) == MANY
    made: set[VipId] = set()
    for op in local.lb.ops:
        if isinstance(op, AddVip):
            made.add(op.vip)
        elif isinstance(op, AddServer):
            assert op.vip in made


async def test_many_vips_are_remembered_in_one_go_before_any_is_made(local: LocalSyncer) -> None:
    told: list[int] = []

    def note(_op: Op) -> int:
        told.append(local.listener.adoptions)
        return 0

    local.lb.refuse = note
    want_many(local)
    await local.settle()
    assert set(told) == {1}
    assert local.listener.adoptions == 1
    assert local.listener.memories == 1, "once when all is done"


async def test_changes_are_counted_a_step_at_a_time_not_a_vip(local: LocalSyncer) -> None:
    calls: list[int] = []

    def note(changes: Sequence[VppChange]) -> None:
        (kind,) = {one.kind for one in changes}
        assert kind in (ChangeKind.VIP_ADDED, ChangeKind.AS_ADDED)
        calls.append(len(changes))

    local.listener.on_vpp_changed = note  # type: ignore[method-assign]  # of this local only
    want_many(local)
    await local.settle()
    assert sorted(calls) == sorted([SLICE, 2 * SLICE] * (MANY // SLICE))


async def test_once_paused_no_further_round_begins_and_resumed_the_rest_is_made(
    local: LocalSyncer,
) -> None:
    local.lb.delay = 0.1
    want_many(local)
    await local.settle(0.45)
    local.syncer.set_paused(True)
    await local.settle(2)
    assert len(local.lb.table()) == ROUNDS * SLICE
    local.syncer.set_paused(False)
    await local.settle(2)
    assert len(local.lb.table()) == MANY
    assert len(local.listener.reports) == MANY


async def test_a_vpp_that_is_lost_ends_all_rounds_at_once_and_is_taken_up_again(
    local: LocalSyncer,
) -> None:
    local.lb.die_after = 3 * SLICE
    want_many(local)
    await local.settle(1)
    assert local.listener.reasons == ["VPP closed the connection"]
    assert len(local.listener.infos) == 2
    assert len(local.lb.table()) == MANY
    assert local.listener.drift == 0


async def test_a_new_server_is_not_flushed_later_though_its_vip_failed_meanwhile(
    local: LocalSyncer,
) -> None:
    local.syncer.set_desired(WEB, VIP, row(100), "r1")
    local.syncer.set_synced()
    await local.settle()
    local.lb.refuse = lambda op: -1 if isinstance(op, SetWeight) else 0
    local.syncer.set_desired(WEB, VIP, row(50, 7, epochs=(0, 9)), "r2")
    await local.settle()
    assert local.weights() == {str(A): 100, str(B): 7}
    local.lb.refuse = lambda _op: 0
    await local.settle(5)
    assert local.weights() == {str(A): 50, str(B): 7}
    assert local.lb.flushes == []


def want_web(local: LocalSyncer, *weights: int, revision: str = "r1") -> None:
    local.syncer.set_desired(WEB, VIP, row(*weights), revision)


async def test_a_failover_does_not_wait_for_what_is_made_in_bulk(local: LocalSyncer) -> None:
    want_web(local, 100, 100)
    local.syncer.set_synced()
    await local.settle()
    local.lb.delay = 0.1
    want_many(local)
    await local.settle(0.05)
    want_web(local, 0, 100, revision="r2")
    await local.settle(0.11)
    assert SetWeight(vip=VIP, address=A, weight=0) in local.lb.ops
    assert len(local.lb.table()) < MANY


async def test_what_changes_again_while_it_waits_is_made_once_as_last_wanted(
    local: LocalSyncer,
) -> None:
    want_many(local)
    await local.settle()
    local.lb.delay = 0.1
    local.lb.ops.clear()
    for weight in (2, 3):
        want_many(local, weight)
        await local.settle(0.05)
    await local.settle(2)
    first = [op for op in local.lb.ops if isinstance(op, SetWeight) and op.weight == 2]
    then = [op for op in local.lb.ops if isinstance(op, SetWeight) and op.weight == 3]
    assert (len(first), len(then)) == (ROUNDS * SLICE, MANY)


async def test_what_only_changes_comes_before_what_is_to_be_made(local: LocalSyncer) -> None:
    want_web(local, 100, 100)
    local.syncer.set_synced()
    await local.settle()
    local.lb.ops.clear()
    want_many(local)
    want_web(local, 50, 100, revision="r2")
    await local.settle()
    first = local.lb.ops[0]
    assert first == SetWeight(vip=VIP, address=A, weight=50)

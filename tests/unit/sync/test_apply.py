"""Many VIPs at once: rounds side by side, what ends them, and what is remembered on the way."""

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from in_memory.syncer import VIP, WEB, A, B, Bench, row
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Protocol, VipId
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, Op, SetConf, SetWeight
from vpplb.sync.apply import ROUNDS, SLICE

pytestmark = pytest.mark.looptime

MANY = 2 * ROUNDS * SLICE


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


def want_many(bench: Bench, weight: int = 1) -> None:
    for number in range(MANY):
        vip = VipId(ip_network((0x0A010000 + number, 32)), Protocol.TCP, 80)
        key = ObjectKey("many", f"f{number}")
        bench.syncer.set_desired(key, vip, row(weight, 1), f"r{weight}")
    bench.syncer.set_synced()


def vips_of(ops: list[Op]) -> list[VipId]:
    return [op.vip for op in ops if not isinstance(op, SetConf)]


async def test_rounds_go_on_side_by_side_and_each_keeps_its_steps_in_order(bench: Bench) -> None:
    bench.lb.delay = 0.1
    want_many(bench)
    await bench.settle(0.45)  # connected and read after 0.3; then each step takes 0.1
    begun = set(vips_of(bench.lb.ops))
    assert len(begun) == ROUNDS * SLICE
    assert all(isinstance(op, AddVip) for op in bench.lb.ops)
    await bench.settle(1)
    assert len(bench.lb.table()) == MANY
    made: set[VipId] = set()
    for op in bench.lb.ops:
        if isinstance(op, AddVip):
            made.add(op.vip)
        elif isinstance(op, AddServer):
            assert op.vip in made


async def test_many_vips_are_remembered_in_one_go_before_any_is_made(bench: Bench) -> None:
    told: list[int] = []

    def note(_op: Op) -> int:
        told.append(bench.listener.adoptions)
        return 0

    bench.lb.refuse = note
    want_many(bench)
    await bench.settle()
    assert set(told) == {1}
    assert bench.listener.adoptions == 1
    assert bench.listener.memories == 1, "once when all is done"


async def test_changes_are_counted_a_step_at_a_time_not_a_vip(bench: Bench) -> None:
    calls: list[int] = []

    def note(kind: ChangeKind, count: int) -> None:
        assert kind in (ChangeKind.VIP_ADDED, ChangeKind.AS_ADDED)
        calls.append(count)

    bench.listener.on_vpp_changed = note  # type: ignore[method-assign]  # of this bench only
    want_many(bench)
    await bench.settle()
    assert sorted(calls) == sorted([SLICE, 2 * SLICE] * (MANY // SLICE))


async def test_once_paused_no_further_round_begins_and_resumed_the_rest_is_made(
    bench: Bench,
) -> None:
    bench.lb.delay = 0.1
    want_many(bench)
    await bench.settle(0.45)
    bench.syncer.set_paused(True)
    await bench.settle(2)
    assert len(bench.lb.table()) == ROUNDS * SLICE
    bench.syncer.set_paused(False)
    await bench.settle(2)
    assert len(bench.lb.table()) == MANY
    assert len(bench.listener.reports) == MANY


async def test_a_vpp_that_is_lost_ends_all_rounds_at_once_and_is_taken_up_again(
    bench: Bench,
) -> None:
    bench.lb.die_after = 3 * SLICE
    want_many(bench)
    await bench.settle(1)
    assert bench.listener.reasons == ["VPP closed the connection"]
    assert len(bench.listener.infos) == 2
    assert len(bench.lb.table()) == MANY
    assert bench.listener.drift == 0


async def test_a_new_server_is_not_flushed_later_though_its_vip_failed_meanwhile(
    bench: Bench,
) -> None:
    bench.syncer.set_desired(WEB, VIP, row(100), "r1")
    bench.syncer.set_synced()
    await bench.settle()
    bench.lb.refuse = lambda op: -1 if isinstance(op, SetWeight) else 0
    bench.syncer.set_desired(WEB, VIP, row(50, 7, epochs=(0, 9)), "r2")
    await bench.settle()
    assert bench.weights() == {str(A): 100, str(B): 7}
    bench.lb.refuse = lambda _op: 0
    await bench.settle(5)
    assert bench.weights() == {str(A): 50, str(B): 7}
    assert bench.lb.flushes == []


def want_web(bench: Bench, *weights: int, revision: str = "r1") -> None:
    bench.syncer.set_desired(WEB, VIP, row(*weights), revision)


async def test_a_failover_does_not_wait_for_what_is_made_in_bulk(bench: Bench) -> None:
    want_web(bench, 100, 100)
    bench.syncer.set_synced()
    await bench.settle()
    bench.lb.delay = 0.1
    want_many(bench)
    await bench.settle(0.05)
    want_web(bench, 0, 100, revision="r2")
    await bench.settle(0.11)
    assert SetWeight(vip=VIP, address=A, weight=0) in bench.lb.ops
    assert len(bench.lb.table()) < MANY


async def test_what_changes_again_while_it_waits_is_made_once_as_last_wanted(
    bench: Bench,
) -> None:
    want_many(bench)
    await bench.settle()
    bench.lb.delay = 0.1
    bench.lb.ops.clear()
    for weight in (2, 3):
        want_many(bench, weight)
        await bench.settle(0.05)
    await bench.settle(2)
    first = [op for op in bench.lb.ops if isinstance(op, SetWeight) and op.weight == 2]
    then = [op for op in bench.lb.ops if isinstance(op, SetWeight) and op.weight == 3]
    assert (len(first), len(then)) == (ROUNDS * SLICE, MANY)


async def test_what_only_changes_comes_before_what_is_to_be_made(bench: Bench) -> None:
    want_web(bench, 100, 100)
    bench.syncer.set_synced()
    await bench.settle()
    bench.lb.ops.clear()
    want_many(bench)
    want_web(bench, 50, 100, revision="r2")
    await bench.settle()
    first = bench.lb.ops[0]
    assert first == SetWeight(vip=VIP, address=A, weight=50)

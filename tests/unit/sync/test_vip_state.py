"""Whose each VIP is, and which flushes are due, seen from the syncer."""

from dataclasses import replace

import pytest

from in_memory.syncer import DNS, VIP, VIP2, WEB, A, B, C, LocalSyncer, programmed, row
from vpplb.model.vip import Vip
from vpplb.plan.ops import AddVip, DelServer, Op, SetWeight
from vpplb.sync.vip_state import OwnedState

pytestmark = pytest.mark.looptime


async def test_a_frontend_that_moves_leaves_nothing_behind(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(WEB, VIP2, row(7), "r2")
    await ready.settle()
    assert list(ready.lb.table()) == [VIP2]
    assert ready.syncer.vips.owned_state.owned == {VIP2: WEB}


async def test_vips_of_others_are_left_alone(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.put(VIP2, row(1, 2))
    ready.syncer.remove_frontend(WEB)
    await ready.settle(120)
    assert list(ready.lb.table()) == [VIP2]
    assert list(ready.syncer.vips.observed) == [VIP2]


async def test_own_all_removes_what_no_frontend_wants() -> None:
    local = LocalSyncer(own_all=True)
    local.put(VIP2, row(1, 2))
    local.syncer.set_desired(WEB, VIP, row(1), "r1")
    local.syncer.set_synced()
    await local.settle()
    assert list(local.lb.table()) == [VIP]
    await local.stop()


async def test_a_frontend_that_wants_nothing_known_keeps_its_vip(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.keep_vip(WEB)
    assert await ready.ops() == []
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 1), "r2")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=1)]


async def test_it_keeps_its_vip_over_a_restart_and_until_it_is_deleted(local: LocalSyncer) -> None:
    ready = await programmed(local)
    await ready.restart(ready.syncer.vips.owned_state)
    ready.syncer.keep_vip(WEB)
    ready.syncer.set_synced()
    await ready.settle(120)
    assert ready.lb.ops == []
    ready.syncer.remove_frontend(WEB)
    await ready.settle()
    assert ready.lb.table() == {}


async def test_own_all_spares_the_vip_of_a_kept_frontend() -> None:
    local = LocalSyncer(own_all=True)
    local.put(VIP, row(1))
    local.syncer.keep_vip(WEB, VIP)
    local.syncer.set_synced()
    assert await local.ops() == []
    await local.stop()


async def test_what_is_owned_by_a_frontend_that_wants_another_vip_is_removed(
    local: LocalSyncer,
) -> None:
    await local.restart(OwnedState(owned={VIP: WEB}))
    local.put(VIP, row(1))
    local.syncer.set_desired(WEB, VIP2, row(1), "r1")
    local.syncer.set_synced()
    await local.settle()
    assert list(local.lb.table()) == [VIP2]


async def test_a_greater_epoch_flushes_once(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 100, epochs=(1, 0, 0)), "r2")
    await ready.settle(120)
    assert ready.lb.flushes == [(VIP, A)]
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 99, epochs=(1, 0, 0)), "r3")
    await ready.settle()
    assert ready.lb.flushes == [(VIP, A)]


async def test_it_flushes_also_when_the_weight_is_0_already(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(0, 0, 1)), "r2")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=0, flush=True)]


async def test_a_drain_without_a_new_epoch_does_not_flush(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0), "r2")
    assert await ready.ops() == [SetWeight(vip=VIP, address=A, weight=0)]


async def test_a_restart_repeats_no_flush_and_loses_none(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0, epochs=(1, 0, 0)), "r2")
    await ready.settle()
    await ready.restart(ready.syncer.vips.owned_state)
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0, epochs=(1, 0, 2)), "r3")
    ready.syncer.set_synced()
    await ready.settle()
    assert ready.lb.flushes == [(VIP, C)]


async def test_a_restart_without_memory_takes_old_epochs_as_applied(local: LocalSyncer) -> None:
    ready = await programmed(local)
    await ready.restart(None)
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(3, 2, 1)), "r2")
    ready.syncer.set_synced()
    assert await ready.ops() == []
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(3, 2, 2)), "r3")
    assert await ready.ops() == [SetWeight(vip=VIP, address=C, weight=0, flush=True)]


async def test_a_flush_that_was_refused_is_not_lost(local: LocalSyncer) -> None:
    ready = await programmed(local)
    ready.lb.refuse = lambda op: -1 if isinstance(op, SetWeight) else 0
    ready.syncer.set_desired(WEB, VIP, row(100, 50, 0, epochs=(0, 0, 1)), "r2")
    await ready.settle()
    ready.lb.refuse = lambda _op: 0
    await ready.settle(5)
    assert ready.lb.flushes == [(VIP, C)]


async def test_a_flush_is_not_repeated_when_vpp_is_lost_at_another_vip_of_the_round(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    ready.syncer.set_desired(DNS, VIP2, row(1, 1), "d1")
    await ready.settle()
    ready.syncer.set_desired(WEB, VIP, row(0, 50, 0, epochs=(1, 0, 0)), "r2")
    ready.syncer.set_desired(DNS, VIP2, row(1), "d2")
    ready.lb.die_after = 1  # the flush is done, the removal of DNS's server is not
    await ready.settle(5)
    assert ready.lb.connects == 2
    assert ready.lb.flushes == [(VIP, A), (VIP2, B)]


async def test_a_flush_wished_for_during_a_round_is_not_taken_as_applied(
    local: LocalSyncer,
) -> None:
    ready = await programmed(local)
    ready.lb.delay = 0.5
    ready.syncer.set_desired(WEB, VIP, row(90, 50, 0), "r2")
    await ready.settle(0.1)
    ready.syncer.set_desired(WEB, VIP, row(90, 50, 0, epochs=(0, 0, 1)), "r3")
    await ready.settle(2)
    assert ready.lb.flushes == [(VIP, C)]


async def test_what_is_to_be_remembered_is_told_before_a_vip_is_made(local: LocalSyncer) -> None:
    owned_when_made: list[bool] = []

    def refuse(op: Op) -> int:
        if isinstance(op, AddVip):
            owned_when_made.append(
                local.listener.adoptions > 0 and VIP in local.syncer.vips.owned_state.owned
            )
        return 0

    local.lb.refuse = refuse
    local.syncer.set_desired(WEB, VIP, row(1), "r1")
    local.syncer.set_synced()
    await local.settle()
    assert owned_when_made == [True]


def tentative(*weights: int, out: int | None = None) -> Vip:
    """A wish of which nothing is decided, but that the server of this number is out."""
    wish = row(*weights)
    servers = {
        at: one._replace(undecided=number != out)
        for number, (at, one) in enumerate(wish.servers.items())
    }
    return replace(wish, servers=servers, tentative=True, any_length=True)


async def test_a_vip_in_service_stays_as_it_is_while_the_wish_is_tentative(
    local: LocalSyncer,
) -> None:
    found = row(100, 0, 30)
    local.put(VIP, replace(found, settings=replace(found.settings, table_length=64)))
    local.lb.ops.clear()
    local.syncer.set_desired(WEB, VIP, tentative(0, 0), "r1")
    local.syncer.set_synced()
    assert await local.ops() == []
    assert local.listener.reports[-1].revision == "r1"
    local.syncer.set_desired(WEB, VIP, tentative(0, 50), "r2")
    assert await local.ops() == []
    await local.settle(120)
    assert local.listener.drift == 0
    # Decided: raise, then lower, then remove.
    local.syncer.set_desired(WEB, VIP, replace(row(0, 50), any_length=True), "r3")
    assert await local.ops() == [
        SetWeight(vip=VIP, address=B, weight=50, flush=False),
        SetWeight(vip=VIP, address=A, weight=0, flush=False),
        DelServer(vip=VIP, address=C, flush=True),
    ]


async def test_whom_a_person_took_out_goes_though_the_wish_is_tentative(local: LocalSyncer) -> None:
    local.put(VIP, row(100, 100))
    local.lb.ops.clear()
    local.syncer.set_desired(WEB, VIP, tentative(0, 0, out=0), "r1")
    local.syncer.set_synced()
    assert await local.ops() == [SetWeight(vip=VIP, address=A, weight=0, flush=False)]


async def test_a_vip_that_begins_to_serve_as_we_said_follows_at_once(local: LocalSyncer) -> None:
    local.syncer.set_desired(WEB, VIP, tentative(0, 0), "r1")
    local.syncer.set_synced()
    await local.settle()
    for revision, (a, b) in enumerate([(100, 0), (0, 100), (100, 100)], 2):
        local.syncer.set_desired(WEB, VIP, tentative(a, b), f"r{revision}")
        await local.settle()
        assert local.weights() == {str(A): a, str(B): b}


async def test_servers_whose_fall_is_decided_after_the_adoption_are_flushed(
    local: LocalSyncer,
) -> None:
    local.put(VIP, row(100, 100))
    local.lb.ops.clear()
    local.syncer.set_desired(WEB, VIP, tentative(0, 0), "r1")
    local.syncer.set_synced()
    await local.settle()
    local.syncer.set_desired(WEB, VIP, row(100, 0, epochs=(0, 77)), "r2")
    assert await local.ops() == [SetWeight(vip=VIP, address=B, weight=0, flush=True)]

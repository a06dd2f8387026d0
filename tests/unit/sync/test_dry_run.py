"""A rehearsal says what the syncer would send, and sends nothing."""

import pytest

from in_memory.syncer import DNS, VIP, VIP2, WEB, A, Bench, C, row
from vpplb.model.vip import LbConf, Vip, VipId
from vpplb.plan.ops import DelServer, DelVip, SetConf, SetWeight
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.dry_run import Rehearsal
from vpplb.sync.ports import Observed
from vpplb.sync.vip_state import SyncerState


def having(**rows: Vip) -> Observed:
    """Return a VPP that has these rows, by the name of the VIP."""
    names: dict[str, VipId] = {"vip": VIP, "vip2": VIP2}
    return Observed(table={names[name]: have for name, have in rows.items()})


@pytest.mark.looptime
async def test_it_says_the_calls_that_the_syncer_makes_of_the_same_wishes() -> None:
    rehearsal, bench = Rehearsal(), Bench()
    for wishes in (rehearsal, bench.syncer):
        wishes.set_desired(WEB, VIP, row(100, 50, 0), "r1")
        wishes.set_desired(DNS, VIP2, row(7), "r1")
        wishes.set_settings(DesiredSettings(flow_timeout=60))
    bench.syncer.set_synced()
    assert list(rehearsal.run(Observed()).ops) == await bench.ops()
    await bench.stop()


def test_what_is_as_wanted_already_needs_no_call() -> None:
    rehearsal = Rehearsal()
    rehearsal.set_desired(WEB, VIP, row(100), "r1")
    rehearsal.set_settings(DesiredSettings(flow_timeout=LbConf().flow_timeout))
    rehearsed = rehearsal.run(having(vip=row(100)))
    assert rehearsed.ops == ()
    assert rehearsed.before == rehearsed.after == {VIP: row(100)}


def test_before_and_after_are_of_the_vips_that_are_wanted_or_touched() -> None:
    rehearsal = Rehearsal(SyncerState(owned={VIP: WEB}))
    rehearsal.set_desired(DNS, VIP2, row(0, 100), "r1")
    rehearsed = rehearsal.run(having(vip=row(1), vip2=row(100, 0)))
    assert rehearsed.before == {VIP: row(1), VIP2: row(100, 0)}
    assert rehearsed.after == {VIP: None, VIP2: row(0, 100)}
    assert rehearsed.ops[-2:] == (
        DelServer(vip=VIP, address=A, flush=True),
        DelVip(vip=VIP, settings=row().settings),
    )


def test_vips_of_others_are_counted_and_left_unless_all_is_ours() -> None:
    assert Rehearsal().run(having(vip=row(1), vip2=row(1))).others == 2
    owning = Rehearsal(own_all=True).run(having(vip=row(1), vip2=row(1)))
    assert owning.others == 0
    assert len(owning.ops) == 4


def test_a_kept_frontends_vip_is_neither_touched_nor_another_s() -> None:
    rehearsal = Rehearsal(SyncerState(owned={VIP: WEB}))
    rehearsal.keep(WEB, VIP)
    rehearsed = rehearsal.run(having(vip=row(1)))
    assert rehearsed.ops == ()
    assert rehearsed.others == 0


def test_with_the_agents_memory_the_flushes_that_are_due_are_said() -> None:
    rehearsal = Rehearsal(SyncerState(owned={VIP: WEB}, flushed={VIP: {A: 5}}))
    rehearsal.set_desired(WEB, VIP, row(0, 50, 0, epochs=(5, 0, 9)), "r1")
    rehearsed = rehearsal.run(having(vip=row(0, 50, 0)))
    assert rehearsed.ops == (SetWeight(vip=VIP, address=C, weight=0, flush=True),)


def test_settings_come_first_and_a_frontend_without_its_vip_is_named() -> None:
    rehearsal = Rehearsal()
    rehearsal.set_settings(DesiredSettings(flow_timeout=60))
    rehearsal.set_desired(WEB, VIP, row(1), "r1")
    rehearsal.set_desired(DNS, VIP, row(2), "r1")
    rehearsed = rehearsal.run(Observed())
    assert isinstance(rehearsed.ops[0], SetConf)
    assert rehearsed.lost == (WEB,)


def test_a_frontend_that_is_gone_wants_nothing() -> None:
    rehearsal = Rehearsal(SyncerState(owned={VIP: WEB}))
    rehearsal.set_desired(WEB, VIP, row(1), "r1")
    rehearsal.remove(WEB)
    assert rehearsal.run(having(vip=row(1))).after == {VIP: None}

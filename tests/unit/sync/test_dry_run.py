"""A dry_run says what the syncer would send, and sends nothing."""

import pytest

from in_memory.syncer import DNS, VIP, VIP2, WEB, A, C, LocalSyncer, row
from vpplb.model.vip import LbConf, Vip, VipId
from vpplb.plan.ops import DelServer, DelVip, SetConf, SetWeight
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.dry_run import DryRun
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_state import OwnedState


def having(**rows: Vip) -> ObservedVpp:
    """Return a VPP that has these rows, by the name of the VIP."""
    names: dict[str, VipId] = {"vip": VIP, "vip2": VIP2}
    return ObservedVpp(table={names[name]: have for name, have in rows.items()})


@pytest.mark.looptime
async def test_it_says_the_calls_that_the_syncer_makes_of_the_same_wishes() -> None:
    dry_run, local = DryRun(), LocalSyncer()
    for wishes in (dry_run, local.syncer):
        wishes.set_desired(WEB, VIP, row(100, 50, 0), "r1")
        wishes.set_desired(DNS, VIP2, row(7), "r1")
        wishes.set_settings(DesiredSettings(flow_timeout=60))
    local.syncer.set_synced()
    assert list(dry_run.plan_calls(ObservedVpp()).ops) == await local.ops()
    await local.stop()


def test_what_is_as_wanted_already_needs_no_call() -> None:
    dry_run = DryRun()
    dry_run.set_desired(WEB, VIP, row(100), "r1")
    dry_run.set_settings(DesiredSettings(flow_timeout=LbConf().flow_timeout))
    result = dry_run.plan_calls(having(vip=row(100)))
    assert result.ops == ()
    assert result.before == result.after == {VIP: row(100)}


def test_before_and_after_are_of_the_vips_that_are_wanted_or_touched() -> None:
    dry_run = DryRun(OwnedState(owned={VIP: WEB}))
    dry_run.set_desired(DNS, VIP2, row(0, 100), "r1")
    result = dry_run.plan_calls(having(vip=row(1), vip2=row(100, 0)))
    assert result.before == {VIP: row(1), VIP2: row(100, 0)}
    assert result.after == {VIP: None, VIP2: row(0, 100)}
    assert result.ops[-2:] == (
        DelServer(vip=VIP, address=A, flush=True),
        DelVip(vip=VIP, settings=row().settings),
    )


def test_vips_of_others_are_counted_and_left_unless_all_is_ours() -> None:
    assert DryRun().plan_calls(having(vip=row(1), vip2=row(1))).others == 2
    owning = DryRun(own_all=True).plan_calls(having(vip=row(1), vip2=row(1)))
    assert owning.others == 0
    assert len(owning.ops) == 4


def test_a_kept_frontends_vip_is_neither_touched_nor_another_s() -> None:
    dry_run = DryRun(OwnedState(owned={VIP: WEB}))
    dry_run.keep_vip(WEB, VIP)
    result = dry_run.plan_calls(having(vip=row(1)))
    assert result.ops == ()
    assert result.others == 0


def test_with_the_agents_memory_the_flushes_that_are_due_are_said() -> None:
    dry_run = DryRun(OwnedState(owned={VIP: WEB}, flushed={VIP: {A: 5}}))
    dry_run.set_desired(WEB, VIP, row(0, 50, 0, epochs=(5, 0, 9)), "r1")
    result = dry_run.plan_calls(having(vip=row(0, 50, 0)))
    assert result.ops == (SetWeight(vip=VIP, address=C, weight=0, flush=True),)


def test_settings_come_first_and_a_frontend_without_its_vip_is_named() -> None:
    dry_run = DryRun()
    dry_run.set_settings(DesiredSettings(flow_timeout=60))
    dry_run.set_desired(WEB, VIP, row(1), "r1")
    dry_run.set_desired(DNS, VIP, row(2), "r1")
    result = dry_run.plan_calls(ObservedVpp())
    assert isinstance(result.ops[0], SetConf)
    assert result.lost == (WEB,)


def test_a_frontend_that_is_gone_wants_nothing() -> None:
    dry_run = DryRun(OwnedState(owned={VIP: WEB}))
    dry_run.set_desired(WEB, VIP, row(1), "r1")
    dry_run.remove_frontend(WEB)
    assert dry_run.plan_calls(having(vip=row(1))).after == {VIP: None}

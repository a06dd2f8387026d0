"""The plan that leads from one table to another, made as an agent makes it."""

from collections.abc import Collection, Mapping

from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId, VipTable
from vpplb.plan.diff import Plan
from vpplb.plan.obstacles import Flushed
from vpplb.sync.dry_run import Rehearsal
from vpplb.sync.ports import Observed
from vpplb.sync.vip_state import SyncerState


def diff(
    desired: VipTable,
    observed: VipTable,
    *,
    owned: Collection[VipId],
    flushed: Mapping[VipId, Flushed],
) -> Plan:
    """Plan the calls that turn `observed` into `desired`, each VIP being a frontend's of its own.

    `owned` are VIPs that were made for a frontend, `flushed` what is known of flushes.
    """
    frontends = {vip: ObjectKey("shop", str(vip)) for vip in {*desired, *owned, *flushed}}
    known = SyncerState(
        owned={vip: frontends[vip] for vip in {*owned, *flushed}}, flushed=dict(flushed)
    )
    rehearsal = Rehearsal(known)
    for vip, wanted in desired.items():
        rehearsal.set_desired(frontends[vip], vip, wanted, "r1")
    return rehearsal.run(Observed(table=observed)).plan

"""The plan that leads from one table to another, made as an agent makes it."""

from collections.abc import Collection, Mapping

from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId, VipTable
from vpplb.plan.diff import CallPlan
from vpplb.plan.obstacles import FlushEpochs
from vpplb.sync.dry_run import DryRun
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_state import OwnedState


def diff(
    desired: VipTable,
    observed: VipTable,
    *,
    owned: Collection[VipId],
    flushed: Mapping[VipId, FlushEpochs],
) -> CallPlan:
    """Plan the calls that turn `observed` into `desired`, each VIP being a frontend's of its own.

    `owned` are VIPs that were made for a frontend, `flushed` what is known of flushes.
    """
    frontends = {vip: ObjectKey("shop", str(vip)) for vip in {*desired, *owned, *flushed}}
    known = OwnedState(
        owned={vip: frontends[vip] for vip in {*owned, *flushed}}, flushed=dict(flushed)
    )
    dry_run = DryRun(known)
    for vip, wanted in desired.items():
        dry_run.set_desired(frontends[vip], vip, wanted, "r1")
    return dry_run.plan_calls(ObservedVpp(table=observed)).plan

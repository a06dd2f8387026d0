"""What a syncer would send to a VPP, without sending anything.

It is told what is wanted as the syncer is, and plans as the syncer does (`VipState.plan_round`).
"""

from dataclasses import dataclass

from vpplb.model.names import ObjectKey
from vpplb.model.vip import LbConf, Vip, VipId
from vpplb.plan.diff import CallPlan
from vpplb.plan.execution import apply_ops
from vpplb.plan.ops import Op, SetConf
from vpplb.plan.settings import (
    DesiredSettings,
    diff_settings,
    explain_flow_loss,
    resizes_buckets,
    without_resizing,
)
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_records import WantedVip
from vpplb.sync.vip_state import OwnedState, VipState


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunResult:
    """What would be done.

    `before` is what VPP has of the VIPs that are wanted or would be touched, `after` what it
    would have; `others` counts the VIPs that are left alone since they are no frontend's.
    `withheld` says why the sticky buckets are left as they are, `blocked` of wanted VIPs what
    keeps VPP from them; `lost` names frontends whose VIP another one gets.
    """

    conf: SetConf | None
    withheld: str
    plan: CallPlan
    before: dict[VipId, Vip | None]
    after: dict[VipId, Vip | None]
    others: int
    blocked: dict[VipId, str]
    lost: tuple[ObjectKey, ...]

    @property
    def ops(self) -> tuple[Op, ...]:
        """All calls, in the order in which they would be sent if none failed."""
        return ((self.conf,) if self.conf else ()) + self.plan.ops


class DryRun:
    """Is told what is wanted as `VppSyncer` is; `plan_calls` says what would be done about it.

    `state` is what the last agent left. With `own_all` every VIP found is owned.
    """

    def __init__(self, state: OwnedState | None = None, *, own_all: bool = False) -> None:
        self._vips = VipState(state, own_all=own_all)
        self._settings = DesiredSettings()
        self.paused = False

    def set_desired(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        self._vips.set_desired(key, WantedVip(vip, desired, revision))

    def keep_vip(self, key: ObjectKey, vip: VipId | None = None) -> None:
        self._vips.keep_vip(key, vip)

    def remove_frontend(self, key: ObjectKey) -> None:
        self._vips.remove_frontend(key)

    def set_settings(self, settings: DesiredSettings) -> None:
        self._settings = settings

    def set_paused(self, paused: bool) -> None:
        """Note whether the agent would do nothing at all; the plan is made all the same."""
        self.paused = paused

    def plan_calls(self, observed: ObservedVpp) -> DryRunResult:
        """Return what would be sent to a VPP that has this, without sending it."""
        vips = self._vips
        vips.set_observed(observed.table, observed.strange)
        groups = sorted(vips.groups, key=lambda group: min(vip.sort_key for vip in group.records))
        vips.adopt_wanted()
        planned = vips.plan_round(groups)
        changes = sorted(planned.changes, key=lambda one: one.record.vip.sort_key)
        chains = tuple(one.chain for one in changes if one.chain)
        before = {one.record.vip: one.record.have for one in changes if one.chain or one.desired}
        done = {chain.vip: apply_ops(before[chain.vip], chain.ops) for chain in chains}
        foreign = [one for one in changes if not (one.record.owner or one.chain)]
        withheld = self._explain_withheld(observed.conf)
        settings = without_resizing(self._settings) if withheld else self._settings
        return DryRunResult(
            conf=diff_settings(settings, observed.conf),
            withheld=withheld,
            plan=CallPlan(chains=chains),
            before=before,
            after=before | done,
            others=len(observed.strange) + sum(one.record.have is not None for one in foreign),
            blocked={one.record.vip: one.obstacle for one in changes if one.obstacle},
            lost=tuple(request.key for request in planned.requests if request.rival),
        )

    def _explain_withheld(self, observed: LbConf) -> str:
        """Say why the buckets stay; VPP's memory is asked for by the syncer alone."""
        settings = self._settings
        at_stake = resizes_buckets(settings, observed) and self._vips.in_service
        return explain_flow_loss(settings) if at_stake and not settings.allow_flow_loss else ""

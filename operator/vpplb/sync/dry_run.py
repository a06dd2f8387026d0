"""What a syncer would send to a VPP, without sending anything.

It is told wishes as the syncer is, and uses the same book and the same difference.
"""

from dataclasses import dataclass

from vpplb.model.names import ObjectKey
from vpplb.model.vip import Vip, VipId
from vpplb.plan.diff import Plan
from vpplb.plan.ops import Op, SetConf
from vpplb.plan.progress import after
from vpplb.plan.settings import (
    DesiredSettings,
    diff_settings,
    explain_flow_loss,
    resizes_buckets,
    without_resizing,
)
from vpplb.sync.ports import Observed
from vpplb.sync.vip_records import Wanted
from vpplb.sync.vip_state import SyncerState, VipBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What would be done.

    `before` is what VPP has of the VIPs that are wanted or would be touched, `after` what it
    would have; `others` counts the VIPs that are left alone since they are no frontend's.
    `withheld` says why the sticky buckets are left as they are, `blocked` of wanted VIPs what
    keeps VPP from them; `lost` names frontends whose VIP another one gets.
    """

    conf: SetConf | None
    withheld: str
    plan: Plan
    before: dict[VipId, Vip | None]
    after: dict[VipId, Vip | None]
    others: int
    blocked: dict[VipId, str]
    lost: tuple[ObjectKey, ...]

    @property
    def ops(self) -> tuple[Op, ...]:
        """All calls, in the order in which they would be sent if none failed."""
        return ((self.conf,) if self.conf else ()) + self.plan.ops


class Rehearsal:
    """Takes wishes as `Syncer` does; `run` tells what would be done about them.

    `state` is what the last agent left. With `own_all` every VIP found is owned.
    """

    def __init__(self, state: SyncerState | None = None, *, own_all: bool = False) -> None:
        self._book = VipBook(state or SyncerState(), own_all=own_all)
        self._wish = DesiredSettings()
        self.paused = False

    def set_desired(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        """Want this VIP for the frontend."""
        self._book.want(key, Wanted(vip, desired, revision))

    def keep(self, key: ObjectKey, vip: VipId | None = None) -> None:
        """Leave the frontend's VIP as it is."""
        self._book.keep(key, vip)

    def remove(self, key: ObjectKey) -> None:
        """Want no VIP for the frontend."""
        self._book.drop(key)

    def set_settings(self, wish: DesiredSettings) -> None:
        """Want these settings of the plugin."""
        self._wish = wish

    def run(self, observed: Observed) -> Rehearsed:
        """Compare with a VPP."""
        book = self._book
        book.observe(observed.table, observed.strange)
        shelves = sorted(book.shelves, key=lambda shelf: min(vip.sort_key for vip in shelf.rows))
        book.adopt()
        planned = book.begin(shelves)
        works = sorted(planned.works, key=lambda work: work.row.vip.sort_key)
        touched = [work for work in works if work.chain or work.desired]
        chains = tuple(work.chain for work in works if work.chain)
        wish = self._wish
        held = resizes_buckets(wish, observed.conf) and book.in_service and not wish.allow_flow_loss
        withheld = explain_flow_loss(wish) if held else ""
        before = {work.row.vip: work.row.have for work in touched}
        done = {chain.vip: after(before[chain.vip], chain.ops) for chain in chains}
        return Rehearsed(
            conf=diff_settings(without_resizing(wish) if withheld else wish, observed.conf),
            withheld=withheld,
            plan=Plan(chains=chains),
            before=before,
            after=before | done,
            others=len(observed.strange)
            + sum(w.row.have is not None and not (w.row.owner or w.chain) for w in works),
            blocked={work.row.vip: work.obstacle for work in works if work.obstacle},
            lost=tuple(claim.key for claim in planned.claims if claim.rival),
        )

"""Who hears of what the syncer does to VPP: the port to status, memory, metrics and log."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vpplb.engine.ports import VppInfo
from vpplb.model.names import ObjectKey
from vpplb.model.vip import StrangeVip, VipId, VipSettings
from vpplb.plan.ops import ChangeKind


class VipReport(NamedTuple):
    """What the syncer made of one wanted VIP: programmed at `revision`, or an error."""

    key: ObjectKey
    vip: VipId
    revision: str
    error: str = ""


class SyncListener(Protocol):
    """Who wants to know. Called in the syncer's task; must neither block nor raise."""

    def connected(self, info: VppInfo) -> None:
        """VPP answers and has been read."""
        ...

    def disconnected(self, reason: str) -> None:
        """VPP is lost, or still not there: called after each failed attempt."""
        ...

    def reported(self, report: VipReport) -> None:
        """How a frontend stands, instead of what was reported of it before.

        Programmed at a revision, or failed. An empty revision: it wants no VIP any more, and
        its last one is gone, or could not be removed.
        """
        ...

    def adopted(self) -> None:
        """More VIPs are ours: keep the syncer's `state` at once, VPP is changed after this."""
        ...

    def remembered(self) -> None:
        """The syncer's `state` has changed, and should be kept soon, for the next start."""
        ...

    def changed(self, kind: ChangeKind, count: int) -> None:
        """VPP made this many changes."""
        ...

    def recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None:
        """The frontend's VIP was removed and made anew with these settings, its flows lost."""
        ...

    def drifted(self, count: int) -> None:
        """So many prefixes, the settings counting one, were changed behind our back: repaired."""
        ...

    def met_strange(self, strange: Sequence[StrangeVip]) -> None:
        """These are now the VIPs found in VPP that no frontend can have: they are left alone."""
        ...

    def contested(self, count: int) -> None:
        """So many prefixes are not repaired for now, since something else keeps changing them."""
        ...

    def flows_forgotten(self, buckets: int) -> None:
        """The memory of flows has so many buckets a core now; all flows known are forgotten."""
        ...

    def synced(self, seconds: float) -> None:
        """Changes were programmed, or all of VPP was read and compared, in so much time."""
        ...

    def conf_failed(self, error: str) -> None:
        """The plugin's settings could not be set; empty: they are as wished."""
        ...

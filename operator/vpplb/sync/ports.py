"""What programming a VPP asks of the world, and whom it tells: Protocols, their values and errors.

`LoadBalancer` and `VipCounters` are a VPP (adapters in `vpp`); a `SyncListener` turns what the
syncer does into statuses, metrics, log lines and what the next start has to know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from vpplb.model.names import ObjectKey
from vpplb.model.vip import LbConf, StrangeVip, VipId, VipSettings, VipTable
from vpplb.plan.ops import Op, VppChange
from vpplb.plan.settings import HeapSpace


class LoadBalancerGone(Exception):
    """VPP closed the connection, does not answer, or is not there. Reconnect and read anew."""


class LoadBalancerUnsuitable(LoadBalancerGone):
    """VPP lacks a message that is needed; the text says which, and which VPP has it."""


class VppInfo(NamedTuple):
    """The VPP that answers on the socket: its version, and the id of its process."""

    version: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVpp:
    """What a VPP has: live servers only (no lingering ones), all VIPs whoever made them.

    VIPs that `table` cannot hold are in `strange`, in VPP's order.
    """

    table: VipTable = field(default_factory=dict)
    strange: tuple[StrangeVip, ...] = ()
    conf: LbConf = field(default_factory=LbConf)


class CallOutcome(NamedTuple):
    """Answer of VPP to one op. `retval` 0 is success; else `message` names it for people."""

    op: Op
    retval: int
    message: str = ""

    @property
    def ok(self) -> bool:
        return self.retval == 0


class LoadBalancer(Protocol):
    """One VPP with the lb plugin, for one client at a time.

    Every method raises LoadBalancerGone when VPP is lost or does not answer in time; after
    that, `connect` is the only useful call.
    """

    async def connect(self) -> VppInfo:
        """Connect anew, whatever was before; LoadBalancerUnsuitable when a message is missing."""

    async def read(self) -> ObservedVpp:
        """Read all VIPs, servers and settings."""

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        """Send the ops in order, pipelined; return one outcome an op, in order.

        A refused op does not stop those after it.
        """

    async def read_heap(self) -> HeapSpace | None:
        """Read how much memory VPP has left; None where it does not tell."""

    async def ping(self) -> None:
        """Return when VPP has answered."""

    async def close(self) -> None:
        """Disconnect; never hangs, never raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketTally:
    """Packets to a VIP since it was added, as VPP counts them (lb.h, lb_foreach_vip_counter).

    `existing` are of flows that are remembered, `first` begin one, `untracked` found no room to
    be remembered, and for `no_server` there was none.
    """

    existing: int = 0
    first: int = 0
    untracked: int = 0
    no_server: int = 0


class VipCounters(Protocol):
    """The counters of one VPP."""

    async def read(self, indexes: Mapping[VipId, int]) -> Mapping[VipId, PacketTally]:
        """Return the packets of each VIP, by its index; those that VPP does not count are left out.

        LoadBalancerGone when they cannot be read; never hangs.
        """


class VipReport(NamedTuple):
    """What the syncer made of one wanted VIP: programmed at `revision`, or an error."""

    key: ObjectKey
    vip: VipId
    revision: str
    error: str = ""


class SyncListener(Protocol):
    """Who wants to know. Called in the syncer's task; must neither block nor raise."""

    def on_connected(self, info: VppInfo) -> None:
        """VPP answers and has been read."""

    def on_disconnected(self, reason: str) -> None:
        """VPP is lost, or still not there: called after each failed attempt."""

    def on_report(self, report: VipReport) -> None:
        """How a frontend stands, instead of what was reported of it before.

        Programmed at a revision, or failed. An empty revision: it wants no VIP any more, and
        its last one is gone, or could not be removed.
        """

    def on_adopted(self) -> None:
        """More VIPs are ours: keep `VipState.owned_state` now, VPP is changed after this."""

    def on_state_changed(self) -> None:
        """`VipState.owned_state` has changed, and should be kept soon, for the next start."""

    def on_vpp_changed(self, changes: Sequence[VppChange]) -> None:
        """VPP made these changes, in this order: those of one step, of one VIP or of many."""

    def on_recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None:
        """The frontend's VIP was removed and made anew with these settings, its flows lost."""

    def on_drift(self, count: int) -> None:
        """So many prefixes, the settings counting one, were changed behind our back: repaired."""

    def on_strange_vips(self, strange: Sequence[StrangeVip]) -> None:
        """These are now the VIPs found in VPP that no frontend can have: they are left alone."""

    def on_contention(self, count: int) -> None:
        """So many prefixes are not repaired for now, since something else keeps changing them."""

    def on_flows_forgotten(self, buckets: int) -> None:
        """The memory of flows has so many buckets a core now; all flows known are forgotten."""

    def on_synced(self, seconds: float) -> None:
        """Changes were programmed, or all of VPP was read and compared, in so much time."""

    def on_settings_error(self, error: str) -> None:
        """The plugin's settings could not be set; empty: they are as desired."""

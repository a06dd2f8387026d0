"""What the syncer knows: what each frontend wants, what VPP has, whose each VIP is.

Without tasks or calls: it answers what is to be done for some prefixes (`plan`), and is told what
was done (`settle`). A VIP is removed only if it is owned, that is made or adopted for a frontend,
and that frontend does not want it any more. A frontend of which nothing is known but that it
exists (`keep`) holds on to the VIPs that it owns.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPAddress, IPNetwork, Vip, VipId, VipTable
from vpplb.plan.diff import Chain, Plan, after, diff
from vpplb.plan.ops import AddServer, SetWeight, VipOp


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncerState:
    """What has to outlive the process: which frontend owns a VIP, which flushes were applied."""

    owned: Mapping[VipId, ObjectKey] = field(default_factory=dict)
    flushed: Mapping[tuple[VipId, IPAddress], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one frontend wants."""

    vip: VipId
    desired: Vip
    revision: str


class VipBook:
    """The wanted, the observed and the owned. With `own_all`, all that is observed is owned."""

    def __init__(self, state: SyncerState, *, own_all: bool) -> None:
        self.observed: dict[VipId, Vip] = {}
        self._own_all = own_all
        self._owned = dict(state.owned)
        self._flushed: dict[VipId, dict[IPAddress, int]] = {}
        for (vip, address), epoch in state.flushed.items():
            self._flushed.setdefault(vip, {})[address] = epoch
        self._wanted: dict[ObjectKey, Wanted] = {}
        self._kept: dict[ObjectKey, VipId | None] = {}
        self._changed = False

    # --- what is wanted -----------------------------------------------------------------------

    def want(self, key: ObjectKey, wanted: Wanted) -> set[IPNetwork]:
        """Note what a frontend wants; return the prefixes to look at, none if it is no news."""
        old = self._wanted.get(key)
        if old == wanted:
            return set()
        touched = self._prefixes(key) | {wanted.vip.prefix}
        self._kept.pop(key, None)
        self._wanted.pop(key, None)  # to the end: where two want one VIP, the later gets it
        self._wanted[key] = wanted
        return touched

    def keep(self, key: ObjectKey, vip: VipId | None) -> set[IPNetwork]:
        """Note that a frontend exists, and perhaps its VIP; return the prefixes to look at."""
        touched = self._prefixes(key)
        old = self._wanted.pop(key, None)
        self._kept[key] = vip or (old.vip if old else self._kept.get(key))
        return touched

    def drop(self, key: ObjectKey) -> set[IPNetwork]:
        """Forget a frontend; return the prefixes to look at."""
        touched = self._prefixes(key)
        self._wanted.pop(key, None)
        self._kept.pop(key, None)
        return touched

    def _prefixes(self, key: ObjectKey) -> set[IPNetwork]:
        vips = {vip for vip, owner in self._owned.items() if owner == key}
        if wanted := self._wanted.get(key):
            vips.add(wanted.vip)
        if kept := self._kept.get(key):
            vips.add(kept)
        return {vip.prefix for vip in vips}

    # --- what is to be done -------------------------------------------------------------------

    def prefixes(self) -> set[IPNetwork]:
        """Return every prefix that may need a look."""
        vips = {*self.observed, *self._owned, *(w.vip for w in self._wanted.values())}
        return {vip.prefix for vip in vips}

    def plan(self, prefixes: Collection[IPNetwork]) -> Plan:
        """Plan the calls that make the VIPs of these prefixes as wanted."""
        desired = {w.vip: w.desired for w in self._wanted.values() if w.vip.prefix in prefixes}
        observed = {vip: have for vip, have in self.observed.items() if vip.prefix in prefixes}
        flushed = {
            (vip, address): epoch
            for vip in desired
            for address, epoch in self._flushed.get(vip, {}).items()
        }
        return diff(desired, observed, owned=self._removable(observed), flushed=flushed)

    def _removable(self, observed: VipTable) -> set[VipId]:
        held = {vip for vip, owner in self._owned.items() if owner in self._kept}
        held.update(vip for vip in self._kept.values() if vip)
        return {vip for vip in observed if self._own_all or vip in self._owned} - held

    def winners(self, prefixes: Collection[IPNetwork]) -> dict[VipId, ObjectKey]:
        """Return the VIPs wanted on these prefixes, each with the frontend that gets it."""
        return {w.vip: key for key, w in self._wanted.items() if w.vip.prefix in prefixes}

    def claims(self, prefixes: Collection[IPNetwork]) -> Iterator[tuple[ObjectKey, Wanted]]:
        """Yield what each frontend wants on these prefixes, also those that do not get it."""
        return (
            (key, wanted) for key, wanted in self._wanted.items() if wanted.vip.prefix in prefixes
        )

    def wanted(self, vip: VipId) -> Vip | None:
        """Return what the VIP shall be, None if nobody wants it."""
        return next((w.desired for w in reversed(self._wanted.values()) if w.vip == vip), None)

    # --- what was done ------------------------------------------------------------------------

    def own(self, winners: Mapping[VipId, ObjectKey]) -> None:
        """Take these VIPs as owned, before anything is done for them: better than after."""
        for vip, key in winners.items():
            if self._owned.get(vip) != key:
                self._owned[vip] = key
                self._changed = True

    def owner(self, vip: VipId) -> ObjectKey | None:
        """Return the frontend that the VIP was made for."""
        return self._owned.get(vip)

    def done(self, chain: Chain, ops: Sequence[VipOp]) -> None:
        """Note the ops of a chain that VPP did."""
        vip = chain.vip
        now = after(self.observed.get(vip), ops)
        if now is None:
            self.observed.pop(vip, None)
        else:
            self.observed[vip] = now
        desired = self.wanted(vip)
        if desired is None:
            return
        for op in ops:
            applied = isinstance(op, AddServer) or (isinstance(op, SetWeight) and op.flush)
            if applied and (server := desired.servers.get(op.address)):  # type: ignore[union-attr]
                self._note_flush(vip, op.address, server.flush_epoch)  # type: ignore[union-attr]

    def _note_flush(self, vip: VipId, address: IPAddress, epoch: int) -> None:
        epochs = self._flushed.setdefault(vip, {})
        if epochs.get(address) != epoch:
            epochs[address] = epoch
            self._changed = True

    def settle(self, prefixes: Collection[IPNetwork], failed: Collection[VipId]) -> None:
        """Conclude that the VIPs of these prefixes are as wanted, but for those that failed."""
        for _, wanted in self.claims(prefixes):
            if wanted.vip not in failed:
                epochs = {a: s.flush_epoch for a, s in wanted.desired.servers.items()}
                if self._flushed.get(wanted.vip) != epochs:
                    self._flushed[wanted.vip] = epochs
                    self._changed = True
        wanted_vips = {w.vip for w in self._wanted.values()}
        for vip in [v for v in self._owned if v.prefix in prefixes]:
            if vip not in self.observed and vip not in wanted_vips:
                self._owned.pop(vip)
                self._flushed.pop(vip, None)
                self._changed = True

    @property
    def state(self) -> SyncerState:
        """What the next start should be given."""
        flushed = {
            (vip, address): epoch
            for vip, epochs in self._flushed.items()
            for address, epoch in epochs.items()
        }
        return SyncerState(owned=dict(self._owned), flushed=flushed)

    def news(self) -> SyncerState | None:
        """Return the state if it has changed since the last time this was asked."""
        changed, self._changed = self._changed, False
        return self.state if changed else None

"""What the syncer knows: what each frontend wants, what VPP has, whose each VIP is.

Without tasks or calls: it answers what is to be done on some prefixes (`plan`), and is told what
was done (`done`, `settle`). All is kept by prefix, since VPP's rules join the VIPs of a prefix and
no others; so a change costs the same among ten VIPs and ten thousand.

A VIP is removed only if it is owned, that is made or adopted for a frontend, and wanted no more.
A frontend of which nothing is known but that it exists (`keep`) holds on to what it owns.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Claim:
    """A frontend's want of a VIP. `rival` is who gets it, if that is another frontend."""

    key: ObjectKey
    wanted: Wanted
    rival: ObjectKey | None

    @property
    def won(self) -> bool:
        """Whether the frontend gets the VIP."""
        return self.rival is None


@dataclass(slots=True)
class Shelf:
    """All about the VIPs of one prefix."""

    wanted: dict[ObjectKey, Wanted] = field(default_factory=dict)
    observed: dict[VipId, Vip] = field(default_factory=dict)
    owned: dict[VipId, ObjectKey] = field(default_factory=dict)
    flushed: dict[VipId, dict[IPAddress, int]] = field(default_factory=dict)

    def winners(self) -> dict[VipId, ObjectKey]:
        """Return the wanted VIPs with the frontend that gets each: the last to want it."""
        return {wanted.vip: key for key, wanted in self.wanted.items()}

    def claims(self) -> list[Claim]:
        """Return what each frontend wants here."""
        winners = self.winners()
        return [
            Claim(key, wanted, None if winners[wanted.vip] == key else winners[wanted.vip])
            for key, wanted in self.wanted.items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is to be done on some prefixes, and for what, as it was when it was planned."""

    plan: Plan
    claims: Sequence[Claim]
    desired: Mapping[VipId, Vip]
    shelves: Sequence[Shelf]


class VipBook:
    """The wanted, the observed and the owned. With `own_all`, all that is observed is owned."""

    def __init__(self, state: SyncerState, *, own_all: bool) -> None:
        self._own_all = own_all
        self._shelves: dict[IPNetwork, Shelf] = {}
        self._places: dict[ObjectKey, set[IPNetwork]] = {}
        """Where a frontend may want, keep or own something."""
        self._wanted: dict[ObjectKey, Wanted] = {}
        self._kept: dict[ObjectKey, VipId | None] = {}
        self._changed = False
        for vip, key in state.owned.items():
            self._shelf(vip).owned[vip] = key
            self._places.setdefault(key, set()).add(vip.prefix)
        for (vip, address), epoch in state.flushed.items():
            self._shelf(vip).flushed.setdefault(vip, {})[address] = epoch

    def _shelf(self, vip: VipId) -> Shelf:
        return self._shelves.setdefault(vip.prefix, Shelf())

    # --- what is wanted -----------------------------------------------------------------------

    def want(self, key: ObjectKey, wanted: Wanted) -> set[IPNetwork]:
        """Note what a frontend wants; return the prefixes to look at, none if it is no news."""
        if self._wanted.get(key) == wanted:
            return set()
        self._forget(key)
        self._wanted[key] = wanted
        self._shelf(wanted.vip).wanted[key] = wanted
        return self._place(key, wanted.vip)

    def keep(self, key: ObjectKey, vip: VipId | None) -> set[IPNetwork]:
        """Note that a frontend exists, and its VIP if known; return the prefixes to look at."""
        was = self._wanted.get(key)
        kept = vip or (was.vip if was else self._kept.get(key))
        self._forget(key)
        self._kept[key] = kept
        return self._place(key, kept)

    def drop(self, key: ObjectKey) -> set[IPNetwork]:
        """Forget a frontend; return the prefixes to look at."""
        self._forget(key)
        return self._places.pop(key, set())

    def _forget(self, key: ObjectKey) -> None:
        self._kept.pop(key, None)
        if was := self._wanted.pop(key, None):
            del self._shelf(was.vip).wanted[key]

    def _place(self, key: ObjectKey, vip: VipId | None) -> set[IPNetwork]:
        places = self._places.setdefault(key, set())
        if vip:
            places.add(vip.prefix)
        return places

    # --- what is to be done -------------------------------------------------------------------

    @property
    def prefixes(self) -> Collection[IPNetwork]:
        """Every prefix of which something is known."""
        return self._shelves.keys()

    def begin(self, prefixes: Iterable[IPNetwork]) -> Round:
        """Plan a round on these prefixes, and own what is wanted there.

        Owned before anything is done: who dies in between leaves nothing that nobody owns.
        """
        observed: dict[VipId, Vip] = {}
        flushed: dict[tuple[VipId, IPAddress], int] = {}
        owned: set[VipId] = set()
        claims: list[Claim] = []
        shelves = [self._shelves[prefix] for prefix in prefixes if prefix in self._shelves]
        for shelf in shelves:
            self._adopt(shelf)
            claims += shelf.claims()
            observed |= shelf.observed
            owned |= self._removable(shelf)
            for vip, epochs in shelf.flushed.items():
                flushed |= {(vip, address): epoch for address, epoch in epochs.items()}
        desired = {claim.wanted.vip: claim.wanted.desired for claim in claims if claim.won}
        plan = diff(desired, observed, owned=owned, flushed=flushed)
        return Round(plan=plan, claims=claims, desired=desired, shelves=shelves)

    def _adopt(self, shelf: Shelf) -> None:
        for vip, key in shelf.winners().items():
            if shelf.owned.get(vip) != key:
                shelf.owned[vip] = key
                self._changed = True

    def _removable(self, shelf: Shelf) -> set[VipId]:
        held = {vip for vip, owner in shelf.owned.items() if owner in self._kept}
        held.update(vip for vip in self._kept.values() if vip in shelf.observed)
        return (set(shelf.observed) if self._own_all else set(shelf.owned)) - held

    def owner(self, vip: VipId) -> ObjectKey | None:
        """Return the frontend that the VIP was made for."""
        return self._shelf(vip).owned.get(vip)

    # --- what is and what was done ------------------------------------------------------------

    @property
    def observed(self) -> VipTable:
        """What VPP has."""
        return {
            vip: have for shelf in self._shelves.values() for vip, have in shelf.observed.items()
        }

    def observe(self, table: VipTable) -> None:
        """Note what VPP was found to have, instead of what was known before."""
        for shelf in self._shelves.values():
            shelf.observed = {}
        for vip, have in table.items():
            self._shelf(vip).observed[vip] = have
        for prefix in [p for p, shelf in self._shelves.items() if shelf == Shelf()]:
            del self._shelves[prefix]

    def done(self, chain: Chain, ops: Sequence[VipOp], desired: Vip | None) -> Vip | None:
        """Note the ops of a chain that VPP did; return the VIP as it is now.

        `desired` is what the chain was planned for: what is wanted may have changed since.
        """
        shelf = self._shelf(chain.vip)
        now = after(shelf.observed.get(chain.vip), ops)
        shelf.observed.pop(chain.vip, None)
        if now is not None:
            shelf.observed[chain.vip] = now
        servers = desired.servers if desired else {}
        for op in ops:
            if not isinstance(op, AddServer | SetWeight) or op.address not in servers:
                continue
            if isinstance(op, AddServer) or op.flush:
                epoch = servers[op.address].flush_epoch
                shelf.flushed.setdefault(chain.vip, {})[op.address] = epoch
                self._changed = True
        return now

    def settle(self, done: Round, failed: Collection[VipId]) -> Mapping[VipId, ObjectKey]:
        """Conclude that the VIPs of a round are as it wanted them, but for those that failed.

        Return the VIPs that are gone and wanted no more, with their last owner.
        """
        released: dict[VipId, ObjectKey] = {}
        for vip, desired in done.desired.items():
            flushed = self._shelf(vip).flushed
            epochs = {address: server.flush_epoch for address, server in desired.servers.items()}
            if vip not in failed and flushed.get(vip) != epochs:
                flushed[vip] = epochs
                self._changed = True
        for shelf in done.shelves:
            wanted = shelf.winners()
            for vip in [v for v in shelf.owned if v not in wanted and v not in shelf.observed]:
                released[vip] = shelf.owned.pop(vip)
                shelf.flushed.pop(vip, None)
                self._changed = True
        return released

    @property
    def state(self) -> SyncerState:
        """What the next start should be given."""
        owned: dict[VipId, ObjectKey] = {}
        flushed: dict[tuple[VipId, IPAddress], int] = {}
        for shelf in self._shelves.values():
            owned |= shelf.owned
            for vip, epochs in shelf.flushed.items():
                flushed |= {(vip, address): epoch for address, epoch in epochs.items()}
        return SyncerState(owned=owned, flushed=flushed)

    def news(self) -> bool:
        """Return whether the state has changed since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

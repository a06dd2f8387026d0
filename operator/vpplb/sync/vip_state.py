"""What the syncer knows: what each frontend wants, what VPP has, whose each VIP is.

Without tasks or calls: it answers what is to be done on some shelves (`begin`), and is told what
was done (`done`, `settle`). A shelf holds the VIPs of one prefix, since VPP's rules join those and
no others; so a change costs the same among ten VIPs and ten thousand.

A VIP is removed only if it is owned, that is made or adopted for a frontend, and wanted no more,
and not while something keeps VPP from what its frontend wants instead.
A frontend of which nothing is known but that it exists (`keep`) holds on to what it owns.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPNetwork, StrangeVip, Vip, VipId, VipTable
from vpplb.plan.diff import diff_prefix, taken_as_applied
from vpplb.plan.obstacles import Case, Flushed, by_prefix, obstacles, under
from vpplb.plan.ops import AddServer, SetWeight, VipOp
from vpplb.plan.progress import after
from vpplb.sync.vip_records import Claim, Round, Row, Shelf, Wanted, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncerState:
    """What has to outlive the process: which frontend owns a VIP, which flushes were applied.

    Flush epochs of 0 may be left out, but not the VIP itself.
    """

    owned: Mapping[VipId, ObjectKey] = field(default_factory=dict)
    flushed: Mapping[VipId, Flushed] = field(default_factory=dict)


class VipBook:
    """The wanted, the observed and the owned. With `own_all`, all that is observed is owned."""

    def __init__(self, state: SyncerState, *, own_all: bool) -> None:
        self._own_all = own_all
        self._shelves: dict[IPNetwork, Shelf] = {}
        self._wanted: dict[ObjectKey, Row] = {}
        self._kept: dict[ObjectKey, VipId | None] = {}
        self._places: dict[ObjectKey, set[Shelf]] = {}
        """Where a frontend may want, keep or own something."""
        self._unowned: dict[Row, None] = {}
        """What may be wanted by another frontend than owns it."""
        self._strange: Mapping[IPNetwork, Sequence[StrangeVip]] = {}
        self._changed = False
        self.recall(state)

    def recall(self, state: SyncerState) -> None:
        """Take in what the last process left."""
        for vip, key in state.owned.items():
            row = self._row(vip)
            row.owner, row.flushed = key, state.flushed.get(vip)
            self._places.setdefault(key, set()).add(row.shelf)

    def _row(self, vip: VipId) -> Row:
        shelf = self._shelves.get(vip.prefix)
        if shelf is None:
            shelf = self._shelves[vip.prefix] = Shelf()
        row = shelf.rows.get(vip)
        if row is None:
            row = shelf.rows[vip] = Row(vip, shelf)
        return row

    # --- what is wanted -----------------------------------------------------------------------

    def want(self, key: ObjectKey, wanted: Wanted) -> Collection[Shelf]:
        """Note what a frontend wants; return the shelves to look at, none if it is no news."""
        row = self._wanted.get(key)
        if row is not None and row.vip == wanted.vip:
            # The revision first: it nearly always differs, and is much the cheapest to compare.
            was = row.wanted[key]
            if was.revision == wanted.revision and was.desired == wanted.desired:
                return ()
            del row.wanted[key]
        else:
            self._forget(key)
            row = self._wanted[key] = self._row(wanted.vip)
        row.wanted[key] = wanted  # the last
        if row.owner != key:
            self._unowned[row] = None
        return self._place(key, row.shelf)

    def keep(self, key: ObjectKey, vip: VipId | None) -> Collection[Shelf]:
        """Note that a frontend exists, and its VIP if known; return the shelves to look at."""
        was = self._wanted.get(key)
        kept = vip or (was.vip if was else self._kept.get(key))
        self._forget(key)
        self._kept[key] = kept
        return self._place(key, self._row(kept).shelf if kept else None)

    def drop(self, key: ObjectKey) -> Collection[Shelf]:
        """Forget a frontend; return the shelves to look at."""
        self._forget(key)
        return self._places.pop(key, ())

    def _forget(self, key: ObjectKey) -> None:
        self._kept.pop(key, None)
        if row := self._wanted.pop(key, None):
            del row.wanted[key]
            self._unowned[row] = None

    def _place(self, key: ObjectKey, shelf: Shelf | None) -> Collection[Shelf]:
        places = self._places.setdefault(key, set())
        if shelf:
            places.add(shelf)
        return places

    # --- what is to be done -------------------------------------------------------------------

    @property
    def shelves(self) -> Collection[Shelf]:
        """Every prefix of which something is known."""
        return self._shelves.values()

    def adopt(self) -> bool:
        """Own what is wanted; return whether that is news, to be kept before all else.

        Owned before anything is done: who dies in between leaves nothing that nobody owns.
        """
        adopted = False
        for row in self._unowned:
            winner = row.winner
            if winner is not None and row.owner != winner:
                row.owner = winner
                adopted = self._changed = True
        self._unowned.clear()
        return adopted

    def begin(self, shelves: Iterable[Shelf]) -> Round:
        """Plan a round on these shelves; what is wanted there has been adopted."""
        held = {vip for vip in self._kept.values() if vip}
        works: list[Work] = []
        claims: list[Claim] = []
        for shelf in filter(lambda shelf: shelf.rows, shelves):
            cases = [self._case(row, held, claims) for row in shelf.rows.values()]
            planned = diff_prefix(cases, self._strange_on(shelf))
            for row, (chain, want, obstacle) in zip(shelf.rows.values(), planned, strict=True):
                works.append(Work(row, want, chain, obstacle))
        return Round(works, claims)

    def _strange_on(self, shelf: Shelf) -> Sequence[StrangeVip]:
        return self._strange.get(next(iter(shelf.rows)).prefix, ()) if self._strange else ()

    def _case(self, row: Row, held: Collection[VipId], claims: list[Claim]) -> Case:
        """Put a VIP as the question what to do with it."""
        winner = row.winner
        if winner is None:
            if not self._removable(row, held):
                return Case(row.vip, row.have, None, None, foreign=True)
            return self._leaving(row)
        for key, wanted in row.wanted.items():
            claims.append(Claim(key, wanted, None if key == winner else winner))
        row.consider(row.wanted[winner].desired)
        desired = row.fit(row.wanted[winner].desired)
        if row.flushed is None:
            row.flushed = taken_as_applied(row.have, desired)
            self._changed = True
        return Case(row.vip, row.have, desired, row.flushed)

    def _leaving(self, row: Row) -> Case:
        """Put a VIP that is to be removed, and what its frontend wants instead.

        Where that is on another prefix, and cannot be made there, the VIP stays.
        """
        case = Case(row.vip, row.have, None, row.flushed)
        heir = self._wanted.get(row.owner) if row.owner and row.have else None
        if heir is None or row.owner is None or row.have is None or heir.winner != row.owner:
            return case
        wanted = heir.wanted[row.owner].desired
        if heir.shelf is row.shelf:
            return case._replace(heir=wanted, heir_id=heir.vip)
        if not self._walled_off(heir):
            return case
        want = under(row.vip, row.have, wanted)
        return case._replace(want=want, foreign=want is None)

    def _walled_off(self, row: Row) -> bool:
        """Whether a VIP cannot be made, whatever becomes of those that are to go."""
        held = {vip for vip in self._kept.values() if vip}
        cases = [
            Case(one.vip, one.have, want, None, foreign=want is None)
            for one in row.shelf.rows.values()
            if (want := one.wish) is not None or not self._removable(one, held)
        ]
        return row.vip in obstacles(cases, self._strange_on(row.shelf))

    def replaces(self, shelves: Iterable[Shelf]) -> bool:
        """Whether something there may be taken away for something else."""
        rows = (row for shelf in shelves for row in shelf.rows.values())
        return any(row.gives_way(self._wanted) for row in rows)

    def _removable(self, row: Row, held: Collection[VipId]) -> bool:
        owned = self._own_all or row.owner is not None
        return owned and row.owner not in self._kept and row.vip not in held

    def strayed(self) -> list[Shelf]:
        """Return the shelves on which VPP has not what is wanted, whether it can be made or not."""
        return [
            shelf
            for shelf in self._shelves.values()
            if any(work.chain or work.obstacle for work in self.begin((shelf,)).works)
        ]

    # --- what is and what was done ------------------------------------------------------------

    @property
    def observed(self) -> VipTable:
        """What VPP has."""
        return {row.vip: row.have for row in self._rows() if row.have is not None}

    @property
    def in_service(self) -> bool:
        """Whether VPP has a VIP with servers."""
        return any(row.have is not None and row.have.servers for row in self._rows())

    def _rows(self) -> Iterable[Row]:
        return (row for shelf in self._shelves.values() for row in shelf.rows.values())

    def observe(self, table: VipTable, strange: Iterable[StrangeVip] = ()) -> None:
        """Note what VPP was found to have, instead of what was known before."""
        self._strange = by_prefix(strange)
        for row in self._rows():
            row.have = table.get(row.vip)
        for vip, have in table.items():
            self._row(vip).have = have
        self._tidy()

    def _tidy(self) -> None:
        """Forget the VIPs of which there is nothing to know."""
        for prefix, shelf in list(self._shelves.items()):
            rows = shelf.rows
            for row in [row for row in rows.values() if row.blank]:
                del rows[row.vip]
            if not rows:
                del self._shelves[prefix]

    def finish(self, work: Work) -> None:
        """Note that VPP did all that was to be done for a VIP."""
        work.row.have = work.desired
        if work.desired is not None:
            self._settle(work.row, work.desired)

    def done(self, work: Work, ops: Sequence[VipOp]) -> None:
        """Note the ops of a VIP that VPP did, with others failed or still to come."""
        row = work.row
        row.have = after(row.have, ops)
        if work.desired is None:
            return
        servers = work.desired.servers
        flushed = {
            op.address: epoch
            for op in ops
            if (isinstance(op, SetWeight) and op.flush) or isinstance(op, AddServer)
            if (epoch := servers[op.address].flush_epoch)
        }
        if flushed:
            row.flushed = {**(row.flushed or {}), **flushed}
            self._changed = True

    def settle(self, done: Round) -> Mapping[Row, ObjectKey]:
        """Conclude a round: where nothing was to be done, VIPs are as it wanted them.

        Return those that are gone and wanted no more, with their last owner.
        """
        released: dict[Row, ObjectKey] = {}
        for row, desired, chain, _ in done.works:
            if desired is not None:
                if chain is None:
                    self._settle(row, desired)
            elif row.owner is not None and row.have is None and not row.wanted:
                released[row] = row.owner
                row.owner, row.flushed = None, None
                self._changed = True
        return released

    def _settle(self, row: Row, desired: Vip) -> None:
        epochs = {
            address: server.flush_epoch
            for address, server in desired.servers.items()
            if server.flush_epoch
        }
        if row.flushed != epochs:
            row.flushed = epochs
            self._changed = True

    @property
    def state(self) -> SyncerState:
        """What the next start should be given."""
        owned = [row for row in self._rows() if row.owner is not None]
        return SyncerState(
            owned={row.vip: row.owner for row in owned if row.owner},
            flushed={row.vip: row.flushed for row in owned if row.flushed is not None},
        )

    def news(self) -> bool:
        """Return whether the state has changed since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

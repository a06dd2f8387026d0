"""What the syncer knows: what each frontend wants, what VPP has, whose each VIP is.

Without tasks or calls: it plans what is to be done on some groups (`plan_round`), and is told what
VPP did (`note_calls`, `conclude_round`). A group holds the VIPs of one prefix, since VPP's rules
join those and no others; so a change costs the same among ten VIPs and ten thousand.

A VIP is removed only if it is owned, that is made or adopted for a frontend, and wanted no more,
and not while something keeps VPP from what its frontend wants instead.
A frontend of which nothing is known but that it exists (`keep_vip`) holds on to what it owns.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPNetwork, StrangeVip, Vip, VipId, VipTable
from vpplb.plan.diff import diff_prefix, taken_as_applied
from vpplb.plan.execution import apply_ops
from vpplb.plan.obstacles import FlushEpochs, VipCase, by_prefix, find_obstacles, keep_settings
from vpplb.plan.ops import AddServer, SetWeight, VipOp
from vpplb.sync.vip_records import (
    PrefixGroup,
    RoundPlan,
    VipChange,
    VipRecord,
    VipRequest,
    WantedVip,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedState:
    """What has to outlive the process: which frontend owns a VIP, which flushes were applied.

    Flush epochs of 0 may be left out, but not the VIP itself.
    """

    owned: Mapping[VipId, ObjectKey] = field(default_factory=dict)
    flushed: Mapping[VipId, FlushEpochs] = field(default_factory=dict)


class VipState:
    """All VIPs of one VPP. The syncer is its only writer once it runs; everybody else reads.

    With `own_all` every VIP found is owned: what no frontend wants is removed, whoever made it.
    """

    def __init__(self, state: OwnedState | None = None, *, own_all: bool = False) -> None:
        self._own_all = own_all
        self.strange: Sequence[StrangeVip] = ()
        """VIPs that VPP was last found to have beside those of `observed`."""
        self._groups: dict[IPNetwork, PrefixGroup] = {}
        self._wanted: dict[ObjectKey, VipRecord] = {}
        self._kept: dict[ObjectKey, VipId | None] = {}
        self._places: dict[ObjectKey, set[PrefixGroup]] = {}
        """Where a frontend may want, keep or own something."""
        self._unowned: dict[VipRecord, None] = {}
        """What may be wanted by another frontend than owns it."""
        self._strange: Mapping[IPNetwork, Sequence[StrangeVip]] = {}
        self._changed = False
        self.restore(state or OwnedState())

    def restore(self, state: OwnedState) -> None:
        """Take in what the last process left; before the syncer runs."""
        for vip, key in state.owned.items():
            record = self._get_record(vip)
            record.owner, record.flushed = key, state.flushed.get(vip)
            self._places.setdefault(key, set()).add(record.group)

    def _get_record(self, vip: VipId) -> VipRecord:
        group = self._groups.get(vip.prefix)
        if group is None:
            group = self._groups[vip.prefix] = PrefixGroup()
        record = group.records.get(vip)
        if record is None:
            record = group.records[vip] = VipRecord(vip, group)
        return record

    # --- what is wanted -----------------------------------------------------------------------

    def set_desired(self, key: ObjectKey, wanted: WantedVip) -> Collection[PrefixGroup]:
        """Note what a frontend wants; return the groups to look at, none if it is no news."""
        record = self._wanted.get(key)
        if record is not None and record.vip == wanted.vip:
            # The revision first: it nearly always differs, and is much the cheapest to compare.
            was = record.wanted[key]
            if was.revision == wanted.revision and was.desired == wanted.desired:
                return ()
            del record.wanted[key]
        else:
            self._forget_wanted(key)
            record = self._wanted[key] = self._get_record(wanted.vip)
        record.wanted[key] = wanted  # the last to want it gets it (`winner`)
        if record.owner != key:
            self._unowned[record] = None
        return self._note_place(key, record.group)

    def keep_vip(self, key: ObjectKey, vip: VipId | None) -> Collection[PrefixGroup]:
        """Note that a frontend exists, and its VIP if known; return the groups to look at."""
        was = self._wanted.get(key)
        kept = vip or (was.vip if was else self._kept.get(key))
        self._forget_wanted(key)
        self._kept[key] = kept
        return self._note_place(key, self._get_record(kept).group if kept else None)

    def remove_frontend(self, key: ObjectKey) -> Collection[PrefixGroup]:
        """Forget a frontend; return the groups to look at."""
        self._forget_wanted(key)
        return self._places.pop(key, ())

    def _forget_wanted(self, key: ObjectKey) -> None:
        self._kept.pop(key, None)
        if record := self._wanted.pop(key, None):
            del record.wanted[key]
            self._unowned[record] = None

    def _note_place(self, key: ObjectKey, group: PrefixGroup | None) -> Collection[PrefixGroup]:
        places = self._places.setdefault(key, set())
        if group:
            places.add(group)
        return places

    # --- what is to be done -------------------------------------------------------------------

    @property
    def groups(self) -> Collection[PrefixGroup]:
        """Every prefix of which something is known."""
        return self._groups.values()

    def adopt_wanted(self) -> bool:
        """Own what is wanted; return whether that is news, to be kept before all else.

        Owned before anything is done: who dies in between leaves nothing that nobody owns.
        """
        adopted = False
        for record in self._unowned:
            winner = record.winner
            if winner is not None and record.owner != winner:
                record.owner = winner
                adopted = self._changed = True
        self._unowned.clear()
        return adopted

    def plan_round(self, groups: Iterable[PrefixGroup]) -> RoundPlan:
        """Plan a round on these groups; what is wanted there has been adopted."""
        held = {vip for vip in self._kept.values() if vip}
        changes: list[VipChange] = []
        requests: list[VipRequest] = []
        for group in filter(lambda group: group.records, groups):
            cases = [self._make_case(record, held, requests) for record in group.records.values()]
            planned = diff_prefix(cases, self._strange_on(group))
            changes.extend(
                VipChange(record, want, chain, obstacle)
                for record, (chain, want, obstacle) in zip(
                    group.records.values(), planned, strict=True
                )
            )
        return RoundPlan(changes, requests)

    def _strange_on(self, group: PrefixGroup) -> Sequence[StrangeVip]:
        return self._strange.get(next(iter(group.records)).prefix, ()) if self._strange else ()

    def _make_case(
        self, record: VipRecord, held: Collection[VipId], requests: list[VipRequest]
    ) -> VipCase:
        """Put a VIP as the question what to do with it."""
        winner = record.winner
        if winner is None:
            if not self._is_removable(record, held):
                return VipCase(record.vip, record.have, None, None, foreign=True)
            return self._make_leaving_case(record)
        for key, wanted in record.wanted.items():
            requests.append(VipRequest(key, wanted, None if key == winner else winner))
        record.note_tentative(record.wanted[winner].desired)
        desired = record.fit_desired(record.wanted[winner].desired)
        if record.flushed is None:  # nobody remembers it: what was to be flushed has been
            record.flushed = taken_as_applied(record.have, desired)
            self._changed = True
        return VipCase(record.vip, record.have, desired, record.flushed)

    def _make_leaving_case(self, record: VipRecord) -> VipCase:
        """Put a VIP that is to be removed, and what its frontend wants instead.

        Where that is on another prefix, and cannot be made there, the VIP stays.
        """
        case = VipCase(record.vip, record.have, None, record.flushed)
        owner, have = record.owner, record.have
        heir = self._wanted.get(owner) if owner and have else None
        if heir is None or owner is None or have is None or heir.winner != owner:
            return case
        wanted = heir.wanted[owner].desired
        if heir.group is record.group:
            return case._replace(heir=wanted, heir_id=heir.vip)
        if not self._is_blocked(heir):
            return case
        want = keep_settings(record.vip, have, wanted)
        return case._replace(want=want, foreign=want is None)

    def _is_blocked(self, record: VipRecord) -> bool:
        """Whether a VIP cannot be made, whatever becomes of those that are to go."""
        held = {vip for vip in self._kept.values() if vip}
        cases = [
            VipCase(one.vip, one.have, want, None, foreign=want is None)
            for one in record.group.records.values()
            if (want := one.wanted_vip) is not None or not self._is_removable(one, held)
        ]
        return record.vip in find_obstacles(cases, self._strange_on(record.group))

    def replaces_vips(self, groups: Iterable[PrefixGroup]) -> bool:
        """Whether something there may be taken away for something else."""
        records = (record for group in groups for record in group.records.values())
        return any(record.gives_way(self._wanted) for record in records)

    def _is_removable(self, record: VipRecord, held: Collection[VipId]) -> bool:
        owned = self._own_all or record.owner is not None
        return owned and record.owner not in self._kept and record.vip not in held

    def find_strayed(self) -> list[PrefixGroup]:
        """Return the groups on which VPP has not what is wanted, whether it can be made or not."""
        return [
            group
            for group in self._groups.values()
            if any(one.chain or one.obstacle for one in self.plan_round((group,)).changes)
        ]

    # --- what is and what was done ------------------------------------------------------------

    @property
    def observed(self) -> VipTable:
        """What VPP has, whoever made it; while it is lost, what it had."""
        return {one.vip: one.have for one in self._list_records() if one.have is not None}

    @property
    def in_service(self) -> bool:
        """Whether VPP has a VIP with servers."""
        return any(one.have is not None and one.have.servers for one in self._list_records())

    def _list_records(self) -> Iterable[VipRecord]:
        return (record for group in self._groups.values() for record in group.records.values())

    def set_observed(self, table: VipTable, strange: Sequence[StrangeVip] = ()) -> None:
        """Note what VPP was found to have, instead of what was known before."""
        self.strange, self._strange = strange, by_prefix(strange)
        for record in self._list_records():
            record.have = table.get(record.vip)
        for vip, have in table.items():
            self._get_record(vip).have = have
        self._drop_blank()

    def _drop_blank(self) -> None:
        """Forget the VIPs of which there is nothing to know."""
        for prefix, group in list(self._groups.items()):
            for record in [one for one in group.records.values() if one.is_blank]:
                del group.records[record.vip]
            if not group.records:
                del self._groups[prefix]

    def note_success(self, change: VipChange) -> None:
        """Note that VPP did all that was to be done for a VIP."""
        change.record.have = change.desired
        if change.desired is not None:
            self._note_flushes(change.record, change.desired)

    def note_calls(self, change: VipChange, ops: Sequence[VipOp]) -> None:
        """Note the ops of a VIP that VPP did, with others failed or still to come."""
        record = change.record
        record.have = apply_ops(record.have, ops)
        if change.desired is None:
            return
        servers = change.desired.servers
        flushed = {
            op.address: epoch
            for op in ops
            if (isinstance(op, SetWeight) and op.flush) or isinstance(op, AddServer)
            if (epoch := servers[op.address].flush_epoch)
        }
        if flushed:
            record.flushed = {**(record.flushed or {}), **flushed}
            self._changed = True

    def conclude_round(self, done: RoundPlan) -> Mapping[VipRecord, ObjectKey]:
        """Conclude a round: where nothing was to be done, VIPs are as it wanted them.

        Return those that are gone and wanted no more, with their last owner.
        """
        released: dict[VipRecord, ObjectKey] = {}
        for record, desired, chain, _ in done.changes:
            if desired is not None:
                if chain is None:
                    self._note_flushes(record, desired)
            elif record.owner is not None and record.have is None and not record.wanted:
                released[record] = record.owner
                record.owner, record.flushed = None, None
                self._changed = True
        return released

    def _note_flushes(self, record: VipRecord, desired: Vip) -> None:
        epochs = {
            address: server.flush_epoch
            for address, server in desired.servers.items()
            if server.flush_epoch
        }
        if record.flushed != epochs:
            record.flushed = epochs
            self._changed = True

    @property
    def owned_state(self) -> OwnedState:
        """What the next start should be given."""
        owned = [one for one in self._list_records() if one.owner is not None]
        return OwnedState(
            owned={one.vip: one.owner for one in owned if one.owner},
            flushed={one.vip: one.flushed for one in owned if one.flushed is not None},
        )

    def take_changed(self) -> bool:
        """Return whether `owned_state` has changed since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

"""Who may lead, by one Lease: the rules alone, without requests and without a clock.

A lease is judged by the changes of it that we have *seen*, on our own monotonic clock: clocks of
machines differ, so the times that others write into it are only values that change. Two rules
keep two programs from leading at once:

- A leader is valid for two thirds of the lease's duration from the moment at which it *sent* its
  last successful renewal; a candidate takes the lease over no earlier than a whole duration after
  it has *seen* the last change. The third between is for requests that are on their way.
- Every write names the version it replaces, so of two that write at once one is refused.

So what an administrator does to the lease never makes two lead: a holder that is edited, or a
lease that is deleted, ends nobody's time; a holder that still is valid writes itself in again.
(One that is deleted, taken anew and deleted again at once looks as if it had just been deleted.)
Only the mark of whoever has resigned may be taken at once, and at first sight a lease that is not
there, that nobody holds, or that an earlier run of this program has left.

Operators that serve the same namespaces are candidates for the same thing, whatever release or
namespace they are of; those whose namespaces overlap must not work at the same time either. So
all of a cluster write into one Lease, which has a record for each scope (`ServedScope`). A write
replaces a known version of the whole, so two that overlap cannot both get in. A program of another
scope that overlaps is a rival: it is waited for as long as it is there, and then twice as long as
for one's own, so that whoever stands by for the same scope follows first; whoever takes over takes
its record away.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.served_scopes import ServedScope, Spec, read_records
from vpplb.model.decision_order import LATEST, LATEST_BELIEVED
from vpplb.resources.fields import format_time
from vpplb.resources.raw_fields import find_time, parse_time

_RESIGNED = 1
"""Duration, in seconds, of a lease that nobody holds since its holder gave it up (as client-go)."""


class LeaderRole(StrEnum):
    """What a program is at a moment.

    SUSPENDED: it led, cannot renew, and must not write; nobody is known to have taken over.
    LOST: somebody else has, or may have, led since: whatever it has decided is no longer true.
    """

    STANDBY = "standby"
    LEADING = "leading"
    SUSPENDED = "suspended"
    LOST = "lost"


@dataclass(slots=True)
class LeaseCandidate:
    """One program's view of the lease. `duration` in seconds; all times of one monotonic clock.

    `identity` must be this program's alone: whoever finds it in the lease at first sight takes
    it for what an earlier run of itself has left.
    """

    identity: str
    duration: float
    scope: ServedScope = field(default_factory=ServedScope)
    why_lost: str = ""
    _lease: JsonObject | None = None
    _free_at: float | None = None
    _rivals: dict[str, "_RivalRecord"] = field(default_factory=dict)
    _refused: bool = False
    _newest_term: int = 0
    _bid_term: int = 0
    _bid_sent: float = -math.inf
    _renewed: float | None = None

    # --- what is ------------------------------------------------------------------------------

    @property
    def valid_until(self) -> float:
        """Until when this program may write; -inf when it does not lead."""
        if self._renewed is None or self.why_lost:
            return -math.inf
        return self._renewed + self.duration * 2 / 3

    @property
    def term(self) -> int:
        """When this program has acquired the lease, in microseconds since 1970; 0: never yet."""
        return self._bid_term if self._renewed is not None else 0

    @property
    def has_looked(self) -> bool:
        """Whether the lease, or its absence, was ever seen."""
        return self._free_at is not None or self._renewed is not None

    @property
    def free_at(self) -> float:
        """When the lease may be taken at the earliest, as far as was seen; inf before any look."""
        if self._free_at is None:
            return math.inf
        return max(self._free_at, *(one.free_at for one in self._rivals.values()), -math.inf)

    @property
    def holder(self) -> str:
        """Who holds the lease as it was seen last; empty for nobody."""
        return str(self.scope.find_record(self._lease).get("holderIdentity") or "")

    def leader_at(self, at: float) -> str:
        """Who leads, as far as was seen: nobody (empty) once their record has run out.

        Of one that this program waits for in vain, since it serves some of the same, that one.
        """
        if self._renewed is not None or (self._free_at is not None and at < self._free_at):
            return self.holder or self.rival_holder(at)
        return self.rival_holder(at)

    @property
    def holder_term(self) -> int:
        """The term of whoever holds the lease as it was seen last; 0 where none can be read."""
        return _read_term(self.scope.find_record(self._lease))

    @property
    def held_since(self) -> datetime | None:
        """Since when it is theirs, by their own clock; None where that cannot be read."""
        return find_time(self.scope.find_record(self._lease).get("acquireTime"))

    @property
    def renewed_at(self) -> datetime | None:
        """When the lease was renewed last, by the clock of whoever did; None for never."""
        return find_time(self.scope.find_record(self._lease).get("renewTime"))

    def name_rival(self, at: float) -> str:
        """Say who serves what this program would serve, and as what else; empty for nobody."""
        rival = self._find_rival(at)
        return f"{rival.holder} serves {rival.scope}" if rival is not None else ""

    def rival_holder(self, at: float) -> str:
        """Return the identity of whom `name_rival` names; empty for nobody."""
        rival = self._find_rival(at)
        return rival.holder if rival is not None else ""

    def _find_rival(self, at: float) -> "_RivalRecord | None":
        for one in self._rivals.values():
            if one.holder and self._renewed is None and at < one.free_at:
                return one
        return None

    @property
    def annotations(self) -> Mapping[str, object]:
        """The annotations of the lease as it was seen last."""
        metadata = (self._lease or {}).get("metadata") or {}
        return metadata.get("annotations") or {}

    @property
    def lease_version(self) -> str:
        """Version of the lease as it was seen last; empty when there is none."""
        return _version_of(self._lease)

    def role_at(self, at: float) -> LeaderRole:
        """Say what this program is at that time."""
        if self.why_lost:
            return LeaderRole.LOST
        if self._renewed is None:
            return LeaderRole.STANDBY
        return LeaderRole.LEADING if at < self.valid_until else LeaderRole.SUSPENDED

    # --- what happens -------------------------------------------------------------------------

    def observe_lease(self, lease: JsonObject | None, at: float) -> None:
        """Take the lease as it was read, None when there is none; `at`: when the answer came."""
        if self._renewed is not None:
            self._check_held(lease, at)
        elif self._is_ours(self.scope.find_record(lease)):
            self._renewed = self._bid_sent  # our bid was accepted, and only the answer was lost
        else:
            first = self._free_at is None
            self._judge_lease(lease, at, first=first)
            self._judge_rivals(lease, at, first=first)
        terms = [_read_term(record) for _, record in read_records(lease).values()]
        self._newest_term = max(self._newest_term, *terms, 0)
        self._lease, self._refused = lease, False

    def propose_record(self, at: float, now: datetime) -> Spec | None:
        """Return what is to be written at `at`, None when there is nothing to be had.

        It replaces the lease of `version`, or creates one. `now`: the wall clock's time.
        """
        if self.why_lost:
            return None
        spec = self.scope.find_record(self._lease)
        transitions = int(spec.get("leaseTransitions") or 0)
        if self._renewed is None:
            if at < self.free_at:
                return None
            self._bid_term = self._newest_term = max(_present_term(now), self._newest_term + 1)
            transitions += bool(spec)
        self._bid_sent = at
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self.duration),
            "acquireTime": _format_term(self._bid_term),
            "renewTime": format_time(now),
            "leaseTransitions": transitions,
        }

    def build_patch(self, spec: Spec) -> JsonObject:
        """Return what is to be merged into the lease, so that `spec` is this program's record.

        What rivals have left is taken away with it: they see then that their time is over.
        """
        return self.scope.build_patch(spec, self._lease, self.scope.find_rivals(self._lease))

    def note_written(self, lease: JsonObject) -> None:
        """Take note that the last bid was accepted, and of the lease as it is now."""
        self._lease, self._renewed = lease, self._bid_sent

    def note_conflict(self, at: float) -> None:
        """Take note that somebody was faster, with this record or another: the next look tells."""
        if self._renewed is None:
            self._refused, self._bid_term = True, 0

    def propose_resignation(self, now: datetime) -> Spec:
        """Return what gives the lease up, to be merged into it; this program must not write now."""
        return {
            "holderIdentity": None,
            "leaseDurationSeconds": _RESIGNED,
            "renewTime": format_time(now),
        }

    # --- pieces -------------------------------------------------------------------------------

    def _check_held(self, lease: JsonObject | None, at: float) -> None:
        """Compare with what we hold: somebody else may have written into it."""
        assert self._renewed is not None
        for scope, rival in self.scope.find_rivals(lease).values():
            if rival.get("holderIdentity"):
                self.why_lost = f"{rival['holderIdentity']} serves {scope}"
                return
        spec = self.scope.find_record(lease)
        if self._is_ours(spec):
            return
        if spec.get("holderIdentity"):
            self.why_lost = f"the lease is held by {spec['holderIdentity']}"
        elif at >= self._renewed + self.duration:
            # Nobody's now, but somebody may have held it since ours ran out.
            self.why_lost = "the lease has run out and was taken away"

    def _is_ours(self, spec: Spec) -> bool:
        """Whether it is of this very term: another program of the same name has another one."""
        return (
            self._bid_term > 0
            and spec.get("holderIdentity") == self.identity
            and _read_term(spec) == self._bid_term
        )

    def _judge_lease(self, lease: JsonObject | None, at: float, *, first: bool) -> None:
        """Note when a lease that is not ours may be taken."""
        spec = self.scope.find_record(lease)
        # Refused where nothing is to be seen: whoever was faster may have gone again, unseen.
        if (
            not first
            and spec == self.scope.find_record(self._lease)
            and (spec or not self._refused)
        ):
            return
        holder = spec.get("holderIdentity") or ""
        if _is_resigned(spec) or (first and holder in ("", self.identity)):
            self._free_at = at
        else:
            self._free_at = at + max(_duration_of(spec), self.duration)

    def _judge_rivals(self, lease: JsonObject | None, at: float, *, first: bool) -> None:
        """Note when those that overlap count as gone: also one whose record is there no more."""
        now = self.scope.find_rivals(lease)
        for name, known in list(self._rivals.items()):
            if name not in now and known.spec:
                self._rivals[name] = _RivalRecord(
                    known.scope, {}, self._rival_free_at(known.spec, at)
                )
            elif name not in now and at >= known.free_at:
                del self._rivals[name]
        for name, (scope, spec) in now.items():
            if name not in self._rivals or self._rivals[name].spec != spec:
                free_at = at if first and _is_resigned(spec) else self._rival_free_at(spec, at)
                self._rivals[name] = _RivalRecord(scope, spec, free_at)

    def _rival_free_at(self, spec: Spec, at: float) -> float:
        return at + 2 * max(_duration_of(spec), self.duration)


@dataclass(frozen=True, slots=True)
class _RivalRecord:
    """A record of another scope as seen last; empty once it is gone."""

    scope: ServedScope
    spec: Spec
    free_at: float

    @property
    def holder(self) -> str:
        return str(self.spec.get("holderIdentity") or "")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _read_term(record: Spec) -> int:
    """Return the term of a record: its `acquireTime` in microseconds since 1970.

    0 for what is no time, or one that no leader of ours can have written.
    """
    try:
        term = (parse_time(record.get("acquireTime")) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return 0
    return term if 0 < term < LATEST else 0


def _present_term(now: datetime) -> int:
    return max(1, min((now - _EPOCH) // _MICROSECOND, LATEST_BELIEVED))


def _format_term(term: int) -> str:
    return format_time(_EPOCH + term * _MICROSECOND)


def _version_of(lease: JsonObject | None) -> str:
    return str(lease["metadata"]["resourceVersion"]) if lease is not None else ""


def _duration_of(spec: Spec) -> float:
    return float(spec.get("leaseDurationSeconds") or 0)


def _is_resigned(spec: Spec) -> bool:
    return bool(spec) and not spec.get("holderIdentity") and _duration_of(spec) == _RESIGNED

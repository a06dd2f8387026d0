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
Only the mark that `resign` leaves may be taken at once, and at first sight a lease that is not
there, that nobody holds, or that an earlier run of this program has left.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vpplb.kube.kinds import JsonObject

Spec = Mapping[str, Any]
"""Spec of a Lease, as JSON."""

_RESIGNED = 1
"""Duration, in seconds, of a lease that nobody holds since its holder gave it up (as client-go)."""


class Role(StrEnum):
    """What a program is at a moment.

    SUSPENDED: it led, cannot renew, and must not write; nobody is known to have taken over.
    LOST: somebody else has, or may have, led since: whatever it has decided is no longer true.
    """

    STANDBY = "standby"
    LEADING = "leading"
    SUSPENDED = "suspended"
    LOST = "lost"


@dataclass(slots=True)
class Ballot:
    """One program's view of the lease. `duration` in seconds; all times of one monotonic clock.

    `identity` must be this program's alone: whoever finds it in the lease at first sight takes
    it for what an earlier run of itself has left.
    """

    identity: str
    duration: float
    why_lost: str = ""
    _lease: JsonObject | None = None
    _free_at: float | None = None
    _term: str = ""
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
    def looked(self) -> bool:
        """Whether the lease, or its absence, was ever seen."""
        return self._free_at is not None or self._renewed is not None

    @property
    def holder(self) -> str:
        """Who holds the lease as it was seen last; empty for nobody."""
        return str(_spec(self._lease).get("holderIdentity") or "")

    @property
    def version(self) -> str:
        """Version of the lease as it was seen last; empty when there is none."""
        return _version(self._lease)

    def role(self, at: float) -> Role:
        """Say what this program is at that time."""
        if self.why_lost:
            return Role.LOST
        if self._renewed is None:
            return Role.STANDBY
        return Role.LEADING if at < self.valid_until else Role.SUSPENDED

    # --- what happens -------------------------------------------------------------------------

    def saw(self, lease: JsonObject | None, at: float) -> None:
        """Take the lease as it was read, None when there is none; `at`: when the answer came."""
        if self._renewed is not None:
            self._check(lease, at)
        elif lease is not None and self._is_ours(_spec(lease)):
            self._renewed = self._bid_sent  # our bid was accepted, and only the answer was lost
        else:
            self._judge(lease, at)
        self._lease = lease

    def bid(self, at: float, stamp: str) -> Spec | None:
        """Return what is to be written at `at`, None when there is nothing to be had.

        It replaces the lease of `version`, or creates one. `stamp`: the wall clock's time.
        """
        if self.why_lost:
            return None
        spec = _spec(self._lease)
        transitions = int(spec.get("leaseTransitions") or 0)
        acquired = self._term
        if self._renewed is None:
            if self._free_at is None or at < self._free_at:
                return None
            self._term = acquired = stamp
            transitions += self._lease is not None
        self._bid_sent = at
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self.duration),
            "acquireTime": acquired,
            "renewTime": stamp,
            "leaseTransitions": transitions,
        }

    def wrote(self, lease: JsonObject) -> None:
        """Take note that the last bid was accepted, and of the lease as it is now."""
        self._lease, self._renewed = lease, self._bid_sent

    def refused(self, at: float) -> None:
        """Take note that somebody was faster, and so may lead from now on, seen or not."""
        if self._renewed is None:
            self._free_at, self._term = at + self.duration, ""

    def resign(self, stamp: str) -> Spec:
        """Return what gives the lease up, to be merged into it; this program must not write now."""
        return {
            "holderIdentity": None,
            "leaseDurationSeconds": _RESIGNED,
            "renewTime": stamp,
        }

    # --- pieces -------------------------------------------------------------------------------

    def _check(self, lease: JsonObject | None, at: float) -> None:
        """Compare with what we hold: somebody else may have written into it."""
        assert self._renewed is not None
        spec = _spec(lease)
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
            bool(self._term)
            and spec.get("holderIdentity") == self.identity
            and spec.get("acquireTime") == self._term
        )

    def _judge(self, lease: JsonObject | None, at: float) -> None:
        """Note when a lease that is not ours may be taken."""
        spec, first = _spec(lease), self._free_at is None
        if not first and _version(lease) == self.version:
            return
        holder = spec.get("holderIdentity") or ""
        seconds = float(spec.get("leaseDurationSeconds") or self.duration)
        resigned = lease is not None and not holder and seconds == _RESIGNED
        if resigned or (first and holder in ("", self.identity)):
            self._free_at = at
        else:
            self._free_at = at + max(seconds, self.duration)


def _version(lease: JsonObject | None) -> str:
    return str(lease["metadata"]["resourceVersion"]) if lease is not None else ""


def _spec(lease: JsonObject | None) -> Spec:
    return (lease or {}).get("spec") or {}

"""Who leads, who stands by, and since when nobody probes: what `/api/v1/operator` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vpplb import __version__
from vpplb.resources.fields import format_time

STANDALONE = "alone"
"""The role of a program that has no others beside it."""
ROLES = ("leading", "standby", "suspended", "lost", STANDALONE)
"""What `role` is: those of the election (`kube.leases.leader_rules.LeaderRole`), and STANDALONE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorState:
    """A program that decides, and the election as far as it knows that.

    `role` is one of ROLES. `leader` is empty where nobody is known to lead, and
    then, or before the leader has begun, `silent_since` says since when nobody has probed.
    `standbys` None: nobody tells who stands by. `namespaces` are those served, none: all. `term` is
    the leader's. `trouble` says what is wrong with all that, in words.
    """

    identity: str
    run: str
    role: str
    leader: str
    leader_since: datetime | None
    term: int
    standbys: Sequence[str] | None
    namespaces: Sequence[str] = ()
    probing: bool
    silent_since: datetime | None
    trouble: str = ""

    def dump_json(self, *, now: datetime, decided_at: datetime | None) -> Mapping[str, object]:
        """Show it as of `now`; `decided_at`: when this program last decided something."""
        return {
            "identity": self.identity,
            "version": __version__,
            "run": self.run,
            "role": self.role,
            "namespaces": sorted(self.namespaces),
            "leader": self.leader,
            "leaderSince": _format_optional(self.leader_since),
            "term": self.term,
            "standbys": None if self.standbys is None else sorted(self.standbys),
            "probing": self.probing,
            "silentSince": _format_optional(self.silent_since),
            "decidedAt": _format_optional(decided_at),
            "trouble": self.trouble,
            "now": format_time(now),
        }


def _format_optional(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)

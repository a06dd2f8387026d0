"""Whether anybody probes for a namespace, as the Lease of the election tells, and since when not.

For people and for programs that look once, by the API server's clock. Operators themselves judge
each other by what they see change, never by times (`leader_rules`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.served_scopes import ServedScope, Spec, read_records
from vpplb.resources.raw_fields import find_time, parse_time

ALLOWANCE = timedelta(seconds=15)
"""What a lease may be over by, or free, before that counts: clocks of machines differ a little, and
operators follow each other within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbingSilence:
    """Nobody probes: what statuses say is `as_of` that time, where it is known; `why` in words."""

    as_of: datetime | None
    why: str

    def __str__(self) -> str:
        since = f"as of {self.as_of:%Y-%m-%dT%H:%M:%SZ}, " if self.as_of else ""
        return f"{since}nobody has probed since: {self.why}"


def find_silence(
    leases: Iterable[JsonObject], namespace: str, now: datetime
) -> ProbingSilence | None:
    """Say that nobody probes for a namespace (empty: for any); None where somebody does.

    `leases` are those of elections; `now` is the API server's time. Where there is no lease there
    was never an operator, and a record that cannot be read may be anybody's: then nothing is known.
    """
    found = [(scope, record) for lease in leases for scope, record in read_records(lease).values()]
    serving = [one for one in found if _is_serving(*one, namespace)]
    if not found or any(_is_live(record, now) for _, record in serving):
        return None
    if not serving:
        return ProbingSilence(as_of=None, why=f"no operator serves namespace {namespace}")
    _, last = max(serving, key=lambda one: parse_time(one[1]["renewTime"]))
    holder = last.get("holderIdentity")
    why = f"{holder} does not renew its lease" if holder else "the last operator has given up"
    return ProbingSilence(as_of=parse_time(last["renewTime"]), why=why)


def _is_serving(scope: ServedScope, record: Spec, namespace: str) -> bool:
    return not namespace or not scope.namespaces or namespace in scope.namespaces


def _is_live(record: Spec, now: datetime) -> bool:
    renewed = find_time(record.get("renewTime"))
    if renewed is None:
        return True  # it cannot be read
    lasts = record.get("leaseDurationSeconds")
    duration = lasts if isinstance(lasts, int) and record.get("holderIdentity") else 0
    return now < renewed + timedelta(seconds=duration) + ALLOWANCE

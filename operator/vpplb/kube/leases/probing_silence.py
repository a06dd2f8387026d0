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
        if self.as_of is None:
            return f"nobody probes: {self.why}"
        return f"as of {self.as_of:%Y-%m-%dT%H:%M:%SZ}, nobody has probed since: {self.why}"


def find_silence(
    leases: Iterable[JsonObject], namespace: str, now: datetime, allowance: timedelta = ALLOWANCE
) -> ProbingSilence | None:
    """Say that nobody probes for a namespace (empty: for any); None where somebody does.

    `leases` are those of elections; `now` is the API server's time. Where there is no lease there
    was never an operator, and a record that cannot be read may be anybody's: then nothing is known.
    """
    found = [(scope, record) for lease in leases for scope, record in read_records(lease).values()]
    serving = [one for one in found if _is_serving(*one, namespace)]
    if not found or any(_is_live(record, now - allowance) for _, record in serving):
        return None
    if not serving:
        return _describe_unserved(namespace)
    _, last = max(serving, key=lambda one: parse_time(one[1]["renewTime"]))
    holder = last.get("holderIdentity")
    why = f"{holder} does not renew its lease" if holder else "the last operator has given up"
    return ProbingSilence(as_of=parse_time(last["renewTime"]), why=why)


def find_unserved(lease: JsonObject, namespace: str) -> ProbingSilence | None:
    """Say that no operator serves a namespace, whoever of them lives; None where one does."""
    if any(_is_serving(*one, namespace) for one in read_records(lease).values()):
        return None
    return _describe_unserved(namespace)


def _describe_unserved(namespace: str) -> ProbingSilence:
    return ProbingSilence(as_of=None, why=f"no operator serves namespace {namespace}")


def _is_serving(scope: ServedScope, record: Spec, namespace: str) -> bool:
    return not namespace or not scope.namespaces or namespace in scope.namespaces


def _is_live(record: Spec, now: datetime) -> bool:
    renewed = find_time(record.get("renewTime"))
    if renewed is None:
        return True  # it cannot be read
    lasts = record.get("leaseDurationSeconds")
    duration = lasts if isinstance(lasts, int) and record.get("holderIdentity") else 0
    return now < renewed + timedelta(seconds=duration)

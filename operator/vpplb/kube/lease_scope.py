"""What an operator serves, and its record in the one Lease by which all of a cluster agree.

Operators that serve the same namespaces are candidates for the same thing, whatever release or
namespace they are of; those whose namespaces overlap must not work at the same time either. So
all of them write into one Lease: who serves all namespaces has its spec, and each list of
namespaces has an annotation, which holds as JSON what a spec would, and the namespaces. A write
replaces a known version of the whole, so two that overlap cannot both get in.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from vpplb.kube.api_resources import JsonObject

Spec = Mapping[str, Any]
"""Spec of a Lease, as JSON."""

PREFIX = "vpplb.dev/scope-"
"""What the annotations' names begin with."""
_NAMESPACES = "namespaces"
_UNSET: Spec = dict.fromkeys(
    ("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions")
)
_FEW = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """Namespaces that are served; none: all."""

    namespaces: frozenset[str] = frozenset()

    @classmethod
    def of(cls, namespaces: Iterable[str]) -> Self:
        """Make one of a list, in whatever order."""
        return cls(frozenset(namespaces))

    def __str__(self) -> str:
        if not self.namespaces:
            return "all namespaces"
        names = sorted(self.namespaces)
        more = [f"{len(names) - _FEW} more"] if len(names) > _FEW else []
        return f"namespace{'s' * (len(names) > 1)} {', '.join([*names[:_FEW], *more])}"

    @property
    def annotation(self) -> str:
        """Name of the annotation with its record; empty for the scope that has the spec."""
        if not self.namespaces:
            return ""
        digest = hashlib.sha256(",".join(sorted(self.namespaces)).encode()).hexdigest()
        return f"{PREFIX}{digest[:16]}"

    def overlaps(self, other: "Scope") -> bool:
        """Whether there is a namespace that both serve."""
        if not self.namespaces or not other.namespaces:
            return True
        return not self.namespaces.isdisjoint(other.namespaces)

    def record(self, lease: JsonObject | None) -> Spec:
        """Return the record of this scope, as a spec; empty when there is none."""
        return _records(lease).get(self.annotation, (self, {}))[1]

    def rivals(self, lease: JsonObject | None) -> dict[str, tuple["Scope", Spec]]:
        """Return the records of other scopes that overlap, by annotation."""
        return {
            name: (scope, spec)
            for name, (scope, spec) in _records(lease).items()
            if name != self.annotation and self.overlaps(scope)
        }

    def body(self, spec: Spec, lease: JsonObject | None, without: Iterable[str]) -> JsonObject:
        """Return what is to be merged into `lease` to have `spec` as record, and others `without`.

        None in `spec` removes a field, as in a merge patch; what it leaves out stays.
        """
        body: JsonObject = {"metadata": {"annotations": {}}, "spec": {}}
        for name in without:
            _put(body, name, None)
        if not self.annotation:
            body["spec"] = dict(spec)
        else:
            whole = {**self.record(lease), **spec, _NAMESPACES: sorted(self.namespaces)}
            _put(body, self.annotation, {k: v for k, v in whole.items() if v is not None})
        return body


def _put(body: JsonObject, name: str, record: Spec | None) -> None:
    if not name:
        body["spec"] = dict(_UNSET)
    else:
        text = None if record is None else json.dumps(record, separators=(",", ":"))
        body["metadata"]["annotations"][name] = text


def _records(lease: JsonObject | None) -> dict[str, tuple[Scope, Spec]]:
    """Return all records by annotation, that of the spec by the empty name.

    One that cannot be read may be anybody's, so it counts as overlapping all, and has no holder.
    """
    if lease is None:
        return {}
    records: dict[str, tuple[Scope, Spec]] = {}
    if spec := {name: value for name, value in (lease.get("spec") or {}).items() if value}:
        records[""] = (Scope(), spec)
    for name, text in (lease["metadata"].get("annotations") or {}).items():
        if name.startswith(PREFIX):
            records[name] = _read(text)
    return records


def _read(text: object) -> tuple[Scope, Spec]:
    try:
        record = json.loads(str(text))
        scope = Scope.of(str(one) for one in record[_NAMESPACES])
    except (ValueError, TypeError, KeyError):
        return Scope(), {"unreadable": text}
    return scope, record

"""Which namespaces operators serve, as the Lease of the election tells: a record for each scope."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from vpplb.kube.api_types import JsonObject

Spec = Mapping[str, Any]
"""Spec of a Lease, as JSON."""

PREFIX = "vpplb.dev/scope-"
"""What the annotations' names begin with."""
_NAMESPACES = "namespaces"
_UNSET: Spec = dict.fromkeys(
    ("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions")
)
_NUMBERS = ("leaseDurationSeconds", "leaseTransitions")
"""What is a number in a spec, where the API server sees to it; in an annotation nobody does."""
_FEW = 5


@dataclass(frozen=True, slots=True)
class ServedScope:
    """Namespaces that are served; none: all."""

    namespaces: frozenset[str] = frozenset()

    @classmethod
    def of_list(cls, namespaces: Iterable[str]) -> Self:
        """Make one of a list, in whatever order."""
        return cls(frozenset(namespaces))

    def __str__(self) -> str:
        if not self.namespaces:
            return "all namespaces"
        names = sorted(self.namespaces)
        more = [f"{len(names) - _FEW} more"] if len(names) > _FEW else []
        return f"namespace{'s' * (len(names) > 1)} {', '.join([*names[:_FEW], *more])}"

    @property
    def annotation_name(self) -> str:
        """Name of the annotation with its record; empty for the scope that has the spec."""
        if not self.namespaces:
            return ""
        digest = hashlib.sha256(",".join(sorted(self.namespaces)).encode()).hexdigest()
        return f"{PREFIX}{digest[:16]}"

    def is_overlapping(self, other: "ServedScope") -> bool:
        """Whether there is a namespace that both serve."""
        if not self.namespaces or not other.namespaces:
            return True
        return not self.namespaces.isdisjoint(other.namespaces)

    def find_record(self, lease: JsonObject | None) -> Spec:
        """Return the record of this scope, as a spec; empty when there is none."""
        return read_records(lease).get(self.annotation_name, (self, {}))[1]

    def find_rivals(self, lease: JsonObject | None) -> dict[str, tuple["ServedScope", Spec]]:
        """Return the records of other scopes that overlap, by annotation."""
        return {
            name: (scope, spec)
            for name, (scope, spec) in read_records(lease).items()
            if name != self.annotation_name and self.is_overlapping(scope)
        }

    def build_patch(
        self, spec: Spec, lease: JsonObject | None, without: Iterable[str]
    ) -> JsonObject:
        """Return what is to be merged into `lease` to have `spec` as record, and others `without`.

        None in `spec` removes a field, as in a merge patch; what it leaves out stays.
        """
        body: JsonObject = {"metadata": {"annotations": {}}, "spec": {}}
        for name in without:
            _put_record(body, name, None)
        if not self.annotation_name:
            body["spec"] = dict(spec)
        else:
            whole = {**self.find_record(lease), **spec, _NAMESPACES: sorted(self.namespaces)}
            _put_record(
                body, self.annotation_name, {k: v for k, v in whole.items() if v is not None}
            )
        return body


def _put_record(body: JsonObject, name: str, record: Spec | None) -> None:
    if not name:
        body["spec"] = dict(_UNSET)
    else:
        text = None if record is None else json.dumps(record, separators=(",", ":"))
        body["metadata"]["annotations"][name] = text


def read_records(lease: JsonObject | None) -> dict[str, tuple[ServedScope, Spec]]:
    """Return all records by annotation, that of the spec by the empty name.

    One that cannot be read may be anybody's, so it counts as overlapping all, and has no holder.
    """
    if lease is None:
        return {}
    records: dict[str, tuple[ServedScope, Spec]] = {}
    if spec := {name: value for name, value in (lease.get("spec") or {}).items() if value}:
        records[""] = (ServedScope(), spec)
    for name, text in (lease["metadata"].get("annotations") or {}).items():
        if name.startswith(PREFIX):
            records[name] = _read_annotation(text)
    return records


def _read_annotation(text: object) -> tuple[ServedScope, Spec]:
    try:
        record = json.loads(str(text))
        scope = ServedScope.of_list(str(one) for one in record[_NAMESPACES])
        readable = all(_is_int32(record.get(name, 0)) for name in _NUMBERS)
    except (ValueError, TypeError, KeyError, RecursionError):
        readable = False
    if not readable:
        return ServedScope(), {"unreadable": text}
    return scope, record


def _is_int32(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**31

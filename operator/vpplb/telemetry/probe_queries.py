"""The last probes of a Frontend's Backends: `?frontend=shop/web`, of one `&backend=shop/a`.

With `after`, the `last` of an answer before, only what came since. Numbers begin anew with each
start of the program, so an `after` that is greater than all gives all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from vpplb.model.names import ObjectKey
from vpplb.reconcile.ports import ProbeHistory, ProbeRecord
from vpplb.telemetry.object_queries import UnknownQuery, parse_key

ReadHistories = Callable[[Sequence[ObjectKey]], Mapping[ObjectKey, ProbeHistory]]
"""Gives the last probes of backends."""

PROBE_PARAMETERS = {
    "frontend": "The probes of this Frontend's Backends, as namespace/name.",
    "backend": "Only those of this Backend, as namespace/name.",
    "after": "Only probes after the `last` of an answer before.",
}
"""What may be asked, and what each means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeQuery:
    """Which probes are asked for: of a Frontend's Backends or one of them, after a number."""

    frontend: ObjectKey
    backend: ObjectKey | None = None
    after: int = 0

    @classmethod
    def parse(cls, asked: Mapping[str, str]) -> Self:
        """Read the parameters of a request; UnknownQuery."""
        if unknown := sorted(set(asked) - set(PROBE_PARAMETERS)):
            known = ", ".join(PROBE_PARAMETERS)
            raise UnknownQuery(f"there is no parameter {unknown[0]}; there are: {known}")
        frontend = parse_key("frontend", asked.get("frontend"))
        if frontend is None:
            raise UnknownQuery("no frontend is asked for")
        return cls(
            frontend=frontend,
            backend=parse_key("backend", asked.get("backend")),
            after=_parse_number(asked.get("after", "0")),
        )

    def select_members(self, members: Sequence[ObjectKey]) -> Sequence[ObjectKey]:
        """Return those of a Frontend's Backends that are asked for."""
        return [key for key in members if self.backend in (None, key)]


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise UnknownQuery(f"after is not a number: {text}")
    return int(text)


def find_newest(histories: Mapping[ObjectKey, ProbeHistory]) -> int:
    """Return the greatest number of a probe, 0 where there is none."""
    return max((one.records[-1][0] for one in histories.values() if one.records), default=0)


def show_histories(
    histories: Mapping[ObjectKey, ProbeHistory], after: int
) -> Iterator[Mapping[str, Any]]:
    """Give in JSON's types what came after that number, backend by backend."""
    if after > find_newest(histories):
        after = 0
    for key, (is_probed, since, records) in histories.items():
        shown = {
            "backend": str(key),
            "probed": is_probed,
            "probes": [_show_record(one) for number, one in records if number > after],
        }
        yield shown | ({"since": since.isoformat()} if since is not None else {})


def _show_record(record: ProbeRecord) -> Mapping[str, object]:
    return {
        "at": datetime.fromtimestamp(record.at, UTC).isoformat(timespec="milliseconds"),
        "tookSeconds": round(record.took, 6),
        "code": record.code.value,
        "detail": record.detail,
    }

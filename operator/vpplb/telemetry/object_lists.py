"""Lists of `/api/v1`, written object by object: large ones are made in slices."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.printable import make_printable
from vpplb.telemetry.object_queries import ObjectQuery, format_key
from vpplb.telemetry.probe_queries import ProbeQuery, ReadHistories, find_newest, show_histories


class StateView(Protocol):
    """What `/api/v1` shows."""

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        """Give the names of a kind, sorted."""

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        """Give the names of a frontend's backends, sorted."""

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        """Give the names of the backends that a health check checks, sorted."""

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        """Give an object; None when it is not there (any more).

        It is shaped as the resource is: `metadata` (with `namespace` and `name`), `spec`,
        `status`, in JSON's types. A frontend's `status.backends[]` may carry `share`, the true
        share of new flows from 0 to 1.
        """


def write_objects(view: StateView, kind: ObjectKind, query: ObjectQuery) -> Iterator[bytes]:
    """Write what is asked for, one by one; objects that go meanwhile are left out."""
    page, more = query.select_page(_list_asked(view, kind, query))
    before = b'{"items":['
    for key in page:
        shown = view.show_object(kind, key)
        if shown is not None:
            yield before + encode_json(query.select_fields(shown))
            before = b","
    yield b"]" if before == b"," else b'{"items":[]'
    yield b',"continue":' + encode_json(format_key(page[-1])) + b"}\n" if more else b"}\n"


def _list_asked(view: StateView, kind: ObjectKind, query: ObjectQuery) -> Sequence[ObjectKey]:
    frontend, check = query.frontend, query.health_check
    keys = view.list_members(frontend) if frontend else view.list_keys(kind)
    users = frozenset(view.list_users(check)) if check else None
    return [key for key in keys if users is None or key in users]


def write_probes(
    view: StateView, read_histories: ReadHistories, query: ProbeQuery
) -> Iterator[bytes]:
    """Write the last probes of the backends that are asked for, one backend after the other."""
    found = read_histories(query.select_members(view.list_members(query.frontend)))
    yield b'{"last":%d,"items":[' % find_newest(found)
    for n, shown in enumerate(show_histories(found, query.after)):
        yield (b"," if n else b"") + encode_json(shown)
    yield b"]}\n"


def encode_json(body: object) -> bytes:
    """Write JSON that is safe to be shown on a terminal."""
    return make_printable(json.dumps(body, separators=(",", ":"), ensure_ascii=False)).encode()

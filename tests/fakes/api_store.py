"""What an API server keeps, and its rules for writes, lists and watches, as far as we use them.

Objects are never changed in place: each write puts a new one, with a new version, in its place.
Namespaces are not looked at, and nobody is asked what they may do.
"""

from asyncio import Queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jsonpatch

from fakes.api_schemas import ApiSchemas
from vpplb.kube.api_types import Conflict, Gone, JsonObject, NotFound, api_error
from vpplb.model.names import OWN_KINDS, ObjectKey, ObjectKind

Body = Mapping[str, object]
Change = tuple[str, JsonObject]
"""What a watch tells: ADDED, MODIFIED or DELETED, and the object as it is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a list or a watch is to show: all of a kind, or less."""

    kind: ObjectKind
    namespace: str = ""
    labels: str = ""
    fields: str = ""

    def shows(self, kind: ObjectKind, raw: JsonObject) -> bool:
        """Whether an object is among it; selectors are of the form `a=b,c.d!=e`."""
        metadata = raw["metadata"]
        labels = metadata.get("labels") or {}
        return (
            kind == self.kind
            and self.namespace in ("", metadata.get("namespace"))
            and _meets(self.labels, labels.get)
            and _meets(self.fields, lambda path: _field(raw, path))
        )


@dataclass(slots=True)
class ApiStore:
    """Objects by kind and key, and what has changed.

    `schemas` is asked what a write may hold; without it, everything. `prunes` are fields of
    statuses that the CRDs do not know; without `has_status` these have no such subresource.
    """

    schemas: ApiSchemas | None = None
    prunes: frozenset[str] = frozenset()
    has_status: bool = True
    objects: dict[tuple[ObjectKind, ObjectKey], JsonObject] = field(default_factory=dict)
    _version: int = 100
    _history: list[tuple[int, ObjectKind, Change]] = field(default_factory=list)
    _forgotten: int = 100
    _watches: list[tuple[Selection, Queue[Change]]] = field(default_factory=list)
    _paged: dict[str, tuple[list[JsonObject], str]] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Return the newest version."""
        return str(self._version)

    # --- reading ----------------------------------------------------------------------------

    def read(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        """Return an object; NotFound."""
        if (kind, key) not in self.objects:
            raise NotFound(404, "NotFound", f"{kind} {key.name} not found")
        return self.objects[kind, key]

    def list_all(self, selection: Selection) -> list[JsonObject]:
        """Return what is selected, by namespace and name."""
        found = [
            (key, raw) for (kind, key), raw in self.objects.items() if selection.shows(kind, raw)
        ]
        return [raw for _, raw in sorted(found, key=lambda one: one[0])]

    def list_page(
        self, selection: Selection, limit: int, token: str = ""
    ) -> tuple[list[JsonObject], str, str]:
        """Return some objects, the version that all pages are of, and a token for the rest.

        Gone when the token is of a list that has been forgotten.
        """
        if token and token not in self._paged:
            raise Gone(410, "Expired", "The provided continue parameter is too old")
        rest, version = self._paged[token] if token else (self.list_all(selection), self.version)
        if len(rest) <= limit:
            return rest, version, ""
        more = f"{version}-{len(self._paged)}"
        self._paged[more] = rest[limit:], version
        return rest[:limit], version, more

    def watch(self, selection: Selection, version: int) -> Queue[Change]:
        """Return a queue that gets what is selected and changes after a version; Gone."""
        if version < self._forgotten:
            raise Gone(410, "Expired", f"too old resource version: {version} ({self._forgotten})")
        queue = Queue[Change]()
        for at, kind, change in self._history:
            if at > version and selection.shows(kind, change[1]):
                queue.put_nowait(change)
        self._watches.append((selection, queue))
        return queue

    def unwatch(self, queue: Queue[Change]) -> None:
        """End a watch."""
        self._watches = [one for one in self._watches if one[1] is not queue]

    def forget_history(self) -> None:
        """Forget what has changed until now, as etcd does every five minutes."""
        self._history.clear()
        self._paged.clear()
        self._forgotten = self._version

    # --- writing ----------------------------------------------------------------------------

    def put_new(self, kind: ObjectKind, body: Body) -> JsonObject:
        """Put a new object in; Conflict when there is one, ApiError 422 when it is not valid."""
        made = apply_merge_patch({}, body)  # drops what is None
        assert isinstance(made, dict)
        metadata = made["metadata"]
        key = ObjectKey(metadata.get("namespace", ""), metadata["name"])
        if (kind, key) in self.objects:
            raise Conflict(409, "AlreadyExists", f"{kind} {key.name} already exists")
        if kind in OWN_KINDS and self.has_status:
            made.pop("status", None)
        made = self._admit(kind, made)
        self._version += 1
        born: JsonObject = {
            "uid": f"u-{self._version}",
            "resourceVersion": self.version,
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if kind in OWN_KINDS:
            born["generation"] = 1
        made["metadata"] = metadata | born
        self.record("ADDED", kind, key, made)
        return made

    def put_whole(self, kind: ObjectKind, key: ObjectKey, body: Body) -> JsonObject:
        """Write a whole object, but for its status; a Lease is created if there is none.

        Conflict when the body names another version than the newest, ApiError 422 when none.
        """
        if kind == ObjectKind.LEASE and (kind, key) not in self.objects:
            return self.put_new(kind, body)
        before = self.read(kind, key)
        if not _metadata(body).get("resourceVersion"):
            raise api_error(422, "Invalid", "metadata.resourceVersion: must be specified")
        if _is_of_another(before, body):
            raise Conflict(409, "Conflict", "Precondition failed: UID in precondition")
        return self._write(kind, key, self._with_status(kind, before, body), body)

    def merge(self, kind: ObjectKind, key: ObjectKey, patch: Body) -> JsonObject:
        """Merge into an object, but not into its status."""
        before = self.read(kind, key)
        if _is_of_another(before, patch):
            raise api_error(422, "Invalid", "metadata.uid: field is immutable")
        merged = apply_merge_patch(before, patch)
        assert isinstance(merged, dict)
        return self._write(kind, key, self._with_status(kind, before, merged), patch)

    def edit(
        self, kind: ObjectKind, key: ObjectKey, operations: Sequence[Mapping[str, Any]]
    ) -> JsonObject:
        """Apply a JSON patch; ApiError 422 when a `test` in it fails."""
        before = self.read(kind, key)
        edited = apply_json_patch(before, operations)
        return self._write(kind, key, self._with_status(kind, before, edited), {})

    def put_status(self, kind: ObjectKind, key: ObjectKey, body: Body) -> JsonObject:
        """Write a whole status; NotFound, Conflict, and 422 as with `put_whole`."""
        before = self._read_for_status(kind, key)
        if not _metadata(body).get("resourceVersion"):
            raise api_error(422, "Invalid", "metadata.resourceVersion: must be specified")
        return self._write(kind, key, _other_status(before, body), body)

    def merge_status(self, kind: ObjectKind, key: ObjectKey, patch: Body) -> JsonObject:
        """Merge into a status."""
        before = self._read_for_status(kind, key)
        merged = apply_merge_patch(before, patch)
        assert isinstance(merged, dict)
        return self._write(kind, key, _other_status(before, merged), patch)

    def remove(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        """Take an object out; NotFound."""
        last = self.read(kind, key)
        self._version += 1
        metadata = {**last["metadata"], "resourceVersion": self.version}
        gone = {**last, "metadata": metadata}
        self.record("DELETED", kind, key, gone)
        return gone

    def record(self, event: str, kind: ObjectKind, key: ObjectKey, now: JsonObject) -> None:
        """Have an object as it is now (or no more), and tell all who watch."""
        if event == "DELETED":
            self.objects.pop((kind, key), None)
        else:
            self.objects[kind, key] = now
        self._history.append((self._version, kind, (event, now)))
        for selection, queue in self._watches:
            if selection.shows(kind, now):
                queue.put_nowait((event, now))

    def _write(self, kind: ObjectKind, key: ObjectKey, now: JsonObject, asked: Body) -> JsonObject:
        before, wanted = self.objects[kind, key], _metadata(asked)
        born = before["metadata"]
        if wanted.get("resourceVersion") not in (None, "", born.get("resourceVersion")):
            raise Conflict(409, "Conflict", "the object has been modified")
        metadata = apply_merge_patch({}, now.get("metadata") or {})
        assert isinstance(metadata, dict)
        kept = ("uid", "resourceVersion", "creationTimestamp", "generation", "name", "namespace")
        metadata |= {name: born[name] for name in kept if name in born}
        now = self._admit(kind, {**now, "metadata": metadata})
        if now == before:
            return before
        self._version += 1
        metadata["resourceVersion"] = self.version
        if kind in OWN_KINDS and "generation" in born and _user_part(now) != _user_part(before):
            metadata["generation"] += 1
        self.record("MODIFIED", kind, key, now)
        return now

    def _admit(self, kind: ObjectKind, raw: JsonObject) -> JsonObject:
        if self.prunes and isinstance(status := raw.get("status"), Mapping):
            raw = {**raw, "status": {n: it for n, it in status.items() if n not in self.prunes}}
        return self.schemas.admit(kind, raw) if self.schemas else raw

    def _read_for_status(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        if not self.has_status:
            raise NotFound(404, "NotFound", "the server could not find the requested resource")
        return self.read(kind, key)

    def _with_status(self, kind: ObjectKind, before: JsonObject, now: Body) -> JsonObject:
        """Return `now` with the status of before, where that has an address of its own."""
        made = dict(now)
        if kind in OWN_KINDS and self.has_status:
            made.pop("status", None)
            made |= {"status": before["status"]} if "status" in before else {}
        return made


def _other_status(before: JsonObject, now: Body) -> JsonObject:
    return {**before, "status": now.get("status")}


def _is_of_another(raw: JsonObject, body: Body) -> bool:
    """Whether a write is for another object of that name, by its `uid`."""
    return _metadata(body).get("uid") not in (None, "", raw["metadata"].get("uid"))


def _user_part(raw: JsonObject) -> JsonObject:
    return {name: value for name, value in raw.items() if name not in ("metadata", "status")}


def _metadata(body: Body) -> Mapping[str, object]:
    metadata = body.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _meets(selector: str, value_of: Callable[[str], object]) -> bool:
    for term in filter(None, selector.split(",")):
        name, _, wanted = term.partition("=")
        if (value_of(name.removesuffix("!")) == wanted) is name.endswith("!"):
            return False
    return True


def _field(raw: JsonObject, path: str) -> object:
    value: Any = raw
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def apply_merge_patch(target: object, patch: object) -> object:
    """Apply a merge patch (RFC 7386, section 2); neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge_patch(result.get(name), value)
    return result


def apply_json_patch(target: JsonObject, operations: Sequence[Mapping[str, Any]]) -> JsonObject:
    """Apply a patch of RFC 6902; ApiError 422 where it cannot be."""
    try:
        patched: JsonObject = jsonpatch.apply_patch(target, list(operations))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise api_error(422, "Invalid", str(error)) from error
    return patched

"""What people have changed by `vpplb ctl` beside the files, and for how long that counts.

A change remembers what the files said of its field when it was made. It is in force, over restarts
too, until the files say something else than then: an edit of a file is the newer word. It is also
over when the files say the same, when the object or the member is gone from them, and when
somebody takes it back. (HAProxy keeps states without the configuration that they were made over,
and so cannot tell an edit of a file from an old state: haproxy#953.)
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from vpplb.files.json_files import UnusableFile, read_json, set_aside, write_json
from vpplb.files.manifests import LoadedManifests, ObjectId, SourceObject
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.printable import make_printable
from vpplb.resources.adjustable import FieldValue, adjust_spec, list_adjustable
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.parse import parse_object

log = logging.getLogger(__name__)

_ADJUSTED = (ObjectKind.BACKEND, ObjectKind.FRONTEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandChange:
    """A field with another value than the files say; who made it so, and when (RFC 3339)."""

    field: str
    value: FieldValue
    files: FieldValue
    by: str
    at: str

    def __str__(self) -> str:
        return f"{self.field} is {_spell(self.value)}, the files say {_spell(self.files)}"

    def describe_end(self) -> str:
        return f"{self.field} is {_spell(self.files)} again, as the files say"


class ChangeRefused(Exception):
    """What is asked for may not be changed beside the files, or is wrong; the text says why."""


Changes = Mapping[ObjectId, Mapping[str, HandChange]]
"""Changes by object, then by field."""


class HandChanges:
    """The changes in force, kept in a file at `path`. `now` gives the time, aware."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime],
        allowed: AddressAllowances = NOTHING,
    ) -> None:
        self._path, self._now, self._allowed = path, now, allowed
        self._changes: Changes = {}
        self._seen: dict[ObjectId, tuple[object, int]] = {}
        self._lost = self._unwritten = ""
        self._due = False

    @property
    def count(self) -> int:
        """How many fields deviate from the files."""
        return sum(len(of_object) for of_object in self._changes.values())

    @property
    def trouble(self) -> str:
        """Why changes that people made are not in force, or may not outlive this process."""
        return "; ".join(filter(None, (self._lost, self._unwritten)))

    def load(self) -> None:
        """Read the file; one that makes no sense is set aside, and the files alone count."""
        try:
            self._changes, left_out = _parse_changes(read_json(self._path))
            self._lost = f"{self._path}: {left_out} left out, see the log" if left_out else ""
        except UnusableFile as error:
            self._lost = set_aside(self._path, str(error))

    def list_changes(self, kind: ObjectKind, key: ObjectKey) -> list[HandChange]:
        return list(self._changes.get((kind, key), {}).values())

    def lay_over(self, loaded: LoadedManifests) -> LoadedManifests:
        """Return what is in force: the files, with the changes that still count.

        Changes that are over are forgotten and logged, and `save_due` is due. Each object is given
        a generation, which grows when its spec in force does not stay the same.
        """
        counting = self._list_counting(loaded)
        if counting != self._changes:
            self._changes, self._due = counting, True
        objects = {name: self._lay_over_object(name, one) for name, one in loaded.objects.items()}
        self._seen = {name: one for name, one in self._seen.items() if name in objects}
        return replace(loaded, objects=objects)

    def prepare_edit(
        self, name: ObjectId, source: SourceObject | None, edit: Callable[[Any], Any], by: str
    ) -> Mapping[str, HandChange]:
        """Return the changes that an object would have after an edit of its spec in force.

        `source` is as the files have it, None where they do not. ChangeRefused.
        """
        kind = ObjectKind(name[0])
        if kind not in _ADJUSTED:
            raise ChangeRefused(f"nothing of a {kind} can be changed here: edit the files")
        if source is None:
            raise ChangeRefused("it is not in the files any more")
        before = self._spec_in_force(name, source)
        after = edit(before)
        if not isinstance(after, Mapping):
            raise ChangeRefused(f"the spec of a {kind} cannot be removed")
        parsed = parse_object({**source.raw, "spec": after}, self._allowed)
        if isinstance(parsed, list):
            raise ChangeRefused("; ".join(str(problem) for problem in parsed))
        values = list_adjustable(kind, after)
        if adjust_spec(kind, before, values) != adjust_spec(kind, after, values):
            allowed = "paused and enabled" if kind == ObjectKind.BACKEND else "weights"
            raise ChangeRefused(f"only {allowed} of a {kind} can be changed here: edit the files")
        files, own = list_adjustable(kind, _spec_of(source)), self._changes.get(name, {})
        at = self._now().isoformat()
        return {
            field: own[field]
            if field in own and own[field].value == value
            else HandChange(field=field, value=value, files=files[field], by=by, at=at)
            for field, value in values.items()
            if value != files[field]
        }

    async def put_changes(
        self, kind: ObjectKind, key: ObjectKey, changes: Mapping[str, HandChange], by: str
    ) -> None:
        """Put these in place of an object's changes; OSError, and then nothing has changed.

        `by` is who makes or takes back what differs from the changes before.
        """
        before = self._changes.get((kind, key), {})
        others = {name: one for name, one in self._changes.items() if name != (kind, key)}
        await self._keep({**others, **({(kind, key): changes} if changes else {})})
        new = [str(one) for one in changes.values() if one != before.get(one.field)]
        over = [one.describe_end() for field, one in before.items() if field not in changes]
        for said in (*new, *over):
            log.warning("%s %s: %s (%s, by hand)", kind, key, said, make_printable(by))

    async def discard_changes(self) -> list[str]:
        """Forget all changes, and return what they were; OSError, and then none is forgotten."""
        were = [f"{kind} {key}: {one}" for (kind, key), one in self._iter_changes()]
        await self._keep({})
        self._lost = ""  # whoever forgets all has seen it
        return were

    async def save_due(self) -> None:
        """Write that changes are over: else they would count again when a file goes back."""
        if not self._due:
            return
        try:
            await self._keep(self._changes)
        except OSError as error:
            self._unwritten = f"changes by hand cannot be written to {self._path}: {error}"
            log.error("%s", self._unwritten)

    async def _keep(self, changes: Changes) -> None:
        await asyncio.to_thread(write_json, self._path, _dump_changes(changes), indent=1)
        self._changes, self._due, self._unwritten = changes, False, ""

    def _list_counting(self, loaded: LoadedManifests) -> Changes:
        counting: dict[ObjectId, dict[str, HandChange]] = {}
        for (kind, key), change in self._iter_changes():
            source = loaded.objects.get((kind, key))
            says = list_adjustable(kind, _spec_of(source)).get(change.field) if source else None
            if says == change.files:
                counting.setdefault((kind, key), {})[change.field] = change
            else:
                new = "do not have it any more" if says is None else f"now say {_spell(says)}"
                log.warning(
                    "%s %s: %s by hand is over, since the files %s",
                    kind, key, f"{change.field} {_spell(change.value)}", new,
                )  # fmt: skip
        return counting

    def _iter_changes(self) -> Iterator[tuple[ObjectId, HandChange]]:
        for name, of_object in self._changes.items():
            for change in of_object.values():
                yield name, change

    def _spec_in_force(self, name: ObjectId, source: SourceObject) -> Mapping[str, Any]:
        changes = self._changes.get(name)
        if not changes:
            return _spec_of(source)
        values = {field: change.value for field, change in changes.items()}
        return adjust_spec(name[0], _spec_of(source), values)

    def _lay_over_object(self, name: ObjectId, source: SourceObject) -> SourceObject:
        spec = self._spec_in_force(name, source)
        seen, generation = self._seen.get(name, (None, 0))
        generation += seen != spec
        self._seen[name] = (spec, generation)
        metadata = source.raw.get("metadata")
        known = metadata if isinstance(metadata, Mapping) else {}
        raw = {**source.raw, "metadata": {**known, "generation": generation}}
        if "spec" in source.raw:
            raw["spec"] = spec
        parsed = source.parsed
        if name in self._changes:
            reread = parse_object(raw, self._allowed)
            parsed = parsed if isinstance(reread, list) else reread
        elif isinstance(parsed, Frontend | Backend | HealthCheck):
            parsed = replace(parsed, generation=generation)
        return replace(source, raw=raw, parsed=parsed)


def _spec_of(source: SourceObject) -> Mapping[str, Any]:
    spec = source.raw.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _spell(value: FieldValue) -> str:
    return str(value).lower()


def _dump_changes(changes: Changes) -> object:
    return [
        {"kind": kind, "object": str(key), **asdict(change)}
        for (kind, key), of_object in sorted(changes.items())
        for change in of_object.values()
    ]


def _parse_changes(content: object) -> tuple[Changes, int]:
    """Read what was written (UnusableFile).

    An entry that makes no sense is logged and left out; return how many.
    """
    if not isinstance(content, list | None):
        raise UnusableFile("it makes no sense: it holds no list")
    changes: dict[ObjectId, dict[str, HandChange]] = {}
    left_out = 0
    for entry in content or ():
        try:
            name, change = _parse_change(entry)
        except (TypeError, KeyError, ValueError) as error:
            said = make_printable(json.dumps(entry))
            log.error("a change by hand makes no sense and is left out: %.1000s (%s)", said, error)
            left_out += 1
        else:
            changes.setdefault(name, {})[change.field] = change
    return changes, left_out


def _parse_change(entry: Any) -> tuple[ObjectId, HandChange]:
    """TypeError, KeyError or ValueError for what is none."""
    fields = dict(entry)
    name = (ObjectKind(fields.pop("kind")), ObjectKey.parse_text(fields.pop("object")))
    change = HandChange(**fields)
    if not all(isinstance(one, int) for one in (change.value, change.files)):
        raise ValueError(f"{change.field} is neither a switch nor a weight")
    return name, change

"""Manifests in the making: objects whose every field knows the line that it comes from.

A reader of another load balancer's configuration puts drafts and findings into an `ImportedSet`.
`load_drafts` then asks the rules that manifests in files have to keep, so that what they refuse is
said with the line of the configuration.
"""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from vpplb.files.manifests import LoadedManifests, load_document
from vpplb.files.yaml_documents import YamlDocument
from vpplb.model.names import API_VERSION, ObjectKind
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.fields import MOST_WEIGHT

PORTS_DIFFER = (
    "the server is at port {server}, and packets come to port {vip}, that of the VIP:"
    " it is left out until it listens there"
)
_MOST_DIGITS = 18


class UnparseableConfig(Exception):
    """The text is not a configuration of its kind, from `line` on (1 is the first)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFinding:
    """Something to tell about a line: what is `lost`, or only noteworthy.

    `lost`: without it the manifests mean something else than the configuration.
    """

    line: int
    subject: str
    message: str
    lost: bool

    def __str__(self) -> str:
        said = f"{'not carried' if self.lost else 'note'}: {self.message}"
        return f"{self.line}: {self.subject}: {said}" if self.subject else f"{self.line}: {said}"


@dataclass(slots=True, kw_only=True)
class ManifestDraft:
    """An object to be. `lines` has the line of fields by their path (`spec.http.path`)."""

    kind: ObjectKind
    name: str
    line: int
    spec: dict[str, object] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def put_field(self, path: str, value: object, line: int) -> None:
        """Set a field below `spec`, such as `http.path`; nothing is set for None."""
        if value is None:
            return
        *parents, last = path.split(".")
        place = self.spec
        for parent in parents:
            below = place.setdefault(parent, {})
            assert isinstance(below, dict), path
            place = below
        place[last] = value
        self.lines[f"spec.{path}"] = line

    def put_pools(self, pools: Sequence["DraftedPool"]) -> None:
        """Set the pools of a Frontend, with weights that VPP can have."""
        self.spec["pools"] = [
            {
                "name": pool.name,
                "backends": [
                    {"name": member.backend, "weight": weight}
                    for member, weight in zip(pool.members, pool.fit_weights(), strict=True)
                ],
            }
            for pool in pools
        ]
        for n, pool in enumerate(pools):
            self.lines[f"spec.pools[{n}]"] = pool.line
            for m, member in enumerate(pool.members):
                self.lines[f"spec.pools[{n}].backends[{m}]"] = member.line

    def make_manifest(self, namespace: str) -> dict[str, object]:
        """Return the object as manifests have it; an empty namespace is left out."""
        metadata = {"name": self.name}
        if namespace and self.kind.is_namespaced:
            metadata["namespace"] = namespace
        head: dict[str, object] = {"apiVersion": API_VERSION, "kind": str(self.kind)}
        return head | {"metadata": metadata, "spec": self.spec}


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedMember:
    """A Backend in a pool, with its weight in whatever units the pool's weights are."""

    backend: str
    weight: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedPool:
    """A pool to be; a Backend is in it once."""

    name: str
    members: tuple[DraftedMember, ...]
    line: int

    def fit_weights(self) -> list[int]:
        """Return the weights in their proportion, none above 100, and 0 for none but a 0."""
        weights = [member.weight for member in self.members]
        most = max(weights, default=0)
        if most <= MOST_WEIGHT:
            return weights
        return [max(round(MOST_WEIGHT * one / most), 1) if one else 0 for one in weights]


@dataclass(slots=True, kw_only=True)
class ImportedSet:
    """What a configuration comes to: drafts in their order, findings, and options by flag."""

    drafts: list[ManifestDraft] = field(default_factory=list)
    findings: dict[ImportFinding, None] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    _names: dict[ObjectKind, set[str]] = field(default_factory=dict)
    _shared: dict[tuple[ObjectKind, str, str], str] = field(default_factory=dict)

    def add_draft(self, kind: ObjectKind, name: str, line: int) -> ManifestDraft:
        """Begin an object named as near to `name` as names of objects may be, once."""
        taken = self._names.setdefault(kind, set())
        draft = ManifestDraft(kind=kind, name=choose_free(fit_name(name), taken), line=line)
        taken.add(draft.name)
        self.drafts.append(draft)
        return draft

    def share_draft(self, trial: ManifestDraft) -> str:
        """Add an object like this unless one of its name has the same spec; return its name."""
        key = trial.kind, trial.name, json.dumps(trial.spec, sort_keys=True)
        if key not in self._shared:
            draft = self.add_draft(trial.kind, trial.name, trial.line)
            draft.spec, draft.lines = trial.spec, trial.lines
            self._shared[key] = draft.name
        return self._shared[key]

    def add_loss(self, line: int, subject: str, message: str) -> None:
        """Say what could not be carried, and why; the same is said once."""
        self.findings[ImportFinding(line=line, subject=subject, message=message, lost=True)] = None

    def add_note(self, line: int, subject: str, message: str) -> None:
        self.findings[ImportFinding(line=line, subject=subject, message=message, lost=False)] = None

    def note_scaled(self, pools: Iterable[DraftedPool], subject: str) -> None:
        """Say of pools whose weights are more than VPP can have that they are scaled."""
        for pool in pools:
            given = [member.weight for member in pool.members]
            if pool.fit_weights() != given:
                message = f"weights above {MOST_WEIGHT} are scaled so that the greatest is that"
                self.add_note(pool.line, subject, message)

    def bound_codes(self, codes: Iterable[int], line: int, subject: str) -> tuple[int, int]:
        """Return the lowest and the highest of these status codes, and say if more are between."""
        ordered = sorted(set(codes))
        low, high = ordered[0], ordered[-1]
        if any(after - before > 1 for before, after in pairwise(ordered)):
            said = f"all of {low} to {high} pass, for codes are one range"
            self.add_loss(line, subject, said)
        return low, high


def read_number(text: str, what: str) -> int:
    """Read a whole number that is not negative; ValueError says `what` is none."""
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise ValueError(f"{what} {text:.20} is no number")
    return int(text)


def fit_name(text: str, *, dots: bool = True) -> str:
    """Make a name of lower-case letters, digits, `-` and (with `dots`) `.` of a text."""
    other = r"[^a-z0-9.]+" if dots else r"[^a-z0-9]+"
    plain = re.sub(other, "-", text.lower())
    parts = (part.strip("-") for part in plain.split("."))
    return ".".join(part for part in parts if part)[: 253 if dots else 63].strip("-.") or "unnamed"


def choose_free(wanted: str, taken: Collection[str]) -> str:
    """Return the name, or the first of `name-2`, `name-3`, … that is not taken."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def load_drafts(
    imported: ImportedSet, file: str, namespace: str, allowed: AddressAllowances
) -> LoadedManifests:
    """Load the drafts as manifests are loaded; the findings are those of their rules."""
    loaded = LoadedManifests(allowed=allowed, files=[file])
    for draft in imported.drafts:
        raw = draft.make_manifest(namespace)
        lines = {"spec": draft.line, **draft.lines}
        load_document(loaded, file, YamlDocument(value=raw, line=draft.line, lines=lines))
    return loaded

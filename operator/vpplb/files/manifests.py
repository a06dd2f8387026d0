"""Manifests in files: the source of resources where there is no cluster.

All files given are one set. Whatever is wrong becomes a finding with file, line and field; what
is right is loaded all the same, so that one reading finds everything.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vpplb.files.file_content import MOST_BYTES, STDIN, UnreadableFile, read_content
from vpplb.files.findings import ManifestFinding
from vpplb.files.yaml_documents import UnparseableYaml, YamlDocument, parse_documents
from vpplb.model.names import API_VERSION, GROUP, ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck, SecretValues
from vpplb.model.problem import Problem
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.meta import read_meta
from vpplb.resources.parse import Parsed, ParsedDataplane, parse_object

MOST_IN_ALL = 256 << 20
"""Bytes of all files together at most."""
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})

ObjectId = tuple[str, ObjectKey]
"""Kind and key: what names an object in a set of files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceObject:
    """An object and where it stands; `parsed` is None when it is wrong."""

    file: str
    document: YamlDocument
    raw: Mapping[str, object] = field(repr=False)
    parsed: Parsed | None

    def place_problem(self, problem: Problem) -> ManifestFinding:
        return ManifestFinding(
            file=self.file,
            line=self.document.line_of(problem.field),
            subject=_format_subject(problem.kind, problem.key),
            field=problem.field,
            message=problem.message,
        )


@dataclass(slots=True, kw_only=True)
class LoadedManifests:
    """What was found. `unparseable`: some file is not YAML, so objects may be missing.

    Of `frontends` and the like only those without a fault. `skipped` are objects that are not
    ours, but for Secrets; `files` those read, in their order.
    """

    objects: dict[ObjectId, SourceObject] = field(default_factory=dict)
    findings: list[ManifestFinding] = field(default_factory=list)
    skipped: list[ManifestFinding] = field(default_factory=list)
    secrets: dict[ObjectKey, SecretValues] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    allowed: AddressAllowances = NOTHING
    unparseable: bool = False
    _bytes: int = 0

    @property
    def frontends(self) -> dict[ObjectKey, Frontend]:
        return {p.key: p for p in self._iter_parsed() if isinstance(p, Frontend)}

    @property
    def backends(self) -> dict[ObjectKey, Backend]:
        return {p.key: p for p in self._iter_parsed() if isinstance(p, Backend)}

    @property
    def health_checks(self) -> dict[ObjectKey, HealthCheck]:
        return {p.key: p for p in self._iter_parsed() if isinstance(p, HealthCheck)}

    @property
    def dataplanes(self) -> dict[str, ParsedDataplane]:
        return {p.node: p for p in self._iter_parsed() if isinstance(p, ParsedDataplane)}

    def add_finding(
        self, file: str, line: int, message: str, subject: str = "", field: str = ""
    ) -> None:
        self.findings.append(
            ManifestFinding(file=file, line=line, message=message, subject=subject, field=field)
        )

    def _iter_parsed(self) -> Iterator[Parsed]:
        return (source.parsed for source in self.objects.values() if source.parsed is not None)


def load_manifests(paths: Iterable[Path], allowed: AddressAllowances = NOTHING) -> LoadedManifests:
    """Read files, folders (all that is below them but what is hidden) and `-`, standard input.

    Never raises for what stands in a file, nor for a file that cannot be read.
    """
    loaded = LoadedManifests(allowed=allowed)
    unread: dict[str, str] = {}
    for path in paths:
        files, shut = list_files(path)
        for file in files:
            _load_file(loaded, file, found=file != path)
        unread |= shut
    for folder, why in unread.items():
        loaded.add_finding(folder, 1, f"cannot be read: {why}")
    order = {name: number for number, name in enumerate([*loaded.files, *unread])}
    loaded.findings.sort(key=lambda finding: (order[finding.file], finding.line))
    return loaded


def list_files(path: Path) -> tuple[list[Path], dict[str, str]]:
    """List what to read of a file or below a folder, and the folders that cannot be read, with why.

    What starts with a dot is left out, and so is the folder of versions in a mounted ConfigMap. A
    folder below that goes meanwhile is no error.
    """
    unread: dict[str, str] = {}

    def note_unread(error: OSError) -> None:
        if error.filename == str(path) or not isinstance(error, FileNotFoundError):
            unread[str(error.filename)] = str(error.strerror)

    found: list[Path] = []
    try:
        if path == STDIN or not path.is_dir():
            return [path], unread
    except OSError as error:  # what is above it may not be entered
        note_unread(error)
    else:
        # A folder that was passed over would be one without objects, and theirs would go from VPP.
        for folder, below, names in os.walk(path, onerror=note_unread):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if file.suffix in _SUFFIXES), unread


def _load_file(loaded: LoadedManifests, path: Path, *, found: bool) -> None:
    name = "<stdin>" if path == STDIN else str(path)
    if name in loaded.files:
        return
    loaded.files.append(name)
    try:
        most = min(MOST_BYTES, MOST_IN_ALL - loaded._bytes)
        content = read_content(path, regular=found, most=most)
        loaded._bytes += len(content)
        for document in parse_documents(content.decode()):
            load_document(loaded, name, document)
    except UnreadableFile as error:
        loaded.add_finding(name, 1, str(error))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        loaded.add_finding(name, line, "not YAML: not UTF-8")
        loaded.unparseable = True
    except UnparseableYaml as error:
        loaded.add_finding(name, error.line, f"not YAML: {error.message}")
        loaded.unparseable = True


def load_document(loaded: LoadedManifests, file: str, document: YamlDocument) -> None:
    """Take what a document of a file holds, and what is wrong with it, into `loaded`."""
    for fault in () if _of_others(document.value) else document.faults:
        subject = _object_name(document.value) if isinstance(document.value, Mapping) else ""
        loaded.add_finding(file, fault.line, fault.message, subject, fault.field)
        loaded.unparseable |= fault.broken
    _load_value(loaded, file, document)


def _of_others(raw: object) -> bool:
    """Tell whether an object is of another API group, whose business it is what it holds."""
    if not isinstance(raw, Mapping) or raw.get("kind") == "List":
        return False
    version = str(raw.get("apiVersion") or "")
    return bool(version) and version.partition("/")[0] != GROUP


def _load_value(loaded: LoadedManifests, file: str, document: YamlDocument) -> None:
    """Load an object, or those of a List."""
    raw = document.value
    if raw is None:
        return
    if not isinstance(raw, Mapping):
        message = "must be an object with apiVersion, kind and metadata"
        loaded.add_finding(file, document.line, message)
    elif raw.get("kind") == "List" and isinstance(raw.get("items"), list):
        for item in document.list_items():
            _load_value(loaded, file, item)
    else:
        _load_object(loaded, file, document, raw)


def _load_object(
    loaded: LoadedManifests, file: str, document: YamlDocument, raw: Mapping[str, object]
) -> None:
    version, kind = str(raw.get("apiVersion") or ""), str(raw.get("kind") or "")
    if (version, kind) == ("v1", "Secret"):
        from vpplb.resources.secret import read_secret  # few files have any

        loaded.secrets[_object_key(raw)] = read_secret(raw)
        return
    if _of_others(raw):
        message = f"skipped, since it is not of {API_VERSION}"
        skipped = ManifestFinding(
            file=file, line=document.line, subject=f"{version} {kind}", message=message
        )
        loaded.skipped.append(skipped)
        return
    parsed = parse_object(raw, loaded.allowed)
    source = SourceObject(
        file=file, document=document, raw=raw, parsed=None if isinstance(parsed, list) else parsed
    )
    if isinstance(parsed, list):
        broken = {fault.field for fault in document.faults if fault.broken}
        loaded.findings += [source.place_problem(one) for one in parsed if one.field not in broken]
    key = _object_key(raw)
    if key.name:
        _add_object(loaded, (kind, key), source)


def _add_object(loaded: LoadedManifests, name: ObjectId, source: SourceObject) -> None:
    first = loaded.objects.setdefault(name, source)
    if first is not source:
        field = "metadata.name"
        line = source.document.line_of(field)
        message = f"is there twice, first in {first.file}:{first.document.line}"
        loaded.add_finding(source.file, line, message, _format_subject(*name), field)


def _object_key(raw: Mapping[str, object]) -> ObjectKey:
    return read_meta(raw, namespaced=raw.get("kind") != ObjectKind.DATAPLANE)[0].key


def _object_name(raw: Mapping[str, object]) -> str:
    return _format_subject(str(raw.get("kind") or ""), _object_key(raw))


def _format_subject(kind: str, key: ObjectKey) -> str:
    name = key.name or "(no name)"
    return f"{kind or '(no kind)'} {key.namespace}/{name}" if key.namespace else f"{kind} {name}"

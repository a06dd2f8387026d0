"""What an edit would do to the VIPs that there are: manifests laid over what there is.

Both sides are decided offline (`acting.object_plan`). What the program that runs was told to allow
(`--allow-loopback`, `--allow-nat`) shows in the objects it has accepted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vpplb.acting.object_plan import PLANNED_KINDS, PlannedObjects, plan_objects
from vpplb.cli.plan_view import PlanView
from vpplb.cli.verbs.session import VerbSession, read_if_allowed
from vpplb.cli.verbs.shown_status import find_shown, read_conditions
from vpplb.files.findings import BadManifests
from vpplb.kube.api_types import RESOURCES, JsonObject, key_of
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.adjustable import FieldValue, adjust_spec, list_adjustable
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.raw_fields import spec_of
from vpplb.resources.stored import is_check_understood, read_backend, read_frontend


class ManifestEdit(NamedTuple):
    """Manifests that would be applied, and backends that would go down."""

    manifests: tuple[Path, ...] = ()
    down: tuple[str, ...] = ()
    allowed: AddressAllowances = NOTHING


async def plan_on_session(session: VerbSession, edit: ManifestEdit) -> PlanView:
    """Plan an edit (BadManifests, KubeError)."""
    namespace = session.namespace or "default"
    # All namespaces, since frontends of different ones may want one VIP.
    everywhere = VerbSession(client=session.client, namespace="")
    there = await read_if_allowed(
        _read_objects(everywhere), None, "frontends of other namespaces are"
    )
    if there is None:
        there = await _read_objects(session)
    edit = edit._replace(allowed=_find_allowed(there, edit.allowed))
    return plan_edit(there, _load_written(edit, namespace), edit, namespace)


async def _read_objects(session: VerbSession) -> PlannedObjects:
    objects: dict[tuple[str, ObjectKey], JsonObject] = {}
    for kind in PLANNED_KINDS:
        named: JsonObject = {"apiVersion": RESOURCES[kind].api_version, "kind": kind}
        for raw in await session.list_objects(kind):
            objects[kind, key_of(raw)] = named | raw
    return objects


def _find_allowed(there: PlannedObjects, given: AddressAllowances) -> AddressAllowances:
    """Add to what is `given` what the accepted objects need: the program that runs allows it."""
    allowed = given
    for (kind, _), raw in there.items():
        if _is_accepted(dict(raw)) and not _is_understood(kind, raw, allowed):
            wider = (
                replace(allowed, loopback=loopback, nat=nat)
                for loopback, nat in ((True, allowed.nat), (allowed.loopback, True), (True, True))
            )
            allowed = next((one for one in wider if _is_understood(kind, raw, one)), allowed)
    return allowed


def _is_understood(kind: str, raw: Mapping[str, Any], allowed: AddressAllowances) -> bool:
    match kind:
        case ObjectKind.FRONTEND:
            return read_frontend(raw, allowed).value is not None
        case ObjectKind.BACKEND:
            return read_backend(raw, allowed).value is not None
        case _:
            return is_check_understood(raw, allowed)


def _is_accepted(raw: JsonObject) -> bool:
    accepted = find_shown(read_conditions(raw), "Accepted")
    return accepted is not None and accepted.status == "True"


def _load_written(edit: ManifestEdit, namespace: str) -> PlannedObjects:
    """Read the manifests; what names no namespace is of `namespace`."""
    if not edit.manifests:
        return {}
    from vpplb.files.manifests import load_manifests

    loaded = load_manifests(edit.manifests, edit.allowed)
    if loaded.findings:
        raise BadManifests(loaded.findings)
    objects: dict[tuple[str, ObjectKey], JsonObject] = {}
    for (kind, key), source in loaded.objects.items():
        metadata = dict(_as_mapping(source.raw["metadata"]))
        metadata.setdefault("namespace", namespace)
        placed = ObjectKey(str(metadata["namespace"]), key.name)
        if kind in PLANNED_KINDS:
            objects[kind, placed] = {**source.raw, "metadata": metadata}
    return objects


def _as_mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def plan_edit(
    there: PlannedObjects, written: PlannedObjects, edit: ManifestEdit, namespace: str
) -> PlanView:
    """Compare what there is with what it would be."""
    edited = {**there, **{name: _lay_over(there.get(name), raw) for name, raw in written.items()}}
    gone = _find_named(edit.down, edited, namespace)
    _check_understood(gone, edited, edit.allowed)
    plan = plan_objects(there, edited, edit.allowed, gone=gone)
    return PlanView(
        result=plan.result,
        about="what the operator has decided, on each node that carries the VIP",
        notes=plan.notes,
    )


def _lay_over(there: Mapping[str, Any] | None, written: Mapping[str, Any]) -> JsonObject:
    """Lay a manifest over the object that is there; a new one is younger than all.

    What was changed by hand stays as long as the manifest says the same of it as the files do.
    """
    metadata = dict(written["metadata"])
    old = there["metadata"] if there else {}
    created = old.get("creationTimestamp") or SystemClock().now().isoformat()
    laid = {**written, "metadata": {**metadata, "creationTimestamp": created}}
    kind, says = str(written.get("kind")), spec_of(written)
    kept = _find_kept(there, list_adjustable(kind, says)) if there and "deviations" in there else {}
    return {**laid, "spec": adjust_spec(kind, says, kept)} if kept else laid


def _find_kept(there: Mapping[str, Any], says: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Return what was changed by hand, of the fields that the manifest has as the files do."""
    from vpplb.cli.verbs.object_problems import read_deviations  # of a router's objects alone

    by_hand = {one.field: one for one in read_deviations(dict(there))}
    return {
        field: by_hand[field].value
        for field, value in says.items()
        if field in by_hand and by_hand[field].files == value
    }


def _find_named(
    names: Iterable[str], objects: PlannedObjects, namespace: str
) -> frozenset[ObjectKey]:
    found = set()
    for name in names:
        key = ObjectKey.parse_text(name) if "/" in name else ObjectKey(namespace, name)
        if (ObjectKind.BACKEND, key) not in objects:
            raise BadManifests([f"--down {name}: there is no Backend {key}"])
        found.add(key)
    return frozenset(found)


def _check_understood(
    down: Iterable[ObjectKey], objects: PlannedObjects, allowed: AddressAllowances
) -> None:
    """BadManifests if what would change cannot be told, since the object is not understood."""
    findings = []
    for key in sorted(down):
        read = read_backend(objects[ObjectKind.BACKEND, key], allowed)
        findings += [f"--down {key}: {problem}" for problem in read.problems]
    if findings:
        raise BadManifests(findings)

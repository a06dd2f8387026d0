"""What an edit would do to the VIPs that there are: manifests laid over what there is.

Both sides are decided offline, by the operator's own rules, with backends as their statuses show
them. A frontend on which the two sides agree is untouched; for the others the plan leads from
what is programmed (`status.dataplane`) to what the edited side comes to. What the program that
runs was told to allow (`--allow-loopback`, `--allow-nat`) shows in the objects it has accepted.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vpplb.cli.plan_view import PlanView
from vpplb.cli.verbs.object_problems import read_deviations
from vpplb.cli.verbs.session import VerbSession, read_if_allowed
from vpplb.cli.verbs.shown_status import find_shown, read_conditions
from vpplb.files.manifests import BadManifests, load_manifests
from vpplb.kube.api_types import RESOURCES, JsonObject, key_of
from vpplb.model.clock import SystemClock
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend
from vpplb.model.vip import Vip, VipId
from vpplb.plan.assumption import AssumedVips, assume_vips
from vpplb.resources.adjustable import adjust_spec, list_adjustable
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.backend import BackendStatus
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.raw_fields import spec_of
from vpplb.resources.stored import (
    read_backend,
    read_frontend,
    read_health_check,
    read_status,
    stand_in_for_backend,
    stand_in_for_frontend,
)
from vpplb.sync.dry_run import DryRun, DryRunResult
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_state import OwnedState

_KINDS = (ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK)

Objects = Mapping[tuple[str, ObjectKey], JsonObject]
"""Objects by kind and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEdit:
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
    edit = replace(edit, allowed=_find_allowed(there, edit.allowed))
    return plan_edit(there, _load_written(edit, namespace), edit, namespace)


async def _read_objects(session: VerbSession) -> Objects:
    objects: dict[tuple[str, ObjectKey], JsonObject] = {}
    for kind in _KINDS:
        named: JsonObject = {"apiVersion": RESOURCES[kind].api_version, "kind": kind}
        for raw in await session.list_objects(kind):
            objects[kind, key_of(raw)] = named | raw
    return objects


def _find_allowed(there: Objects, given: AddressAllowances) -> AddressAllowances:
    """Add to what is `given` what the accepted objects need: the program that runs allows it."""
    allowed = given
    for (kind, _), raw in there.items():
        if _is_accepted(raw) and not _is_understood(kind, raw, allowed):
            wider = (
                replace(allowed, loopback=loopback, nat=nat)
                for loopback, nat in ((True, allowed.nat), (allowed.loopback, True), (True, True))
            )
            allowed = next((one for one in wider if _is_understood(kind, raw, one)), allowed)
    return allowed


def _is_understood(kind: str, raw: JsonObject, allowed: AddressAllowances) -> bool:
    match kind:
        case ObjectKind.FRONTEND:
            return read_frontend(raw, allowed).value is not None
        case ObjectKind.BACKEND:
            return read_backend(raw, allowed).value is not None
        case _:
            return read_health_check(raw, allowed).value is not None


def _is_accepted(raw: JsonObject) -> bool:
    accepted = find_shown(read_conditions(raw), "Accepted")
    return accepted is not None and accepted.status == "True"


def _load_written(edit: ManifestEdit, namespace: str) -> Objects:
    """Read the manifests; what names no namespace is of `namespace`."""
    loaded = load_manifests(edit.manifests, edit.allowed)
    if loaded.findings:
        raise BadManifests(loaded.findings)
    objects: dict[tuple[str, ObjectKey], JsonObject] = {}
    for (kind, key), source in loaded.objects.items():
        metadata = dict(_as_mapping(source.raw["metadata"]))
        metadata.setdefault("namespace", namespace)
        placed = ObjectKey(str(metadata["namespace"]), key.name)
        if kind in _KINDS:
            objects[kind, placed] = {**source.raw, "metadata": metadata}
    return objects


def _as_mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def plan_edit(there: Objects, written: Objects, edit: ManifestEdit, namespace: str) -> PlanView:
    """Compare what there is with what it would be."""
    edited = {**there, **{name: _lay_over(there.get(name), raw) for name, raw in written.items()}}
    programmed = _read_programmed(there)
    table = dict(programmed.values())
    failing = _find_failing(there)
    gone = _find_named(edit.down, edited, namespace)
    _check_understood(gone, edited, edit.allowed)
    now = _decide_objects(there, failing, table, edit.allowed)
    then = _decide_objects(edited, failing | gone, table, edit.allowed)
    changed = sorted(
        key for key in {*now.vips, *then.vips} if now.vips.get(key) != then.vips.get(key)
    )
    before = {key: programmed[key] for key in changed if key in programmed}
    return PlanView(
        result=_dry_run(before, {key: then.vips.get(key) for key in changed}),
        about="what the operator has decided, on each node that carries the VIP",
        notes=tuple(_plan_notes(now, then, failing)),
    )


def _lay_over(there: JsonObject | None, written: JsonObject) -> JsonObject:
    """Lay a manifest over the object that is there; a new one is younger than all.

    What was changed by hand stays as long as the manifest says the same of it as the files do.
    """
    metadata = dict(written["metadata"])
    old = there["metadata"] if there else {}
    created = old.get("creationTimestamp") or SystemClock().now().isoformat()
    laid = {**written, "metadata": {**metadata, "creationTimestamp": created}}
    kind, says = str(written.get("kind")), spec_of(written)
    by_hand = {one.field: one for one in read_deviations(there or {})}
    kept = {
        field: by_hand[field].value
        for field, value in (list_adjustable(kind, says) if by_hand else {}).items()
        if field in by_hand and by_hand[field].files == value
    }
    return {**laid, "spec": adjust_spec(kind, says, kept)} if kept else laid


def _read_programmed(there: Objects) -> dict[ObjectKey, tuple[VipId, Vip]]:
    found: dict[ObjectKey, tuple[VipId, Vip]] = {}
    for (kind, key), raw in there.items():
        loaded = _read_wanted(raw) if kind == ObjectKind.FRONTEND else None
        if loaded is not None:
            found[key] = loaded[:2]
    return found


def _read_wanted(raw: JsonObject) -> tuple[VipId, Vip, str] | None:
    """Read what a Frontend's nodes shall have; None where nothing that can be read is decided."""
    try:
        return load_dataplane(raw.get("status"))
    except ValueError:
        return None


def _find_failing(there: Objects) -> frozenset[ObjectKey]:
    """Return the backends that are probed and do not count as up."""
    failing = set()
    for (kind, key), raw in there.items():
        if kind != ObjectKind.BACKEND:
            continue
        status = read_status(raw, BackendStatus)
        unproved = status.state is HealthState.UNKNOWN and bool(status.frontends)
        if (status.state is HealthState.DOWN or unproved) and not status.held:
            failing.add(key)
    return frozenset(failing)


def _find_named(names: Iterable[str], objects: Objects, namespace: str) -> frozenset[ObjectKey]:
    found = set()
    for name in names:
        key = ObjectKey.parse_text(name) if "/" in name else ObjectKey(namespace, name)
        if (ObjectKind.BACKEND, key) not in objects:
            raise BadManifests([f"--down {name}: there is no Backend {key}"])
        found.add(key)
    return frozenset(found)


def _check_understood(
    down: Iterable[ObjectKey], objects: Objects, allowed: AddressAllowances
) -> None:
    """BadManifests if what would change cannot be told, since the object is not understood."""
    findings = []
    for key in sorted(down):
        read = read_backend(objects[ObjectKind.BACKEND, key], allowed)
        findings += [f"--down {key}: {problem}" for problem in read.problems]
    if findings:
        raise BadManifests(findings)


def _decide_objects(
    objects: Objects,
    down: Collection[ObjectKey],
    table: Mapping[VipId, Vip],
    allowed: AddressAllowances,
) -> AssumedVips:
    """Decide on a set, with what stands in for objects that are not understood, as the operator."""
    frontends: dict[ObjectKey, Frontend] = {}
    backends: dict[ObjectKey, Backend] = {}
    checks: set[ObjectKey] = set()
    for (kind, key), raw in objects.items():
        if kind == ObjectKind.FRONTEND:
            frontend = read_frontend(raw, allowed).value or stand_in_for_frontend(raw)
            frontends |= {key: frontend} if frontend else {}
        elif kind == ObjectKind.BACKEND:
            backend = read_backend(raw, allowed).value or stand_in_for_backend(raw, allowed=allowed)
            backends |= {key: backend} if backend else {}
        elif read_health_check(raw, allowed).value is not None:
            checks.add(key)
    return assume_vips(frontends, backends, checks, down=down, before=table)


def _dry_run(
    before: Mapping[ObjectKey, tuple[VipId, Vip]],
    after: Mapping[ObjectKey, tuple[VipId, Vip] | None],
) -> DryRunResult:
    owned = {vip: key for key, (vip, _) in before.items()}
    flushed = {
        vip: {address: server.flush_epoch for address, server in found.servers.items()}
        for vip, found in before.values()
    }
    dry_run = DryRun(OwnedState(owned=owned, flushed=flushed))
    for key, wanted in after.items():
        if wanted is not None:
            dry_run.set_desired(key, *wanted, "")
    return dry_run.plan_calls(ObservedVpp(table=dict(before.values())))


def _plan_notes(
    now: AssumedVips, then: AssumedVips, failing: Collection[ObjectKey]
) -> Iterator[str]:
    down = ", ".join(map(str, sorted(failing)[:10])) or "none"
    yield f"backends count as they are now (not up: {down}); new and enabled ones as up"
    for problem in then.problems:
        if problem not in now.problems:
            yield f"new problem: {problem}"

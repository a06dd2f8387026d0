"""`vpplb check`: validate manifests offline."""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vpplb.cli.options import allowance_flags, probe_flags
from vpplb.cli.terminal import count_of, print_line
from vpplb.model.names import ObjectKind

if TYPE_CHECKING:
    from vpplb.files.findings import ManifestFinding
    from vpplb.files.manifests import LoadedManifests
    from vpplb.model.problem import Problem
    from vpplb.resources.allowances import AddressAllowances

UNPARSEABLE, INVALID = 1, 2


@click.command(name="check", short_help="Validate manifests offline.")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, allow_dash=True),
)
@allowance_flags
@probe_flags
def check_command(paths: tuple[Path, ...], allowed: "AddressAllowances") -> None:
    """Validate manifests offline, by the rules of the API server and of the operator.

    PATH is a file, a folder (with all below it) or `-` for standard input. All files are taken
    as one set: a reference to nothing and a conflict between frontends are errors. Everything
    found is said, one line each, as file:line: Kind namespace/name: field: message. Objects of
    other API groups are skipped, but for Secrets, which headers may take values from. A warning
    does not count as wrong.

    \b
    Exit status:  0  valid
                  1  not parseable as YAML
                  2  anything else is wrong
    \b
    Examples:     vpplb check manifests/
                  kubectl get vpplb -A -o yaml | vpplb check -
    """
    from vpplb.files.manifests import load_manifests

    loaded = load_manifests(paths, allowed)
    across, warnings = find_across(loaded)
    findings = [*loaded.findings, *across]
    for finding in (*findings, *warnings, *loaded.skipped):
        print_line(finding)
    print_line(_summarize_findings(loaded, findings))
    if loaded.unparseable:
        sys.exit(UNPARSEABLE)
    if findings:
        sys.exit(INVALID)


def find_across(
    loaded: "LoadedManifests",
) -> tuple[list["ManifestFinding"], list["ManifestFinding"]]:
    """Find what spans objects, and what is valid and yet may not do what it says.

    Of the former nothing is said where some file could not be read, since much would be missing.
    """
    from vpplb.plan.headers import missing_secrets
    from vpplb.plan.probe_reach import unprobed_by_reach
    from vpplb.plan.resolve import resolve_objects
    from vpplb.plan.warnings import find_warnings

    health_checks = {key for kind, key in loaded.objects if kind == ObjectKind.HEALTH_CHECK}
    resolution = resolve_objects(loaded.frontends, loaded.backends, health_checks)
    checks = loaded.health_checks.values()
    lost = [one for check in checks for one in missing_secrets(check, loaded.secrets)]
    dubious = [one for resolved in resolution.frontends.values() for one in find_warnings(resolved)]
    denied = (unprobed_by_reach(one, loaded.allowed.reach) for one in loaded.backends.values())
    wrong = [*resolution.problems, *(problem for problem in denied if problem)]
    # Secrets are seldom kept with other manifests; where some are, the others are missing.
    (wrong if loaded.secrets else dubious).extend(lost)
    wrong = [] if loaded.unparseable else wrong
    warnings = [replace(one, message=f"warning: {one.message}") for one in dubious]
    return _place_findings((p for p in wrong if not _is_there(p, loaded)), loaded), _place_findings(
        warnings, loaded
    )


def _place_findings(
    problems: Iterable["Problem"], loaded: "LoadedManifests"
) -> list["ManifestFinding"]:
    return [loaded.objects[one.kind, one.key].place_problem(one) for one in problems]


def _is_there(problem: "Problem", loaded: "LoadedManifests") -> bool:
    """Tell whether a Backend "not found" is in the files, though wrong: that is said already."""
    from vpplb.model.names import ObjectKey

    if problem.reason != "BackendNotFound":
        return False
    name = _value_at(loaded.objects[problem.kind, problem.key].raw, problem.field)
    return (ObjectKind.BACKEND, ObjectKey(problem.key.namespace, str(name))) in loaded.objects


def _value_at(raw: object, path: str) -> object:
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(raw, Mapping):
            raw = raw.get(part)
        elif isinstance(raw, list):
            raw = raw[int(part)]
    return raw


def _summarize_findings(loaded: "LoadedManifests", findings: Iterable["ManifestFinding"]) -> str:
    skipped = f", {len(loaded.skipped)} skipped" if loaded.skipped else ""
    count = len(list(findings))
    verdict = count_of(count, "problem") if count else "valid"
    files, objects = count_of(len(loaded.files), "file"), count_of(len(loaded.objects), "object")
    return f"{files}, {objects}{skipped}: {verdict}"

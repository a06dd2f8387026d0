"""`kubectl vpplb backends`: the health of backends, and why it is so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from vpplb.cli.tables import TableRow, colour_state, write_table
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import output, problems_only, usual_flags
from vpplb.cli.verbs.frontends import frontends_by_backend
from vpplb.cli.verbs.object_problems import (
    FieldDeviation,
    ObjectProblem,
    find_problems,
    read_deviations,
)
from vpplb.cli.verbs.output import OutputFormat, format_age, print_output
from vpplb.cli.verbs.session import UsualFlags, VerbSession
from vpplb.cli.verbs.shown_status import ShownBackend, read_shown_backend
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.clock import SystemClock
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKind
from vpplb.resources.raw_fields import spec_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendLine:
    """A backend in one line. `detail` says why the state is as it is."""

    namespace: str
    name: str
    address: str
    health_check: str
    state: str
    code: str
    detail: str
    since: datetime | None
    held: bool
    frontends: tuple[str, ...]
    problems: tuple[ObjectProblem, ...]
    deviations: tuple[FieldDeviation, ...]


@click.command(
    name="backends", cls=VerbCommand, short_help="Show the health of backends, and why it is so."
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([one.value for one in HealthState]),
    help="Show only backends in this state; may be given several times.",
)
@problems_only
@usual_flags(all_namespaces=True, selector=True)
@output
def backends_command(
    flags: UsualFlags, states: tuple[str, ...], problems: bool, output: OutputFormat
) -> None:
    """Show each backend's state, since when, what its deciding probe saw, and who uses it.

    With --problems only those that are down, that a frontend waits for, or that something is
    wrong with; not those that somebody has paused or disabled.

    \b
    Examples:   kubectl vpplb backends
                kubectl vpplb backends -A --state down --state unknown
                kubectl vpplb backends -o wide
    """
    lines = [
        line
        for line in flags.run_work(lambda session: _read_backends(session, flags))
        if (not states or line.state in states) and (not problems or is_problem(line))
    ]
    print_output(
        output, lines, lambda: _backends_table(lines, flags, wide=output is OutputFormat.WIDE)
    )


def is_problem(line: BackendLine) -> bool:
    """Tell whether a backend is not as it should be, other than by somebody's will."""
    waited_for = line.state == HealthState.UNKNOWN and bool(line.frontends)
    return bool(line.problems) or line.state == HealthState.DOWN or waited_for


async def _read_backends(session: VerbSession, flags: UsualFlags) -> list[BackendLine]:
    users = frontends_by_backend(await session.list_objects(ObjectKind.FRONTEND))
    found = sorted(await session.select_objects(ObjectKind.BACKEND), key=key_of)
    lines = [read_backend_line(raw, users.get(key_of(raw), ())) for raw in found]
    if not lines or flags.reads_manifests:
        return lines
    from vpplb.cli.verbs.silence import age_backend, read_silence

    silence_of = await read_silence(session)
    return [age_backend(line, silence_of(line.namespace)) for line in lines]


def read_backend_line(raw: JsonObject, frontends: Sequence[JsonObject]) -> BackendLine:
    """Read a Backend; `frontends` are those that use it."""
    spec, key = spec_of(raw), key_of(raw)
    status = read_shown_backend(raw)
    found = find_problems(raw, status.conditions, status.odd)
    problems = [one for one in found if one.condition != "Healthy"]
    return BackendLine(
        namespace=key.namespace,
        name=key.name,
        address=str(spec.get("address") or ""),
        health_check=_name_of(spec.get("healthCheckRef")),
        state=status.state.value,
        code=status.code,
        detail=_describe_state(status, problems),
        since=status.since,
        held=status.held,
        frontends=tuple(key_of(one).name for one in frontends),
        problems=tuple(problems),
        deviations=read_deviations(raw),
    )


def _name_of(reference: object) -> str:
    return str(reference.get("name", "")) if isinstance(reference, Mapping) else ""


def _describe_state(status: ShownBackend, problems: Sequence[ObjectProblem]) -> str:
    if problems:
        return str(problems[0])
    if status.held and status.state is HealthState.UNKNOWN:
        return "serves on until its new check has a verdict: it was up before"
    if status.held:
        return f"counts as up, since the prober is suspected: {status.detail or status.code}"
    if status.state is HealthState.UNKNOWN and status.frontends == 0:
        return "not probed: no frontend references it"
    return status.detail


def _backends_table(lines: Sequence[BackendLine], flags: UsualFlags, *, wide: bool) -> str:
    if not lines:
        return "there are no such backends"
    named = flags.show_namespaces(line.namespace for line in lines)
    header = [*(["NAMESPACE"] if named else []), "NAME", "ADDRESS", "STATE", "SINCE"]
    header += [*(["CHECK"] if wide else []), "FRONTENDS", "CODE", "DETAIL"]
    now = SystemClock().now()
    return write_table(header, [_backend_row(line, now, named=named, wide=wide) for line in lines])


def _backend_row(line: BackendLine, now: datetime, *, named: bool, wide: bool) -> TableRow:
    shown = ", ".join(line.frontends[:3]) + ("" if len(line.frontends) < 4 else ", …")
    return [
        *([line.namespace] if named else []),
        line.name,
        line.address,
        colour_state(line.state),
        format_age(line.since, now),
        *([line.health_check] if wide else []),
        ", ".join(line.frontends) if wide else shown,
        line.code,
        "; ".join(filter(None, (line.detail, *map(str, line.deviations)))),
    ]

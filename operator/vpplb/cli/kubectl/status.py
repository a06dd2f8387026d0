"""`kubectl vpplb status`: what serves, and what is wrong where it does not."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from vpplb.cli.kubectl.frontend_detail import FrontendDetail, MemberLine, read_frontend_detail
from vpplb.cli.kubectl.frontends import FrontendLine, key_by_name, read_frontend_line
from vpplb.cli.kubectl.output import OutputFormat, format_age, format_percent, print_output
from vpplb.cli.kubectl.session import (
    ClusterSession,
    UsualFlags,
    output,
    read_if_allowed,
    usual_flags,
)
from vpplb.cli.tables import Row, TableCell, colour_state, paint_cell, write_table
from vpplb.kube.api_types import key_of
from vpplb.model.names import ObjectKind
from vpplb.model.printable import make_printable


@click.command(name="status", short_help="Show what serves, and what is wrong where it does not.")
@click.argument("frontend", required=False)
@usual_flags(all_namespaces=True)
@output
def status_command(flags: UsualFlags, frontend: str | None, output: OutputFormat) -> None:
    """Show all frontends, or all that explains one.

    Each has its VIP, state, the pool that serves, how many backends are up, how many nodes have
    its newest state, and what is wrong. With FRONTEND: its pools with the health of each backend
    and its exact share of new flows, its nodes, and what happened last.

    \b
    Examples:   kubectl vpplb status -A
                kubectl vpplb status web
                kubectl vpplb status -A -o json | jq '.[] | select(.problems != [])'
    """
    if frontend is not None and flags.all_namespaces:
        raise click.UsageError("a FRONTEND is of one namespace: give -n instead of -A")
    now = datetime.now(UTC)
    if frontend is None:
        lines = flags.run_work(_read_lines)
        print_output(
            output, lines, lambda: _lines_table(lines, flags, wide=output is OutputFormat.WIDE)
        )
    else:
        detail = flags.run_work(lambda cluster: _read_detail(cluster, frontend))
        print_output(output, detail, lambda: _detail_text(detail, now))


async def _read_lines(cluster: ClusterSession) -> list[FrontendLine]:
    found = await cluster.list_objects(ObjectKind.FRONTEND)
    return [read_frontend_line(raw) for raw in sorted(found, key=key_of)]


async def _read_detail(cluster: ClusterSession, name: str) -> FrontendDetail:
    raw = await cluster.get_object(ObjectKind.FRONTEND, name)
    about = f"regarding.kind=Frontend,regarding.name={name}"
    reading = cluster.console.select_objects(ObjectKind.EVENT, cluster.namespace, fields=about)
    events = await read_if_allowed(reading, [], "events are")
    nodes = await read_if_allowed(cluster.list_objects(ObjectKind.DATAPLANE), None, "nodes are")
    return read_frontend_detail(
        raw, key_by_name(await cluster.list_objects(ObjectKind.BACKEND)), nodes, events
    )


def _lines_table(lines: Sequence[FrontendLine], flags: UsualFlags, *, wide: bool) -> str:
    if not lines:
        return "there are no frontends" + (
            "" if flags.all_namespaces else " in this namespace (-A: in all)"
        )
    header = ["NAME", "VIP", "STATE", "POOL", "READY", "NODES"]
    rows: list[Row] = []
    for line in lines:
        row: list[str | TableCell] = [line.name, line.vip, colour_state(line.state)]
        row += [line.active_pool, line.ready, line.nodes]
        row += [line.encap, str(line.table_length or ""), line.revision] if wide else []
        rows.append([*_namespace_cells(line, flags), *row, _problem_cell(line)])
    header += ["ENCAP", "TABLE", "REVISION"] if wide else []
    header = [*(["NAMESPACE"] if flags.all_namespaces else []), *header, "PROBLEM"]
    return write_table(header, rows)


def _namespace_cells(line: FrontendLine, flags: UsualFlags) -> list[str | TableCell]:
    return [line.namespace] if flags.all_namespaces else []


def _problem_cell(line: FrontendLine) -> TableCell:
    """Show the first problem, which is the deepest cause, and how many there are besides."""
    if not line.problems:
        return TableCell("")
    more = f" (and {len(line.problems) - 1} more)" if len(line.problems) > 1 else ""
    return TableCell(f"{line.problems[0]}{more}", "yellow")


def _detail_text(detail: FrontendDetail, now: datetime) -> str:
    parts = [
        _head_text(detail.frontend),
        _problems_table(detail.frontend, now),
        _pools_table(detail, now),
    ]
    parts += [_nodes_table(detail), _history_table(detail, now)]
    return "\n\n".join(part for part in parts if part)


def _head_text(line: FrontendLine) -> str:
    pool = f", pool {line.active_pool} serves" if line.active_pool else ""
    ready = f", {line.ready} backends are up" if line.ready else ""
    nodes = f", {line.nodes} nodes have it" if line.nodes else ""
    settings = [line.encap, f"table {line.table_length}" if line.table_length else ""]
    settings += [f"revision {line.revision}" if line.revision else ""]
    return (
        make_printable(
            f"{line.namespace}/{line.name}  {line.vip}  {' '.join(filter(None, settings))}"
        )
        + f"\n{paint_cell(colour_state(line.state))}"
        + make_printable(f"{pool}{ready}{nodes}")
        + (f"\nnote: {make_printable(line.note)}" if line.note else "")
    )


def _problems_table(line: FrontendLine, now: datetime) -> str:
    if not line.problems:
        return ""
    rows: list[Row] = [
        [TableCell(one.reason, "yellow"), format_age(one.since, now), one.message]
        for one in line.problems
    ]
    return write_table(["PROBLEM", "SINCE", "MESSAGE"], rows)


def _pools_table(detail: FrontendDetail, now: datetime) -> str:
    header = ["POOL", "BACKEND", "ADDRESS", "STATE", "SINCE", "WEIGHT", "SHARE", "DUE"]
    return write_table(
        [*header, "CODE", "DETAIL"], [_member_row(one, now) for one in detail.members]
    )


def _member_row(one: MemberLine, now: datetime) -> Row:
    pool = f"{one.pool} *" if one.active else one.pool
    return [
        pool,
        one.backend,
        one.address,
        colour_state(one.state),
        format_age(one.since, now),
        f"{one.effective_weight}/{one.weight}",
        format_percent(one.share),
        format_percent(one.due),
        one.code,
        one.detail,
    ]


def _nodes_table(detail: FrontendDetail) -> str:
    if detail.nodes is None:
        return ""
    if not detail.nodes:
        return "no node with an agent is selected"
    rows: list[Row] = [
        [one.node, colour_state(one.state), one.revision, one.message] for one in detail.nodes
    ]
    return write_table(["NODE", "STATE", "REVISION", "MESSAGE"], rows)


def _history_table(detail: FrontendDetail, now: datetime) -> str:
    if not detail.history:
        return ""
    rows: list[Row] = [[format_age(one.at, now), one.what, one.text] for one in detail.history]
    return write_table(["AGO", "WHAT", "HAPPENED"], rows)

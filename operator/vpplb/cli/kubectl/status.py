"""`kubectl vpplb status`: what serves, and what is wrong where it does not."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from vpplb.cli.kubectl.frontend_detail import FrontendDetail, MemberLine, frontend_detail
from vpplb.cli.kubectl.frontends import FrontendLine, by_name, frontend_line
from vpplb.cli.kubectl.output import Output, age, emit, percent
from vpplb.cli.kubectl.session import Cluster, Flags, flags, if_allowed, output
from vpplb.cli.tables import Cell, Row, coloured, columns, paint
from vpplb.kube.api_resources import key_of
from vpplb.model.names import ObjectKind
from vpplb.model.printable import printable


@click.command(name="status", short_help="Show what serves, and what is wrong where it does not.")
@click.argument("frontend", required=False)
@flags(all_namespaces=True)
@output
def command(flags: Flags, frontend: str | None, output: Output) -> None:
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
        lines = flags.run(_all)
        emit(output, lines, lambda: _lines(lines, flags, wide=output is Output.WIDE))
    else:
        detail = flags.run(lambda cluster: _one(cluster, frontend))
        emit(output, detail, lambda: _detail(detail, now))


async def _all(cluster: Cluster) -> list[FrontendLine]:
    found = await cluster.list(ObjectKind.FRONTEND)
    return [frontend_line(raw) for raw in sorted(found, key=key_of)]


async def _one(cluster: Cluster, name: str) -> FrontendDetail:
    raw = await cluster.get(ObjectKind.FRONTEND, name)
    about = f"regarding.kind=Frontend,regarding.name={name}"
    reading = cluster.console.select(ObjectKind.EVENT, cluster.namespace, fields=about)
    events = await if_allowed(reading, [], "events are")
    nodes = await if_allowed(cluster.list(ObjectKind.DATAPLANE), None, "nodes are")
    return frontend_detail(raw, by_name(await cluster.list(ObjectKind.BACKEND)), nodes, events)


def _lines(lines: Sequence[FrontendLine], flags: Flags, *, wide: bool) -> str:
    if not lines:
        return "there are no frontends" + (
            "" if flags.all_namespaces else " in this namespace (-A: in all)"
        )
    header = ["NAME", "VIP", "STATE", "POOL", "READY", "NODES"]
    rows: list[Row] = []
    for line in lines:
        row: list[str | Cell] = [line.name, line.vip, coloured(line.state)]
        row += [line.active_pool, line.ready, line.nodes]
        row += [line.encap, str(line.table_length or ""), line.revision] if wide else []
        rows.append([*_namespace(line, flags), *row, _problem(line)])
    header += ["ENCAP", "TABLE", "REVISION"] if wide else []
    header = [*(["NAMESPACE"] if flags.all_namespaces else []), *header, "PROBLEM"]
    return columns(header, rows)


def _namespace(line: FrontendLine, flags: Flags) -> list[str | Cell]:
    return [line.namespace] if flags.all_namespaces else []


def _problem(line: FrontendLine) -> Cell:
    """Show the first problem, which is the deepest cause, and how many there are besides."""
    if not line.problems:
        return Cell("")
    more = f" (and {len(line.problems) - 1} more)" if len(line.problems) > 1 else ""
    return Cell(f"{line.problems[0]}{more}", "yellow")


def _detail(detail: FrontendDetail, now: datetime) -> str:
    parts = [_head(detail.frontend), _wrong(detail.frontend, now), _pools(detail, now)]
    parts += [_nodes(detail), _history(detail, now)]
    return "\n\n".join(part for part in parts if part)


def _head(line: FrontendLine) -> str:
    pool = f", pool {line.active_pool} serves" if line.active_pool else ""
    ready = f", {line.ready} backends are up" if line.ready else ""
    nodes = f", {line.nodes} nodes have it" if line.nodes else ""
    settings = [line.encap, f"table {line.table_length}" if line.table_length else ""]
    settings += [f"revision {line.revision}" if line.revision else ""]
    return (
        printable(f"{line.namespace}/{line.name}  {line.vip}  {' '.join(filter(None, settings))}")
        + f"\n{paint(coloured(line.state))}"
        + printable(f"{pool}{ready}{nodes}")
        + (f"\nnote: {printable(line.note)}" if line.note else "")
    )


def _wrong(line: FrontendLine, now: datetime) -> str:
    if not line.problems:
        return ""
    rows: list[Row] = [
        [Cell(one.reason, "yellow"), age(one.since, now), one.message] for one in line.problems
    ]
    return columns(["PROBLEM", "SINCE", "MESSAGE"], rows)


def _pools(detail: FrontendDetail, now: datetime) -> str:
    header = ["POOL", "BACKEND", "ADDRESS", "STATE", "SINCE", "WEIGHT", "SHARE", "DUE"]
    return columns([*header, "CODE", "DETAIL"], [_member(one, now) for one in detail.members])


def _member(one: MemberLine, now: datetime) -> Row:
    pool = f"{one.pool} *" if one.active else one.pool
    return [
        pool,
        one.backend,
        one.address,
        coloured(one.state),
        age(one.since, now),
        f"{one.effective_weight}/{one.weight}",
        percent(one.share),
        percent(one.due),
        one.code,
        one.detail,
    ]


def _nodes(detail: FrontendDetail) -> str:
    if detail.nodes is None:
        return ""
    if not detail.nodes:
        return "no node with an agent is selected"
    rows: list[Row] = [
        [one.node, coloured(one.state), one.revision, one.message] for one in detail.nodes
    ]
    return columns(["NODE", "STATE", "REVISION", "MESSAGE"], rows)


def _history(detail: FrontendDetail, now: datetime) -> str:
    if not detail.history:
        return ""
    rows: list[Row] = [[age(one.at, now), one.what, one.text] for one in detail.history]
    return columns(["AGO", "WHAT", "HAPPENED"], rows)

"""`kubectl vpplb status`: what serves, and what is wrong where it does not."""

from collections.abc import Sequence

import click

from vpplb.cli.tables import TableCell, TableRow, colour_state, write_table
from vpplb.cli.terminal import count_of, print_line
from vpplb.cli.verbs.completion import complete_frontends
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import output, problems_only, usual_flags
from vpplb.cli.verbs.frontends import FrontendLine, read_frontend_line
from vpplb.cli.verbs.output import OutputFormat, print_output
from vpplb.cli.verbs.session import UsualFlags, VerbSession, read_if_allowed
from vpplb.kube.api_types import key_of
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKind


@click.command(
    name="status",
    cls=VerbCommand,
    short_help="Show what serves, and what is wrong where it does not.",
)
@click.argument("frontend", required=False, shell_complete=complete_frontends)
@problems_only
@usual_flags(all_namespaces=True, selector=True)
@output
def status_command(
    flags: UsualFlags, frontend: str | None, problems: bool, output: OutputFormat
) -> None:
    """Show all frontends, or all that explains one.

    Each has its VIP, state, the pool that serves, how many backends are up, how many nodes have
    its newest state, and what is wrong. With FRONTEND: its pools with the health of each backend
    and its exact share of new flows, its nodes, and what happened last. A problem is also a
    backend that is not up though nobody has paused or disabled it, and a change by hand.

    \b
    Examples:   kubectl vpplb status
                kubectl vpplb status web
                kubectl vpplb status --problems -l tier=edge
                kubectl vpplb status -o json | jq '.[] | select(.state == "down") | .name'
    """
    if frontend is not None and flags.all_namespaces:
        raise click.UsageError("a FRONTEND is of one namespace: give -n instead of -A")
    if frontend is not None and (problems or flags.labels):
        raise click.UsageError("--problems and -l choose among all: give no FRONTEND")
    if frontend is None:
        lines, refused = flags.run_work(lambda session: _read_lines(session, flags))
        shown = [line for line in lines if line.problems or line.deviations or not problems]
        wide = output is OutputFormat.WIDE
        of = f"{count_of(len(lines), 'frontend')}{' in force' if refused else ''}" if lines else ""
        if refused:
            print_line(f"manifests: {refused}", err=True)
        print_output(output, shown, lambda: _lines_table(shown, flags, wide=wide, of=of))
    else:
        from vpplb.cli.verbs.frontend_page import read_page, write_page

        detail = flags.run_work(lambda session: read_page(session, frontend))
        print_output(output, detail, lambda: write_page(detail, SystemClock().now()))


async def _read_lines(session: VerbSession, flags: UsualFlags) -> tuple[list[FrontendLine], str]:
    """Read the frontends, and why the newest manifests are not in force where those are read."""
    found = sorted(await session.select_objects(ObjectKind.FRONTEND), key=key_of)
    refused = await session.client.read_refusal() if flags.reads_manifests else ""
    lines = [read_frontend_line(raw) for raw in found]
    if lines and not flags.reads_manifests:
        from vpplb.cli.verbs.silence import age_frontend, read_silence

        silence_of = await read_silence(session)
        lines = [age_frontend(line, silence_of(line.namespace)) for line in lines]
    if not any(problem.is_pending for line in lines for problem in line.problems):
        return lines, refused
    from vpplb.cli.verbs.nodes import age_dataplanes, explain_pending, list_idle_nodes

    nodes = await read_if_allowed(session.list_objects(ObjectKind.DATAPLANE), [], "nodes are")
    idle = list_idle_nodes(await age_dataplanes(session, nodes))
    explained = [explain_pending(raw, line, idle) for raw, line in zip(found, lines, strict=True)]
    return explained, refused


def _lines_table(lines: Sequence[FrontendLine], flags: UsualFlags, *, wide: bool, of: str) -> str:
    if not lines:
        return f"no problems: {of}" if of else _nothing_text(flags)
    named = flags.show_namespaces(line.namespace for line in lines)
    header = ["NAME", "VIP", "STATE", "POOL", "READY", "NODES"]
    rows: list[TableRow] = []
    for line in lines:
        row: list[str | TableCell] = [line.name, line.vip, colour_state(line.state)]
        row += [line.active_pool, line.ready, line.nodes]
        row += [line.encap, str(line.table_length or ""), line.revision] if wide else []
        rows.append([*([line.namespace] if named else []), *row, _problem_cell(line)])
    header += ["ENCAP", "TABLE", "REVISION"] if wide else []
    header = [*(["NAMESPACE"] if named else []), *header, "PROBLEM"]
    return write_table(header, rows)


def _nothing_text(flags: UsualFlags) -> str:
    such = " such" if flags.labels else ""
    hint = "" if flags.reads_manifests else " (-A: in all)"  # a flag of a cluster's verbs alone
    here = "" if flags.sees_all_namespaces else f" in this namespace{hint}"
    return f"there are no{such} frontends{here}"


def _problem_cell(line: FrontendLine) -> TableCell:
    """Show the first problem, which is the deepest cause, and how many there are besides.

    What was changed by hand comes last: it is as somebody wants it, but not as the files say.
    """
    wrong = [*line.problems, *line.deviations]
    if not wrong:
        return TableCell("")
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return TableCell(f"{wrong[0]}{more}", "yellow" if line.problems else "blue")

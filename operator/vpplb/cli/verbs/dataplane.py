"""`kubectl vpplb dataplane`: the VPP of each node, or all of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

import click

from vpplb.cli.tables import TableCell, TableRow, colour_state, paint_cell, write_table
from vpplb.cli.terminal import CommandError, count_of
from vpplb.cli.verbs.agents import AgentReader, VipFound, VipPackets
from vpplb.cli.verbs.completion import complete_dataplanes
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import output, problems_only, usual_flags
from vpplb.cli.verbs.nodes import (
    NodeStatus,
    age_dataplane,
    age_dataplanes,
    read_heartbeats,
    read_node_status,
)
from vpplb.cli.verbs.output import OutputFormat, format_age, format_percent, print_output
from vpplb.cli.verbs.session import (
    UsualFlags,
    VerbFailure,
    VerbSession,
    describe_error,
    read_if_allowed,
)
from vpplb.kube.api_types import JsonObject, KubeError, key_of
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKind
from vpplb.model.printable import make_printable
from vpplb.resources.raw_fields import spec_of

NODES = [
    "NODE", "VERSION", "CONNECTED", "SYNCED", "FRONTENDS", "OTHERS", "CHANGED", "HEARTBEAT",
    "DIRECT",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLine:
    """A server of a VIP. `share` is its true part of new flows, `due` that of its weight."""

    address: str
    backend: str
    weight: int
    buckets: int | None
    share: float | None
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VipLine:
    """A VIP as VPP has it; `frontend` is empty where it is none of ours."""

    vip: str
    frontend: str
    encap: str
    flow_table_length: int
    packets: VipPackets | None
    servers: tuple[ServerLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataplaneDetail:
    """A node's VPP by its Dataplane, and by its agent; `trouble` says why that tells nothing.

    `packets_unknown` says why only the packets are not known.
    """

    dataplane: NodeStatus
    trouble: str
    packets_unknown: str
    vips: tuple[VipLine, ...]


@click.command(
    name="dataplane",
    cls=VerbCommand,
    short_help="Show the VPP of each node, or all of one: packets, true shares.",
)
@click.argument("node", required=False, shell_complete=complete_dataplanes)
@problems_only
@click.option(
    "--agent-namespace", default="", help="Namespace of the agents' pods.  [default: any]"
)
@click.option("--agent-url", default="", help="Ask the agent there, such as http://10.0.0.5:9091.")
@usual_flags(selector=True)
@output
def dataplane_command(
    flags: UsualFlags,
    node: str | None,
    agent_namespace: str,
    agent_url: str,
    problems: bool,
    output: OutputFormat,
) -> None:
    """Show the VPP of each node as its Dataplane tells, or with NODE what that VPP does.

    DIRECT names the operator from which decisions come directly; without one they come by the API
    server alone.

    With NODE its agent is asked, which reads VPP at that moment: for each VIP the packets by what
    became of them, and for each server its true share of new flows beside the share due to its
    weight. That needs the right to `get` `pods/proxy`; an agent that is no pod is asked directly
    at --agent-url.

    \b
    Packets:    existing    of flows that are remembered
                first       begin a flow
                untracked   found no room to be remembered
                no server   came while there was none: they are lost
    \b
    Examples:   kubectl vpplb dataplane
                kubectl vpplb dataplane worker-1
                kubectl vpplb dataplane router-1 --agent-url http://router-1:9091 -o json
    """
    if node is None:
        if agent_url or agent_namespace:
            raise click.UsageError("--agent-url and --agent-namespace are for one NODE")
        nodes = flags.run_work(_read_nodes)
        shown = [one for one in nodes if one.problems or not problems]
        print_output(output, shown, lambda: _nodes_table(shown, SystemClock().now(), of=len(nodes)))
        return
    if problems or flags.labels:
        raise click.UsageError("--problems and -l choose among all: give no NODE")
    name = node
    detail = flags.run_work(lambda session: _read_detail(session, name, agent_namespace, agent_url))
    print_output(output, detail, lambda: _detail_text(detail, SystemClock().now()))
    if detail.trouble:
        raise CommandError(detail.trouble)


async def _read_nodes(session: VerbSession) -> list[NodeStatus]:
    beats = await read_if_allowed(read_heartbeats(session), {}, "heartbeats are")
    found = await session.select_objects(ObjectKind.DATAPLANE)
    now = session.client.clock or SystemClock().now()
    nodes = []
    for raw in found:
        beat = beats.get(raw["metadata"]["name"])
        nodes.append(read_node_status(age_dataplane(raw, beat, now), beat))
    return sorted(nodes, key=lambda one: one.node)


async def _read_detail(
    session: VerbSession, node: str, namespace: str, url: str
) -> DataplaneDetail:
    [raw] = await age_dataplanes(session, [await session.get_object(ObjectKind.DATAPLANE, node)])
    dataplane = read_node_status(raw, None)
    try:
        found = await AgentReader(session=session, namespace=namespace, url=url).read_vips(node)
    except (KubeError, VerbFailure) as error:
        return DataplaneDetail(
            dataplane=dataplane, trouble=describe_error(error), packets_unknown="", vips=()
        )
    names: dict[tuple[str, str], str] = {}
    everywhere = VerbSession(client=session.client, namespace="")
    for backend in await read_if_allowed(
        everywhere.list_objects(ObjectKind.BACKEND), [], "names of servers are"
    ):
        key, address = key_of(backend), _read_address(backend)
        names[key.namespace, address] = key.name
    return DataplaneDetail(
        dataplane=dataplane,
        trouble="",
        packets_unknown=found.packets_unknown,
        vips=tuple(_vip_line(vip, names) for vip in found.vips),
    )


def _read_address(backend: JsonObject) -> str:
    """Return the address of a Backend as VPP spells it."""
    written = str(spec_of(backend).get("address") or "")
    try:
        return str(ip_address(written))
    except ValueError:
        return written


def _vip_line(found: VipFound, names: Mapping[tuple[str, str], str]) -> VipLine:
    namespace = found.frontend.partition("/")[0]
    total = sum(server.weight for server in found.servers)
    return VipLine(
        vip=found.vip,
        frontend=found.frontend,
        encap=found.encap,
        flow_table_length=found.flow_table_length,
        packets=found.packets,
        servers=tuple(
            ServerLine(
                address=one.address,
                backend=names.get((namespace, one.address), ""),
                weight=one.weight,
                buckets=one.buckets,
                share=None if one.buckets is None else one.buckets / found.flow_table_length,
                due=one.weight / total if total else 0.0,
            )
            for one in found.servers
        ),
    )


def _nodes_table(nodes: Sequence[NodeStatus], now: datetime, *, of: int) -> str:
    if not nodes and of:
        return f"no problems: {count_of(of, 'node')}"
    if not nodes:
        return "there are no dataplanes: no agent has run yet"
    rows: list[TableRow] = [_node_row(one, now) for one in nodes]
    return write_table([*NODES, "PROBLEM"], rows)


def _node_row(one: NodeStatus, now: datetime) -> TableRow:
    return [
        one.node,
        one.version,
        colour_state(one.connected),
        colour_state(one.synced),
        f"{one.programmed}/{one.total}",
        str(one.others),
        format_age(one.last_change, now),
        format_age(one.heartbeat, now),
        one.direct,
        TableCell(str(one.problems[0]), "yellow") if one.problems else TableCell(""),
    ]


def _detail_text(detail: DataplaneDetail, now: datetime) -> str:
    one = detail.dataplane
    state = (
        "connected" if one.connected == "True" else paint_cell(TableCell("not connected", "red"))
    )
    since = f" for {format_age(one.vpp_since, now)}" if one.vpp_since else ""
    version = make_printable(one.version or "?")
    head = f"{make_printable(one.node)}  VPP {version} (pid {one.pid}) {state}{since}"
    count = f"{one.programmed}/{one.total} frontends programmed, {one.others} VIPs of others"
    parts = [f"{head}\n{count}\n{_road_text(one, now)}"]
    if one.problems:
        rows: list[TableRow] = [[TableCell(p.reason, "yellow"), p.message] for p in one.problems]
        parts.append(write_table(["PROBLEM", "MESSAGE"], rows))
    if detail.packets_unknown:
        parts.append(make_printable(f"packets are not known: {detail.packets_unknown}"))
    if not detail.trouble:
        parts += [_vip_text(line) for line in detail.vips] or ["VPP has no VIPs"]
    return "\n\n".join(parts)


def _road_text(one: NodeStatus, now: datetime) -> str:
    if not one.direct:
        return "decisions come by the API server alone"
    since = f" for {format_age(one.direct_since, now)}" if one.direct_since else ""
    return f"decisions come directly from {make_printable(one.direct)}{since}"


def _vip_text(line: VipLine) -> str:
    whose = make_printable(line.frontend) or paint_cell(TableCell("not ours", "yellow"))
    settings = make_printable(f"{line.encap} table {line.flow_table_length}")
    parts = [f"{make_printable(line.vip)}  {whose}  {settings}"]
    if line.packets is not None:
        parts.append(_packets_text(line.packets))
    rows: list[TableRow] = [
        [
            one.address,
            one.backend,
            str(one.weight),
            "?" if one.buckets is None else str(one.buckets),
            format_percent(one.share),
            format_percent(one.due),
        ]
        for one in line.servers
    ]
    header = ["SERVER", "BACKEND", "WEIGHT", "BUCKETS", "SHARE", "DUE"]
    parts.append(write_table(header, rows, indent="  ") if rows else "  no servers")
    return "\n".join(parts)


def _packets_text(packets: VipPackets) -> str:
    lost = TableCell(f"{packets.no_server} no server", "red" if packets.no_server else None)
    return (
        f"  packets: {packets.existing} existing, {packets.first} first,"
        f" {packets.untracked} untracked, {paint_cell(lost)}"
    )

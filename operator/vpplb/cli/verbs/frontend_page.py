"""All that explains one frontend, as `status` shows it; apart, since a list of them needs none."""

import asyncio
from dataclasses import replace
from datetime import datetime

from vpplb.cli.tables import TableCell, TableRow, colour_state, paint_cell, write_table
from vpplb.cli.verbs.frontend_detail import FrontendDetail, MemberLine, read_frontend_detail
from vpplb.cli.verbs.frontends import FrontendLine, key_by_name
from vpplb.cli.verbs.nodes import age_dataplanes
from vpplb.cli.verbs.output import format_age, format_percent
from vpplb.cli.verbs.session import VerbSession, read_if_allowed
from vpplb.cli.verbs.silence import age_frontend, read_silence
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKind
from vpplb.model.printable import make_printable


async def read_page(session: VerbSession, name: str) -> FrontendDetail:
    raw = await session.get_object(ObjectKind.FRONTEND, name)
    inside = session._replace(namespace=key_of(raw).namespace)
    events, nodes, backends, silence_of = await asyncio.gather(
        read_if_allowed(_read_events(inside, name), [], "events are"),
        read_if_allowed(_read_nodes(inside), None, "nodes are"),
        inside.list_objects(ObjectKind.BACKEND),
        read_silence(inside),
    )
    detail = read_frontend_detail(raw, key_by_name(backends), nodes, events)
    return replace(detail, frontend=age_frontend(detail.frontend, silence_of(inside.namespace)))


async def _read_nodes(session: VerbSession) -> list[JsonObject]:
    return await age_dataplanes(session, await session.list_objects(ObjectKind.DATAPLANE))


async def _read_events(session: VerbSession, frontend: str) -> list[JsonObject]:
    about = f"regarding.kind=Frontend,regarding.name={frontend}"
    kind, namespace = ObjectKind.EVENT, session.namespace
    return (await session.client.list_objects(kind, namespace, fields=about)).items


def write_page(detail: FrontendDetail, now: datetime) -> str:
    parts = [
        _head_text(detail.frontend),
        _problems_table(detail.frontend, now),
        _deviations_table(detail, now),
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
    rows: list[TableRow] = [
        [TableCell(one.reason, "yellow"), format_age(one.since, now), one.message]
        for one in line.problems
    ]
    return write_table(["PROBLEM", "SINCE", "MESSAGE"], rows)


def _deviations_table(detail: FrontendDetail, now: datetime) -> str:
    rows: list[TableRow] = [
        [one.field, str(one.value).lower(), str(one.files).lower(), format_age(one.at, now), one.by]
        for one in detail.deviations
    ]
    return write_table(["BY HAND", "IS", "FILES", "SINCE", "BY"], rows) if rows else ""


def _pools_table(detail: FrontendDetail, now: datetime) -> str:
    header = ["POOL", "BACKEND", "ADDRESS", "STATE", "SINCE", "WEIGHT", "SHARE", "DUE"]
    return write_table(
        [*header, "CODE", "DETAIL"], [_member_row(one, now) for one in detail.members]
    )


def _member_row(one: MemberLine, now: datetime) -> TableRow:
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
    rows: list[TableRow] = [
        [one.node, colour_state(one.state), one.revision, one.message] for one in detail.nodes
    ]
    return write_table(["NODE", "STATE", "REVISION", "MESSAGE"], rows)


def _history_table(detail: FrontendDetail, now: datetime) -> str:
    if not detail.history:
        return ""
    rows: list[TableRow] = [[format_age(one.at, now), one.what, one.text] for one in detail.history]
    return write_table(["AGO", "WHAT", "HAPPENED"], rows)

"""A frontend with all that may explain it: its members, its nodes, and what happened last."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from vpplb.acting.spec_edits import read_pools
from vpplb.cli.verbs.frontends import FrontendLine, read_frontend_line, share_by_server
from vpplb.cli.verbs.nodes import find_idleness
from vpplb.cli.verbs.object_problems import FieldDeviation, read_deviations
from vpplb.cli.verbs.shown_status import (
    ShownBackend,
    find_shown,
    read_conditions,
    read_shown_backend,
    read_shown_frontend,
    read_shown_node,
)
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.health import HealthState
from vpplb.resources.adjustable import DEFAULT_WEIGHT
from vpplb.resources.raw_fields import find_time, node_labels, read_selector, spec_of

HISTORY = 10
"""Lines of what happened last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLine:
    """A backend in a pool. `share` is the exact part of new flows that it gets, `due` its due."""

    pool: str
    active: bool
    backend: str
    address: str
    state: str
    code: str
    detail: str
    since: datetime | None
    weight: int
    effective_weight: int
    share: float | None
    due: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLine:
    """A node that shall carry the VIP: programmed, pending, failed, gone or paused, and why."""

    node: str
    state: str
    message: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A transition of a backend, or an event of the frontend."""

    at: datetime
    what: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendDetail:
    """A frontend with all that may explain it; `nodes` None: not known; `history` newest first.

    `deviations` are its own and those of its backends, whose fields are `BACKEND.field`.
    """

    frontend: FrontendLine
    members: tuple[MemberLine, ...]
    nodes: tuple[NodeLine, ...] | None
    history: tuple[HistoryLine, ...]
    deviations: tuple[FieldDeviation, ...]


def read_frontend_detail(
    raw: JsonObject,
    backends: Mapping[str, JsonObject],
    dataplanes: Iterable[JsonObject] | None,
    events: Iterable[JsonObject],
) -> FrontendDetail:
    """Read a Frontend with its namespace's Backends by name, all nodes if known, and its events."""
    line = read_frontend_line(raw)
    names = {one["name"] for pool in read_pools(raw) for one in pool["backends"]}
    history = [
        *_event_lines(events),
        *_transition_lines(backends[n] for n in names if n in backends),
    ]
    return FrontendDetail(
        frontend=line,
        members=tuple(_member_lines(raw, line, backends)),
        nodes=None if dataplanes is None else tuple(_node_lines(raw, line, dataplanes)),
        history=tuple(sorted(history, key=lambda one: one.at, reverse=True)[:HISTORY]),
        deviations=(*line.deviations, *_backend_deviations(names, backends)),
    )


def _backend_deviations(
    names: Iterable[str], backends: Mapping[str, JsonObject]
) -> Iterator[FieldDeviation]:
    for name in sorted(names):
        for one in read_deviations(backends.get(name, {})):
            yield replace(one, field=f"{name}.{one.field}")


# --- members ----------------------------------------------------------------------------------


def _member_lines(
    raw: JsonObject, line: FrontendLine, backends: Mapping[str, JsonObject]
) -> Iterator[MemberLine]:
    status = read_shown_frontend(raw)
    decided = {(one.pool, one.name): one for one in status.members}
    parts = share_by_server(status.vip) if status.vip else {}
    for pool in read_pools(raw):
        for member in pool["backends"]:
            name = member["name"]
            one = decided.get((pool["name"], name))
            health = _read_health(backends.get(name))
            serves = one is not None and one.effective_weight > 0
            share, due = parts.get(one.address, (None, None)) if one else (None, None)
            yield MemberLine(
                pool=pool["name"],
                active=pool["name"] == line.active_pool,
                backend=name,
                address=(one.address if one else None) or _read_address(backends.get(name)),
                state=_choose_state(one.state if one else None, health, backends.get(name)),
                code=health.code if health else "",
                detail=_describe_health(health, backends.get(name)),
                since=health.since if health else None,
                weight=member.get("weight", DEFAULT_WEIGHT),
                effective_weight=one.effective_weight if one else 0,
                share=share if serves else (0.0 if one else None),
                due=due if serves else (0.0 if one else None),
            )


def _read_health(raw: JsonObject | None) -> ShownBackend | None:
    return None if raw is None else read_shown_backend(raw)


def _read_address(raw: JsonObject | None) -> str:
    return "" if raw is None else str(spec_of(raw).get("address") or "")


def _choose_state(
    decided: HealthState | None, health: ShownBackend | None, raw: JsonObject | None
) -> str:
    """Take the state that the frontend was decided by, since weights follow from that one."""
    if raw is None:
        return "missing"
    return (decided or (health.state if health else HealthState.UNKNOWN)).value


def _describe_health(health: ShownBackend | None, raw: JsonObject | None) -> str:
    if raw is None or health is None:
        return "there is no such Backend"
    accepted = find_shown(health.conditions, "Accepted")
    if accepted is not None and accepted.status == "False":
        return f"{accepted.reason}: {accepted.message}"
    held = "was up before, goes on serving until its new check has a verdict" if health.held else ""
    return health.detail or held


# --- nodes ------------------------------------------------------------------------------------


def _node_lines(
    raw: JsonObject, line: FrontendLine, dataplanes: Iterable[JsonObject]
) -> Iterator[NodeLine]:
    selector = read_selector(raw) or {}
    frontend = str(key_of(raw))
    programmed = find_shown(read_conditions(raw), "Programmed")
    all_have = programmed is not None and programmed.status == "True"
    for dataplane in sorted(dataplanes, key=lambda one: str(one["metadata"]["name"])):
        if selector.items() <= node_labels(dataplane["metadata"]).items():
            yield _node_line(dataplane, frontend, line.revision, all_have=all_have)
        elif has := read_shown_node(dataplane).programmed.get(frontend):
            name = dataplane["metadata"]["name"]
            yield NodeLine(node=name, state="leaving", message="selected no more", revision=has)


def _node_line(dataplane: JsonObject, frontend: str, wanted: str, *, all_have: bool) -> NodeLine:
    """Say what a node has; where all have what is wanted, its own status may be some seconds late.

    What it has acknowledged directly, the Frontend shows first.
    """
    status = read_shown_node(dataplane)
    has = status.programmed.get(frontend, "")
    if all_have and status.direct:
        has = wanted
    failed = status.errors.get(frontend, "")
    idleness = find_idleness(dataplane)
    if idleness and idleness.state == "gone":
        state, message = idleness
    elif failed:
        state, message = "failed", failed
    elif has and has == wanted:
        state, message = "programmed", ""
    elif idleness:
        state, message = idleness
    else:
        state, message = "pending", f"has {has or 'nothing'}, wanted is {wanted or 'nothing'}"
    return NodeLine(node=dataplane["metadata"]["name"], state=state, message=message, revision=has)


# --- history ----------------------------------------------------------------------------------


def _transition_lines(backends: Iterable[JsonObject]) -> Iterator[HistoryLine]:
    for raw in backends:
        for one in read_shown_backend(raw).transitions:
            why = " ".join(part for part in (one.code, one.detail) if part)
            text = f"{one.before} → {one.after}" + (f"  {why}" if why else "")
            yield HistoryLine(at=one.at, what=raw["metadata"]["name"], text=text)


def _event_lines(events: Iterable[JsonObject]) -> Iterator[HistoryLine]:
    for event in events:
        at = find_time(event.get("eventTime")) or find_time(event.get("deprecatedLastTimestamp"))
        if at is not None:
            yield HistoryLine(at=at, what=event.get("reason") or "", text=event.get("note") or "")

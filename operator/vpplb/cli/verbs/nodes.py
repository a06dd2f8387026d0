"""Nodes as their Dataplanes tell, and the heartbeats of their agents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from vpplb.cli.verbs.frontends import FrontendLine
from vpplb.cli.verbs.object_problems import ObjectProblem, find_problems
from vpplb.cli.verbs.session import VerbSession, read_if_allowed
from vpplb.cli.verbs.shown_status import (
    ShownCondition,
    find_shown,
    read_conditions,
    read_shown_node,
)
from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.probing_silence import ALLOWANCE
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKind
from vpplb.model.printable import join_few
from vpplb.resources.raw_fields import find_time, node_labels, read_selector, spec_of

_NOT_OURS = "metadata.namespace!=kube-node-lease"
"""The kubelets' leases are named as their nodes too."""
GONE_AFTER = timedelta(seconds=30) + ALLOWANCE
"""How old an agent's last heartbeat is when it counts as gone, by the API server's clock."""
_FEW = 3
"""How many nodes are named in one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node's VPP by its Dataplane. `connected` and `synced` are True, False or Unknown.

    `direct` is the operator from which decisions come directly, empty: by the API server alone.
    """

    node: str
    version: str
    pid: int | None
    vpp_since: datetime | None
    connected: str
    synced: str
    paused: bool
    programmed: int
    total: int
    others: int
    direct: str
    direct_since: datetime | None
    last_change: datetime | None
    heartbeat: datetime | None
    problems: tuple[ObjectProblem, ...]


class NodeIdleness(NamedTuple):
    """Why a node changes nothing in its VPP: `state` is gone or paused, `why` is in words."""

    state: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleNode:
    """A node that changes nothing in its VPP, with its labels, and why in words."""

    labels: Mapping[str, str]
    says: str


def read_node_status(raw: JsonObject, heartbeat: datetime | None) -> NodeStatus:
    status = read_shown_node(raw)
    paused = bool(spec_of(raw).get("paused"))
    problems = find_problems(raw, status.conditions, status.odd)
    if paused:
        hands_off = ObjectProblem(
            condition="", reason="Paused", message="hands off this node's VPP"
        )
        problems = (hands_off, *problems)
    return NodeStatus(
        node=raw["metadata"]["name"],
        version=status.version,
        pid=status.pid,
        vpp_since=status.vpp_since,
        connected=_condition_status(find_shown(status.conditions, "Connected")),
        synced=_condition_status(find_shown(status.conditions, "Synced")),
        paused=paused,
        programmed=status.programmed_count,
        total=status.total,
        others=status.others,
        direct=status.direct,
        direct_since=status.direct_since,
        last_change=status.last_change,
        heartbeat=heartbeat,
        problems=problems,
    )


def list_idle_nodes(dataplanes: Iterable[JsonObject]) -> list[IdleNode]:
    """Give the nodes that change nothing, in order of name."""
    found = []
    for raw in sorted(dataplanes, key=lambda one: str(one["metadata"]["name"])):
        if idleness := find_idleness(raw):
            says = f"node {raw['metadata']['name']}: {idleness.why}"
            found.append(IdleNode(labels=node_labels(raw["metadata"]), says=says))
    return found


def find_idleness(raw: JsonObject) -> NodeIdleness | None:
    """Say why a node changes nothing in its VPP; None: it does."""
    connected = find_shown(read_conditions(raw), "Connected")
    if connected is None:
        return NodeIdleness("gone", "no status")
    if connected.status != "True":
        return NodeIdleness("gone", connected.message or connected.reason)
    if spec_of(raw).get("paused"):
        return NodeIdleness("paused", "the Dataplane is paused: hands off its VPP")
    return None


def explain_pending(raw: JsonObject, line: FrontendLine, idle: Sequence[IdleNode]) -> FrontendLine:
    """Add to what a Frontend waits for why the nodes that it waits for do nothing."""
    selector = read_selector(raw) or {}
    says = [one.says for one in idle if selector.items() <= one.labels.items()]

    def explain(problem: ObjectProblem) -> ObjectProblem:
        if not says or not problem.is_pending:
            return problem
        return replace(problem, message=f"{problem.message}; {join_few(says, '; ', most=_FEW)}")

    return replace(line, problems=tuple(map(explain, line.problems)))


def _condition_status(condition: ShownCondition | None) -> str:
    return condition.status if condition else "Unknown"


async def age_dataplanes(session: VerbSession, found: Iterable[JsonObject]) -> list[JsonObject]:
    """Return Dataplanes as they are to be shown: of an agent whose lease has run out nobody knows.

    An operator writes that into them as well; this is for where none is left.
    """
    beats = await read_if_allowed(read_heartbeats(session), {}, "heartbeats are")
    now = session.client.clock or SystemClock().now()
    return [age_dataplane(raw, beats.get(raw["metadata"]["name"]), now) for raw in found]


def age_dataplane(raw: JsonObject, heartbeat: datetime | None, now: datetime) -> JsonObject:
    """Return one likewise; `heartbeat` None: nothing is known of the lease, and so it stays."""
    connected = find_shown(read_conditions(raw), "Connected")
    if heartbeat is None or now <= heartbeat + GONE_AFTER or connected is None:
        return raw
    said = f"as of {heartbeat:%Y-%m-%dT%H:%M:%SZ}: its agent has not renewed its lease since"
    gone = {"type": "Connected", "status": "Unknown", "reason": "AgentGone", "message": said}
    others = [one for one in raw["status"]["conditions"] if one["type"] != gone["type"]]
    unknown = [{**one, "status": "Unknown"} if one["type"] == "Synced" else one for one in others]
    return {**raw, "status": {**raw["status"], "conditions": [gone, *unknown]}}


async def read_heartbeats(session: VerbSession) -> dict[str, datetime]:
    """Return when each agent renewed its lease last, by node, wherever the leases are."""
    beats: dict[str, datetime] = {}
    for lease in (await session.client.list_objects(ObjectKind.LEASE, fields=_NOT_OURS)).items:
        spec, name = lease.get("spec") or {}, lease["metadata"]["name"]
        holder = str(spec.get("holderIdentity") or "")
        renewed = find_time(spec.get("renewTime"))
        if renewed is not None and (holder == name or holder.startswith(f"{name}_")):
            beats[name] = renewed
    return beats

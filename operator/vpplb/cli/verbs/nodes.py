"""Nodes as their Dataplanes tell, and the heartbeats of their agents."""

from dataclasses import dataclass
from datetime import datetime

from vpplb.cli.verbs.session import VerbSession
from vpplb.cli.verbs.shown_status import ShownCondition, find_shown, read_shown_node
from vpplb.cli.verbs.statuses import ObjectProblem, find_problems
from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKind
from vpplb.resources.raw_fields import parse_time, spec_of

_NOT_OURS = "metadata.namespace!=kube-node-lease"
"""The kubelets' leases are named as their nodes too."""


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


def _condition_status(condition: ShownCondition | None) -> str:
    return condition.status if condition else "Unknown"


async def read_heartbeats(session: VerbSession) -> dict[str, datetime]:
    """Return when each agent renewed its lease last, by node, wherever the leases are."""
    beats: dict[str, datetime] = {}
    for lease in (await session.console.list_objects(ObjectKind.LEASE, fields=_NOT_OURS)).items:
        spec, name = lease.get("spec") or {}, lease["metadata"]["name"]
        holder = str(spec.get("holderIdentity") or "")
        if (holder == name or holder.startswith(f"{name}_")) and spec.get("renewTime"):
            beats[name] = parse_time(spec["renewTime"])
    return beats

"""Nodes as their Dataplanes tell, and the heartbeats of their agents."""

from dataclasses import dataclass
from datetime import datetime

from vpplb.cli.verbs.session import VerbSession
from vpplb.cli.verbs.statuses import ObjectProblem, find_problems
from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKind
from vpplb.resources.conditions import StatusCondition, find_condition
from vpplb.resources.dataplane import DataplaneStatus
from vpplb.resources.fields import parse_time
from vpplb.resources.stored import read_status, spec_of

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
    status = read_status(raw, DataplaneStatus)
    vpp, frontends = status.vpp, status.frontends
    paused = bool(spec_of(raw).get("paused"))
    problems = find_problems(raw, DataplaneStatus)
    if paused:
        hands_off = ObjectProblem(
            condition="", reason="Paused", message="hands off this node's VPP"
        )
        problems = (hands_off, *problems)
    return NodeStatus(
        node=raw["metadata"]["name"],
        version=(vpp.version if vpp else None) or "",
        pid=vpp.pid if vpp else None,
        vpp_since=vpp.since if vpp else None,
        connected=_condition_status(find_condition(status.conditions, "Connected")),
        synced=_condition_status(find_condition(status.conditions, "Synced")),
        paused=paused,
        programmed=frontends.programmed if frontends else 0,
        total=frontends.total if frontends else 0,
        others=status.others or 0,
        direct=status.direct.operator if status.direct else "",
        direct_since=status.direct.since if status.direct else None,
        last_change=status.last_change,
        heartbeat=heartbeat,
        problems=problems,
    )


def _condition_status(condition: StatusCondition | None) -> str:
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

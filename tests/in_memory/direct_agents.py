"""An operator that leads, and agents at the other end of its direct road."""

from collections.abc import Mapping

from data.manifests import backend, frontend, health_check, manifest
from data.objects import key
from fakes.agent_connection import FakeAgentConnection
from in_memory.operator import LocalOperator
from vpplb.controller.direct_publisher import ElectionState
from vpplb.direct.messages import ProgrammedReport
from vpplb.kube.api_types import cluster_key
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.names import ObjectKind

LEADING = ElectionState(role=LeaderRole.LEADING)


async def lead(operator: LocalOperator, *nodes: str, **labels: str) -> None:
    """Serve one frontend that is up, on nodes that are known, and lead."""
    for node in nodes:
        node_is(operator, node, None, **labels)
    check = {"healthCheckRef": {"name": "check"}}
    operator.apply(health_check(), backend("a", "192.0.2.1", **check), frontend())
    operator.core.publisher.set_election(LEADING)
    await operator.settle()
    operator.verdict("a", up=True)
    await operator.settle()


def node_is(
    operator: LocalOperator, node: str, programmed: Mapping[str, str] | None = None, **labels: str
) -> None:
    """Let a node's Dataplane say which labels it has, and what."""
    connected = [{"type": "Connected", "status": "True", "reason": "Connected"}]
    status = {"conditions": connected, "programmed": dict(programmed or {})}
    operator.server.objects.pop((ObjectKind.DATAPLANE, cluster_key(node)), None)
    operator.apply(manifest("Dataplane", node, {}, labels=labels) | {"status": status})


def connect(operator: LocalOperator, node: str) -> FakeAgentConnection:
    connection = FakeAgentConnection(node, operator.core.publisher)
    operator.core.publisher.on_connect(connection)
    return connection


def report(operator: LocalOperator, agent: FakeAgentConnection, **programmed: str) -> None:
    """Let an agent report revisions by frontend."""
    told = {key(name): revision for name, revision in programmed.items()}
    operator.core.publisher.on_message(agent, ProgrammedReport(programmed=told))


def revision_of(operator: LocalOperator, name: str = "web") -> str:
    dataplane = operator.status(ObjectKind.FRONTEND, name)["dataplane"]
    assert isinstance(dataplane, dict)
    return str(dataplane["revision"])

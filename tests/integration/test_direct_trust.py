"""Who may speak by the direct road, on a real API server with the chart's rights."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane
from cluster.kubectl import Kubectl
from fakes.agent_handler import FakeAgentHandler
from lab.direct_server import serving
from lab.raw_agent import connect_agent
from lab.waiting import eventually
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.controller import operator_directory
from vpplb.controller.operator_directory import OperatorDirectory
from vpplb.controller.token_keys import fetch_issuer_keys
from vpplb.direct.client import ConnectedLeader, OperatorConnection, OperatorConnections
from vpplb.direct.messages import (
    AUDIENCE,
    AgentHello,
    DecisionBatch,
    OperatorAddress,
    OperatorRole,
    VipsRequest,
)
from vpplb.direct.operator_directory import PREFIX, dump_operator, name_annotation
from vpplb.direct.server import RefusalReason
from vpplb.direct.tokens import AgentIdentity, TokenRefused, TokenVerifier
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.leader_election import LeaderElector, WriteFence
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

AGENT = ObjectKey(SYSTEM_NAMESPACE, "vpplb-agent")
RELEASE = ReleaseIdentity(SYSTEM_NAMESPACE)
NODE, POD = "trusted-node", "trusted-agent"
BYSTANDER = "bystander"
"""A ServiceAccount that has nothing to do with vpplb."""


@pytest.fixture
async def operator(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """Give the API server as the operator's ServiceAccount sees it."""
    async with await KubeClient.from_config(control_plane.operator_kubeconfig) as client:
        yield client


@pytest.fixture
def verifier(operator: KubeClient) -> TokenVerifier:
    return TokenVerifier(fetch_keys=partial(fetch_issuer_keys, operator), account=AGENT)


# --- tokens ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def system(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """Give kubectl in the namespace of the release, with a node that has an agent's pod."""
    system = control_plane.kubectl.within(SYSTEM_NAMESPACE)
    control_plane.kubectl.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}},
    )
    system.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": BYSTANDER}})
    spec = {
        "nodeName": NODE,
        "serviceAccountName": AGENT.name,
        "containers": [{"name": "agent", "image": "none"}],
    }
    system.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": spec})
    yield system
    system("delete", "pod", POD, "--force", "--grace-period=0")
    system("delete", "serviceaccount", BYSTANDER)
    control_plane.kubectl("delete", "node", NODE)


def make_token(
    system: Kubectl, *bound: str, audience: str = AUDIENCE, account: str = AGENT.name
) -> str:
    """Ask the API server for a token; an empty audience is the API server's own."""
    asked = (f"--audience={audience}",) if audience else ()
    return system("create", "token", account, *asked, *bound).strip()


OF_POD = ("--bound-object-kind=Pod", f"--bound-object-name={POD}")
OF_NODE = ("--bound-object-kind=Node", f"--bound-object-name={NODE}")


async def test_the_token_of_an_agents_pod_lets_it_in_on_its_own_node_alone(
    system: Kubectl, verifier: TokenVerifier
) -> None:
    token = make_token(system, *OF_POD)
    assert await verifier.verify_token(token, NODE) == AgentIdentity(node=NODE, pod=POD)
    with pytest.raises(TokenRefused, match=f"an agent on node {NODE}, not on another") as refused:
        await verifier.verify_token(token, "another")
    assert refused.value.status == 403


async def test_a_token_that_is_bound_to_a_node_names_it(
    system: Kubectl, verifier: TokenVerifier
) -> None:
    token = make_token(system, *OF_NODE)
    assert await verifier.verify_token(token, NODE) == AgentIdentity(node=NODE)


@pytest.mark.parametrize(
    ("bound", "others", "status", "why"),
    [
        ((), {}, 403, "names no node"),
        (OF_NODE, {"audience": "another"}, 401, "another audience than vpplb-direct"),
        (OF_NODE, {"account": "vpplb-operator"}, 403, "and agents are"),
    ],
    ids=["no-node", "audience", "account"],
)
async def test_what_else_the_api_server_makes_is_refused(
    system: Kubectl,
    verifier: TokenVerifier,
    bound: tuple[str, ...],
    others: dict[str, str],
    status: int,
    why: str,
) -> None:
    with pytest.raises(TokenRefused, match=why) as refused:
        await verifier.verify_token(make_token(system, *bound, **others), NODE)
    assert refused.value.status == status


async def test_the_token_for_the_api_server_is_none_for_us(
    control_plane: ControlPlane, verifier: TokenVerifier
) -> None:
    """What a pod is given by itself, and any workload may steal from a log."""
    system = control_plane.kubectl.within(SYSTEM_NAMESPACE)
    with pytest.raises(TokenRefused, match="another audience"):
        await verifier.verify_token(system("create", "token", AGENT.name).strip(), NODE)


# --- over the wire ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "bound", "others", "status"),
    [
        (NODE, OF_POD, {"audience": "another"}, 401),
        (NODE, OF_POD, {"audience": ""}, 401),
        (NODE, OF_NODE, {"account": "vpplb-operator"}, 403),
        (NODE, OF_NODE, {"account": BYSTANDER}, 403),
        ("another", OF_POD, {}, 403),
        ("another", OF_NODE, {}, 403),
        (NODE, (), {}, 403),
    ],
    ids=[
        "another audience",
        "the API server's audience",
        "the operator's account",
        "any pod's account",
        "another node than the pod's",
        "another node than the token's",
        "no node",
    ],
)
async def test_a_token_that_is_no_agents_of_this_node_opens_no_connection(
    system: Kubectl,
    verifier: TokenVerifier,
    node: str,
    bound: tuple[str, ...],
    others: dict[str, str],
    status: int,
) -> None:
    token = make_token(system, *bound, **others)
    async with serving(FakeAgentHandler(), verify_token=verifier.verify_token) as server:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect_agent(server.listen_port, node, token=token):
                pass
        assert refused.value.status == status
        assert server.refused == {RefusalReason.TOKEN: 1}
        assert server.agent_count == 0
        own = make_token(system, *OF_POD)
        async with connect_agent(server.listen_port, NODE, token=own) as agent:
            assert isinstance(await agent.hear(), OperatorRole), "its own token opens one"


class DirectListener:
    """Implements `direct.client.OperatorListener`: `leader` is who is heard."""

    def __init__(self) -> None:
        self.leader: ConnectedLeader | None = None

    def on_term(self, term: int) -> None:
        pass

    def on_leader(self, leader: ConnectedLeader | None) -> None:
        self.leader = leader

    def on_batch(self, batch: DecisionBatch) -> None:
        pass

    def on_request(self, request: VipsRequest, connection: OperatorConnection) -> None:
        pass

    def on_operators(self, operators: Sequence[OperatorAddress]) -> None:
        pass


async def test_an_agent_that_reads_the_lease_and_shows_its_token_hears_the_leader(
    control_plane: ControlPlane,
    system: Kubectl,
    operator: KubeClient,
    verifier: TokenVerifier,
    lease: ObjectKey,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    token_file = tmp_path / "token"
    token_file.write_text(make_token(system, *OF_POD))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serving(FakeAgentHandler(), verify_token=verifier.verify_token)
        )
        own = OperatorAddress(
            identity="op_1",
            address=f"127.0.0.1:{server.listen_port}",
            fingerprint=server.certificate.fingerprint,
        )
        publishing = PublishingOperator(operator, lease, own)
        stack.push_async_callback(publishing.end)
        agent = await stack.enter_async_context(
            await KubeClient.from_config(control_plane.agent_kubeconfig)
        )
        lookup = OperatorLookup(client=agent, lease=lease, release=RELEASE)
        await eventually(lambda: publishing.directory.is_published, "the address is published")
        operators = await lookup.find_operators()
        heard = {NODE: DirectListener(), "another": DirectListener()}
        connections = dict[str, OperatorConnections]()
        for node, listener in heard.items():
            agents = connections[node] = OperatorConnections(
                node, token_file, listener, lambda: AgentHello(version="1.0")
            )
            agents.set_operators(operators)
            running = asyncio.create_task(agents.run())
            stack.push_async_callback(asyncio.wait, [running])
            stack.callback(running.cancel)
        await eventually(lambda: heard[NODE].leader is not None, "the leader is heard")
        await eventually(lambda: server.refused[RefusalReason.TOKEN] > 2, "another node is refused")
        assert heard["another"].leader is None
        assert server.agent_count == 1
        why = f"the token is of an agent on node {NODE}, not on another"
        [refused] = connections["another"].connections.values()
        assert refused.trouble == f"it refuses this agent with HTTP 403: {why}"
    told = [one.getMessage() for one in caplog.records if "is refused" in one.getMessage()]
    assert told == [f"the agent of another is refused, at 127.0.0.1: {why}"], "told once"
    control_plane.kubectl.within(lease.namespace)("delete", "lease", lease.name)


# --- the Lease -------------------------------------------------------------------------------


class PublishingOperator:
    """An operator's elector and directory, each with a client of its own, at work."""

    def __init__(self, client: KubeClient, lease: ObjectKey, own: OperatorAddress) -> None:
        self.own, self.roles, clock = own, list[LeaderRole](), SystemClock()
        self.directory = OperatorDirectory(
            client=client, lease=lease, own=own, release=RELEASE, clock=clock
        )
        self.elector = LeaderElector(
            client=client,
            key=lease,
            identity=own.identity,
            duration=3.0,
            fence=WriteFence(),
            clock=clock,
            on_role=self.roles.append,
            on_lease=self.directory.observe_lease,
        )
        self._tasks = [
            asyncio.create_task(self.elector.run()),
            asyncio.create_task(self.directory.run()),
        ]

    async def end(self) -> None:
        """End in order; nothing is left to do the second time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.elector.resign_lease()
        await self.directory.withdraw_entry()


@pytest.fixture
def lease() -> ObjectKey:
    return ObjectKey("kube-system", f"trust-{secrets.token_hex(2)}")


def _address(identity: str) -> OperatorAddress:
    return OperatorAddress(
        identity=identity, address="10.1.2.3:9443", fingerprint=secrets.token_hex(32)
    )


async def _read_entries(client: KubeClient, lease: ObjectKey) -> dict[str, str]:
    told = (await client.get_object(ObjectKind.LEASE, lease))["metadata"].get("annotations") or {}
    return {name: text for name, text in told.items() if name.startswith(PREFIX)}


async def test_operators_publish_and_prune_beside_their_election_and_agents_find_them(
    control_plane: ControlPlane,
    operator: KubeClient,
    lease: ObjectKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operator_directory, "RENEW_EVERY", 0.5)
    monkeypatch.setattr(operator_directory, "DEAD_AFTER", 3.0)
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(
            await KubeClient.from_config(control_plane.agent_kubeconfig)
        )
        lookup = OperatorLookup(client=agent, lease=lease, release=RELEASE)
        assert await lookup.find_operators() == ()
        first = PublishingOperator(operator, lease, _address("first"))
        stack.push_async_callback(first.end)
        await eventually(lambda: first.roles == [LeaderRole.LEADING], "the first leads")
        second = PublishingOperator(operator, lease, _address("second"))
        stack.push_async_callback(second.end)
        both = (first.own, second.own)
        await eventually(lambda: first.directory.operators == both, "the first knows both")
        await eventually(lambda: second.directory.operators == both, "the second knows both")
        assert await lookup.find_operators() == both

        gone = _address("gone")
        entry = {name_annotation("gone"): dump_operator(gone, RELEASE, "0.0", "long ago")}
        await operator.patch_object(ObjectKind.LEASE, lease, {"metadata": {"annotations": entry}})
        await eventually(lambda: gone in first.directory.operators, "one more is seen")
        await eventually(lambda: gone not in first.directory.operators, "it is taken away")
        seen = await _read_entries(operator, lease)
        assert seen.keys() == {name_annotation("first"), name_annotation("second")}
        # Each has renewed its entry several times by now, under the leader's renewals.
        await asyncio.sleep(3)
        now = await _read_entries(operator, lease)
        assert all(now[name] != text for name, text in seen.items())
        assert (first.roles, second.roles) == ([LeaderRole.LEADING], [])

        await first.end()
        await eventually(lambda: second.roles == [LeaderRole.LEADING], "the second leads")
        await eventually(lambda: second.directory.operators == (second.own,), "the first is gone")
        assert await lookup.find_operators() == (second.own,)
        await second.end()
        assert await _read_entries(operator, lease) == {}
        assert await lookup.find_operators() == ()
    control_plane.kubectl.within(lease.namespace)("delete", "lease", lease.name)

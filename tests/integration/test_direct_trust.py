"""Who may speak by the direct road, on a real API server with the chart's rights."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane
from cluster.kubectl import Kubectl
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.controller import operator_directory
from vpplb.controller.operator_directory import OperatorDirectory
from vpplb.controller.token_keys import fetch_issuer_keys
from vpplb.direct.messages import AUDIENCE, OperatorAddress
from vpplb.direct.operator_directory import PREFIX, dump_entry, name_annotation
from vpplb.direct.tokens import AgentIdentity, TokenRefused, TokenVerifier
from vpplb.kube.client import KubeClient
from vpplb.kube.leader_election import LeaderElector, WriteFence
from vpplb.kube.leader_rules import LeaderRole
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

AGENT = ObjectKey(SYSTEM_NAMESPACE, "vpplb-agent")
NODE, POD = "trusted-node", "trusted-agent"


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
    spec = {
        "nodeName": NODE,
        "serviceAccountName": AGENT.name,
        "containers": [{"name": "agent", "image": "none"}],
    }
    system.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": spec})
    yield system
    system("delete", "pod", POD, "--force", "--grace-period=0")
    control_plane.kubectl("delete", "node", NODE)


def make_token(
    system: Kubectl, *bound: str, audience: str = AUDIENCE, account: str = AGENT.name
) -> str:
    return system("create", "token", account, f"--audience={audience}", *bound).strip()


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


# --- the Lease -------------------------------------------------------------------------------


class PublishingOperator:
    """An operator's elector and directory, each with a client of its own, at work."""

    def __init__(self, client: KubeClient, lease: ObjectKey, name: str) -> None:
        self.roles: list[LeaderRole] = []
        self.own = OperatorAddress(
            identity=name, address="10.1.2.3:9443", fingerprint=secrets.token_hex(32)
        )
        clock = SystemClock()
        self.directory = OperatorDirectory(
            client=client, lease=lease, own=self.own, namespace=SYSTEM_NAMESPACE, clock=clock
        )
        self.elector = LeaderElector(
            client=client,
            key=lease,
            identity=name,
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


async def _until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (what is waited for is a real server's)
            await asyncio.sleep(0.05)


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
        lookup = OperatorLookup(client=agent, lease=lease, namespace=SYSTEM_NAMESPACE)
        assert await lookup.find_operators() == ()
        first = PublishingOperator(operator, lease, "first")
        stack.push_async_callback(first.end)
        await _until(lambda: first.roles == [LeaderRole.LEADING])
        second = PublishingOperator(operator, lease, "second")
        stack.push_async_callback(second.end)
        both = (first.own, second.own)
        await _until(lambda: first.directory.list_operators() == both)
        await _until(lambda: second.directory.list_operators() == both)
        assert await lookup.find_operators() == both

        gone = OperatorAddress(identity="gone", address="10.1.2.4:9443", fingerprint="0f" * 32)
        entry = {name_annotation("gone"): dump_entry(gone, SYSTEM_NAMESPACE, "0.0", "long ago")}
        await operator.patch_object(ObjectKind.LEASE, lease, {"metadata": {"annotations": entry}})
        await _until(lambda: gone in first.directory.list_operators())
        await _until(lambda: gone not in first.directory.list_operators())
        seen = await _read_entries(operator, lease)
        assert seen.keys() == {name_annotation("first"), name_annotation("second")}
        # Each has renewed its entry several times by now, under the leader's renewals.
        await asyncio.sleep(3)
        now = await _read_entries(operator, lease)
        assert all(now[name] != text for name, text in seen.items())
        assert (first.roles, second.roles) == ([LeaderRole.LEADING], [])

        await first.end()
        await _until(lambda: second.roles == [LeaderRole.LEADING])
        await _until(lambda: second.directory.list_operators() == (second.own,))
        assert await lookup.find_operators() == (second.own,)
        await second.end()
        assert await _read_entries(operator, lease) == {}
        assert await lookup.find_operators() == ()
    control_plane.kubectl.within(lease.namespace)("delete", "lease", lease.name)

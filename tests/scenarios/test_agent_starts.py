"""How an agent begins: with the API server and without, with a leader and without, or neither."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from data.objects import key
from in_memory.agent import API, NODE, WEB, decided, entry
from in_memory.agent_world import VIPS, AgentWorld
from lab.direct_operator import DirectOperator
from lab.waiting import eventually
from vpplb.agent import app
from vpplb.agent.agent_parts import AgentOptions
from vpplb.direct.messages import DecisionBatch, DecisionEntry, OperatorAddress
from vpplb.direct.operator_directory import dump_operator, name_annotation
from vpplb.files.owned_state_store import StoredState, VppIdentity, write_stored_state
from vpplb.kube.api_types import ApiUnreachable, KubeError
from vpplb.kube.leases.agent_lease import HolderReplaced
from vpplb.model.decision_order import DecisionMark, DecisionOrder
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.model.vip import Encap, VipId, VipSettings
from vpplb.plan.ops import AddServer, AddVip
from vpplb.sync.vip_state import OwnedState

pytestmark = pytest.mark.looptime

NOBODY = OperatorAddress(identity="gone", address="127.0.0.1:1", fingerprint="00" * 32)
SERVER = IPv4Address("10.0.0.1")
PATIENCE = 0.3


class Starts:
    """An agent of node n1 and its surroundings: everything is there, and told by whoever leads."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app, "PATIENCE", PATIENCE)
        self.folder, self.world = folder, AgentWorld(monkeypatch)
        self.memory, self.token = folder / "memory.json", folder / "token"
        self.token.write_text("token")
        self.own_all = False
        self.stop = asyncio.Event()
        self._stack = AsyncExitStack()

    @property
    def options(self) -> AgentOptions:
        return AgentOptions(
            node=NODE.name,
            vpp_api_socket=self.folder / "api.sock",
            state_file=self.memory,
            http_address="",
            direct_token=self.token,
            own_all=self.own_all,
        )

    def remember(self, *operators: OperatorAddress, **parts: object) -> None:
        """Have the last agent left this on the disk: it carried `web` as it was decided."""
        stored = StoredState(
            state=OwnedState(owned={WEB: key("web")}),
            spec={},
            labels={},
            operators=tuple(asdict(one) for one in operators),
        )
        identity = VppIdentity.of_socket(NODE.name, self.folder / "api.sock")
        write_stored_state(self.memory, replace(stored, **parts), identity)  # type: ignore[arg-type]  # the test names fields

    def publish(self, operator: OperatorAddress) -> None:
        """Have an operator be found in the Lease of the election."""
        lease = self.world.server.add(ObjectKind.LEASE, ELECTION, {})
        text = dump_operator(operator, ReleaseIdentity("default"), "1", "now")
        lease["metadata"]["annotations"] = {name_annotation(operator.identity): text}

    def fail(self, error: KubeError | None) -> None:
        """Have the API server answer nothing but this."""
        self.world.server.refuse = lambda _: error

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        agent = asyncio.create_task(app.run(self.options, self.stop))
        try:
            yield
        finally:
            self.stop.set()
            await agent

    def carry(self, *on: VipId, weight: int = 10) -> None:
        """Have VPP carry these as they were decided."""
        for one in on:
            self.world.vpp.do(AddVip(vip=one, settings=VipSettings(encap=Encap.GRE4)))
            self.world.vpp.do(AddServer(vip=one, address=SERVER, weight=weight))

    def rival(self) -> None:
        """Have another agent hold the node's lease."""
        lease = self.world.server.add(ObjectKind.LEASE, ObjectKey("default", NODE.name), {})
        lease["spec"] = {
            "holderIdentity": "another",
            "leaseDurationSeconds": 30,
            "renewTime": "2026-01-01T12:00:00.000000Z",
        }

    def weight(self, on: VipId = WEB) -> int | None:
        """Return the weight of the only server, None where VPP does not have it."""
        row = self.world.vpp.table().get(on)
        server = row.servers.get(SERVER) if row else None
        return server.weight if server else None

    @property
    def ops(self) -> int:
        return len(self.world.vpp.ops)


ELECTION = ObjectKey("kube-system", "vpplb-operator")
AWAY = ApiUnreachable("connection refused")


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starts:
    return Starts(tmp_path, monkeypatch)


def whole(term: int, *entries: DecisionEntry) -> DecisionBatch:
    return DecisionBatch(term=term, entries=entries, whole=True)


# --- the API server is away ---------------------------------------------------------------------


async def test_without_the_api_server_a_leader_tells_what_to_do_and_before_that_nothing_is_done(
    starts: Starts,
) -> None:
    starts.fail(AWAY)
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.remember(operator.address)
        async with starts.running():
            await eventually(lambda: operator.connections, "the agent has come")
            await asyncio.sleep(2 * PATIENCE)
            assert starts.ops == 0
            await operator.say(whole(5, entry("web", WEB, (5, 1), uid="web", weight=3)))
            await eventually(lambda: starts.weight() == 3, "it is programmed")
            await eventually(lambda: operator.reports, "what VPP has is reported")
            await eventually(lambda: operator.reports[-1].programmed, "and that it is programmed")


async def test_what_the_leader_does_not_name_stays_until_the_lists_say_otherwise(
    starts: Starts,
) -> None:
    starts.fail(AWAY)
    del starts.world.server.objects[ObjectKind.FRONTEND, key("dns")]
    owned = OwnedState(owned={WEB: key("web"), VIPS["dns"]: key("dns")})
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.remember(operator.address, state=owned)
        starts.carry(WEB, VIPS["dns"])
        async with starts.running():
            await eventually(lambda: operator.connections, "the agent has come")
            await operator.say(whole(5, entry("web", WEB, (5, 1), uid="web", weight=3)))
            await eventually(lambda: starts.weight() == 3, "it is programmed")
            assert set(starts.world.vpp.rows) == {WEB, VIPS["dns"]}
            starts.fail(None)
            await eventually(lambda: set(starts.world.vpp.rows) == {WEB, API}, "all is as listed")
            assert starts.weight() == 3, "the statuses are older"
            await eventually(
                lambda: starts.world.server.status(ObjectKind.DATAPLANE, NODE).get("programmed"),
                "the status is written",
            )


async def test_where_all_vips_are_ours_nothing_is_removed_before_the_lists_are_there(
    starts: Starts,
) -> None:
    """A leader is silent about a frontend on which nothing is decided."""
    starts.fail(AWAY)
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.remember(operator.address)
        starts.carry(WEB, VIPS["dns"])
        starts.own_all = True
        async with starts.running():
            await eventually(lambda: operator.connections, "the agent has come")
            await operator.say(whole(5, entry("web", WEB, (5, 1), uid="web", weight=3)))
            await asyncio.sleep(2 * PATIENCE)
            assert starts.ops == 0
            starts.fail(None)
            await eventually(lambda: starts.weight() == 3, "the lists are there")
            assert VIPS["dns"] in starts.world.vpp.rows


async def test_hands_off_counts_without_the_api_server_too(starts: Starts) -> None:
    starts.fail(AWAY)
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.remember(operator.address, spec={"paused": True})
        async with starts.running():
            await eventually(lambda: operator.connections, "the agent has come")
            await operator.say(whole(5, entry("web", WEB, (5, 1), uid="web")))
            await asyncio.sleep(0.3)
            assert starts.ops == 0


async def test_the_labels_of_before_say_what_this_node_carries(starts: Starts) -> None:
    starts.fail(AWAY)
    here, there = {"zone": "a"}, {"zone": "b"}
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.remember(operator.address, labels=here, state=OwnedState())
        async with starts.running():
            await eventually(lambda: operator.connections, "the agent has come")
            await operator.say(
                whole(
                    5,
                    entry("web", WEB, (5, 1), uid="web", selector=here),
                    entry("api", API, (5, 2), uid="api", selector=there),
                )
            )
            await eventually(lambda: starts.weight() == 10, "it is programmed")
            assert set(starts.world.vpp.rows) == {WEB}


@pytest.mark.parametrize("lacking", ["operators", "labels", "spec", "file"])
async def test_an_agent_that_knows_too_little_waits_for_the_api_server(
    starts: Starts, lacking: str
) -> None:
    starts.fail(AWAY)
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        if lacking == "operators":
            starts.remember()
        elif lacking != "file":
            starts.remember(operator.address, **{lacking: None})
        async with starts.running():
            await asyncio.sleep(3 * PATIENCE)
            assert operator.connections == 0
            starts.fail(None)
            await eventually(lambda: set(starts.world.vpp.rows) == set(VIPS.values()), "it begins")


async def test_another_agent_of_this_node_ends_one_that_began_without_the_api_server(
    starts: Starts,
) -> None:
    starts.fail(AWAY)
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.remember(operator.address)
        running = asyncio.create_task(app.run(starts.options, starts.stop))
        await eventually(lambda: operator.connections, "the agent has come")
        starts.rival()
        starts.fail(None)
        with pytest.raises(HolderReplaced):
            await asyncio.wait_for(running, 10)


# --- the API server is there --------------------------------------------------------------------


async def test_a_leader_that_is_ahead_of_the_statuses_is_heard_first(starts: Starts) -> None:
    async with DirectOperator("op-1", leads=True, term=5, greet=False) as operator:
        starts.publish(operator.address)
        starts.remember()
        starts.carry(WEB)
        async with starts.running():
            await eventually(lambda: operator.connections, "the agent has come")
            assert starts.ops == 0
            await operator.say(operator.role)
            await operator.say(whole(5, entry("web", WEB, (5, 1), uid="web", weight=0)))
            await eventually(lambda: starts.weight() == 0, "it is programmed")
            await eventually(lambda: starts.weight(API) == 10, "the statuses count for the rest")


async def test_an_operator_that_does_not_answer_holds_up_nothing_for_long(starts: Starts) -> None:
    starts.publish(NOBODY)
    async with starts.running():
        await eventually(
            lambda: set(starts.world.vpp.rows) == set(VIPS.values()), "it begins", within=3
        )


async def test_nobody_is_connected_to_while_another_agent_has_the_node(starts: Starts) -> None:
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.publish(operator.address)
        starts.remember(operator.address)
        starts.rival()
        async with starts.running():
            await asyncio.sleep(3 * PATIENCE)
            assert operator.connections == 0
            assert starts.ops == 0


async def test_a_leader_that_decided_before_the_restart_is_not_gone_behind(starts: Starts) -> None:
    mark = DecisionMark(uid="web", order=DecisionOrder(5, 2), revision="r2")
    starts.remember(marks={key("web"): mark})
    starts.carry(WEB, weight=0)
    web = starts.world.server.objects[ObjectKind.FRONTEND, key("web")]
    web["status"] = decided(WEB, order=(5, 1))
    async with starts.running():
        await eventually(lambda: starts.weight(API) == 10, "the others are programmed")
        assert starts.weight() == 0


async def test_without_a_token_decisions_come_by_the_api_server_alone(starts: Starts) -> None:
    starts.token.unlink()
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        starts.publish(operator.address)
        async with starts.running():
            await eventually(lambda: set(starts.world.vpp.rows) == set(VIPS.values()), "it begins")
            assert operator.connections == 0

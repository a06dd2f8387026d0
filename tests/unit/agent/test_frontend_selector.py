"""What an agent wants of its VPP, by what the API server tells."""

import asyncio
from ipaddress import IPv4Address

import pytest

from data.objects import key
from in_memory.agent import API, NODE, WEB, LocalAgent, decided
from vpplb.agent.frontend_selector import GRACE
from vpplb.model.names import ObjectKind
from vpplb.model.vip import AppServer, Encap, VipSettings
from vpplb.plan.ops import AddVip
from vpplb.plan.settings import DesiredSettings

pytestmark = pytest.mark.looptime

CONFLICT = {"type": "Accepted", "status": "False", "reason": "Conflict", "message": "taken"}
MIXED = {"type": "Accepted", "status": "False", "reason": "MixedFamilies", "message": "no"}
INVALID = {"type": "Accepted", "status": "False", "reason": "Invalid", "message": "no"}


def carrying() -> LocalAgent:
    """Return an agent that carries `web` once it is started."""
    agent = LocalAgent()
    agent.see("web", decided(WEB))
    return agent


async def test_what_the_status_wants_is_programmed() -> None:
    async with carrying() as agent:
        agent.see("web", decided(WEB, weight=55))
        await agent.settle()
        assert [row.servers for row in agent.lb.table().values()] == [
            {IPv4Address("10.0.0.1"): AppServer(weight=55)}
        ]


async def test_the_vip_of_a_deleted_frontend_is_removed() -> None:
    async with carrying() as agent:
        agent.delete("web")
        await agent.settle()
        assert agent.lb.rows == {}
        assert agent.selected.keys == set()


async def test_a_frontend_that_was_never_seen_can_be_gone() -> None:
    async with carrying() as agent:
        agent.delete("other")
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}


async def test_a_frontend_whose_vip_another_has_gives_it_up() -> None:
    async with carrying() as agent:
        agent.see("web", {"conditions": [CONFLICT]})
        await agent.settle()
        assert agent.lb.rows == {}
        assert agent.selected.keys == set()


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"conditions": [MIXED]},
        {"conditions": [INVALID]},
        {"dataplane": {"prefix": "nonsense"}},
        {"dataplane": {}},
    ],
)
async def test_a_frontend_of_which_nothing_readable_is_decided_keeps_its_vip(
    status: dict[str, object] | None,
) -> None:
    async with carrying() as agent:
        agent.lb.ops.clear()
        agent.see("web", status)
        await agent.settle()
        assert agent.lb.ops == []
        assert agent.selected.keys == {key("web")}


async def test_an_undecided_frontend_protects_the_vip_of_its_spec() -> None:
    """A new agent that remembers nothing finds the VIP of a frontend without a decision."""
    agent = LocalAgent()
    agent.lb.do(AddVip(vip=WEB, settings=VipSettings(encap=Encap.GRE4)))
    agent.see("web", None, address="192.0.2.1")
    async with agent:
        assert set(agent.lb.rows) == {WEB}
        assert agent.lb.ops == []


async def test_nodes_without_the_labels_of_the_selector_do_not_carry_it() -> None:
    agent = LocalAgent(labels={"role": "edge", "zone": "a"})
    agent.see("web", decided(WEB), nodeSelector={"role": "edge"})
    agent.see("api", decided(API), nodeSelector={"role": "edge", "zone": "b"})
    async with agent:
        assert set(agent.lb.rows) == {WEB}
        assert agent.selected.keys == {key("web")}


WAITED_FOR = {"desired": 1, "programmed": 0, "holding": True}


async def test_a_new_label_of_the_node_brings_a_vip_at_once_and_a_lost_one_takes_it_later() -> None:
    agent = LocalAgent()
    agent.see("web", decided(WEB, selector={"role": "edge"}), nodeSelector={"role": "edge"})
    async with agent:
        assert agent.lb.rows == {}
        agent.selector.set_labels({"role": "edge"})
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}
        assert agent.status["frontends"] == {"total": 1, "programmed": 1, "summary": "1/1"}
        agent.selector.set_labels({"role": "none"})
        await asyncio.sleep(GRACE - 1)  # until others have noticed theirs, and the operator all
        assert set(agent.lb.rows) == {WEB}
        await asyncio.sleep(1)
        await agent.settle()
        assert agent.lb.rows == {}
        assert agent.status["frontends"] == {"total": 0, "programmed": 0, "summary": "0/0"}


async def test_a_selector_of_the_spec_waits_until_it_is_decided() -> None:
    """Else a node would serve the VIP of before, for which it never was meant."""
    agent = LocalAgent(labels={"host": "n1"})
    agent.see("web", decided(WEB, selector={"host": "n1"}), nodeSelector={"host": "n2"})
    agent.see("api", decided(API, selector={"host": "n2"}), nodeSelector={"host": "n1"})
    async with agent:
        assert set(agent.lb.rows) == {WEB}
        assert agent.selected.keys == {key("web")}


async def test_an_older_operator_leaves_the_selector_to_the_spec() -> None:
    agent = LocalAgent(labels={"host": "n1"})
    agent.see("web", decided(WEB), nodeSelector={"host": "n1"})
    agent.see("api", decided(API), nodeSelector={"host": "n2"})
    async with agent:
        assert set(agent.lb.rows) == {WEB}


async def test_a_node_that_is_left_goes_on_with_new_weights_until_the_others_have_it() -> None:
    async with carrying() as agent:
        agent.see("web", decided(WEB, weight=3, selector={"host": "n2"}, nodes=WAITED_FOR))
        await agent.settle()
        assert [row.servers for row in agent.lb.table().values()] == [
            {IPv4Address("10.0.0.1"): AppServer(weight=3)}
        ]
        assert agent.status["frontends"] == {"total": 1, "programmed": 1, "summary": "1/1"}
        agent.see("web", decided(WEB, weight=3, selector={"host": "n2"}))
        await agent.settle()
        assert agent.lb.rows == {}
        assert agent.selected.keys == set()


async def test_a_node_that_is_left_does_not_begin_with_the_vip_of_the_others() -> None:
    async with carrying() as agent:
        agent.see("web", decided(API, selector={"host": "n2"}, nodes=WAITED_FOR))
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}
        agent.see("web", decided(API, selector={"host": "n2"}))
        await agent.settle()
        assert agent.lb.rows == {}


async def test_a_node_that_never_had_it_does_not_begin_while_others_wait() -> None:
    agent = LocalAgent()
    agent.see("web", decided(WEB, selector={"host": "n2"}, nodes=WAITED_FOR))
    async with agent:
        assert agent.lb.rows == {}
        assert agent.selected.keys == set()


async def test_a_node_that_is_left_goes_on_also_when_its_agent_is_started_anew() -> None:
    async with carrying() as agent:
        pass
    again = LocalAgent(agent.server, agent.lb)
    again.see("web", decided(WEB, selector={"host": "n2"}, nodes=WAITED_FOR))
    async with again:
        assert set(again.lb.rows) == {WEB}


async def test_what_is_decided_for_nobody_is_removed() -> None:
    async with carrying() as agent:
        agent.see("web", decided(WEB, selector={"host": "nowhere"}, nodes={"desired": 0}))
        await agent.settle()
        assert agent.lb.rows == {}


async def test_a_lost_decision_takes_nothing_away_whatever_the_selector() -> None:
    async with carrying() as agent:
        agent.see("web", None, nodeSelector={"host": "n2"})
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}


async def test_what_cannot_be_read_is_not_synced_until_it_can() -> None:
    unreadable = decided(WEB) | {"dataplane": {"prefix": "nonsense"}}
    async with carrying() as agent:
        agent.see("web", unreadable)
        await agent.settle()
        status, reason, message = agent.condition("Synced")
        assert (status, reason) == ("False", "Failed")
        assert message.startswith(
            "0 of 1 frontends are programmed; default/web: status.dataplane: prefix must be"
        )
        assert agent.status["errors"] == [
            {"frontend": "default/web", "message": message.partition("default/web: ")[2]}
        ]
        assert set(agent.lb.rows) == {WEB}
        agent.see("web", decided(WEB))
        await agent.settle()
        assert agent.condition("Synced")[0] == "True"


async def test_paused_means_hands_off_until_it_is_over() -> None:
    async with carrying() as agent:
        agent.lb.ops.clear()
        agent.see_dataplane(agent.store_dataplane(generation=2, paused=True))
        agent.see("web", decided(WEB, weight=1))
        agent.see("api", decided(API))
        await agent.settle()
        assert agent.lb.ops == []
        agent.see_dataplane(agent.store_dataplane(generation=3, paused=False))
        await agent.settle()
        assert set(agent.lb.rows) == {WEB, API}


async def test_the_dataplane_says_what_the_flags_do_not() -> None:
    flags = DesiredSettings(ipv4_source=IPv4Address("192.0.2.250"), flow_timeout=30)
    agent = LocalAgent(default=flags)
    async with agent:
        assert (str(agent.lb.conf.ipv4_source), agent.lb.conf.flow_timeout) == ("192.0.2.250", 30)
        agent.see_dataplane(agent.store_dataplane(generation=2, ipv4SourceAddress="192.0.2.251"))
        await agent.settle()
        assert (str(agent.lb.conf.ipv4_source), agent.lb.conf.flow_timeout) == ("192.0.2.251", 30)
        agent.see_dataplane(agent.store_dataplane(generation=3))
        await agent.settle()
        assert str(agent.lb.conf.ipv4_source) == "192.0.2.250"


async def test_a_dataplane_that_is_wrong_changes_nothing() -> None:
    async with carrying() as agent:
        agent.see_dataplane(agent.store_dataplane(generation=2, paused=True))
        agent.see_dataplane(agent.store_dataplane(generation=3, paused="perhaps"))
        assert agent.syncer.paused


async def test_other_nodes_dataplanes_are_no_concern() -> None:
    async with carrying() as agent:
        other = agent.store_dataplane(paused=True)
        metadata = {**other["metadata"], "name": "n2"}
        agent.see_dataplane({**other, "metadata": metadata})
        assert not agent.syncer.paused


# --- objects of other versions ------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {"paused": True, "maxFlows": 0},
        {"paused": True, "flowTimeout": "3 days"},
        {"paused": {"until": "noon"}},
    ],
)
async def test_hands_off_counts_in_a_dataplane_of_another_version(spec: dict[str, object]) -> None:
    agent = LocalAgent()
    agent.server.objects[ObjectKind.DATAPLANE, NODE]["spec"] = spec
    agent.see("web", decided(WEB))
    async with agent:
        assert agent.lb.rows == {}


async def test_what_is_understood_of_a_dataplane_is_served_and_what_is_not_is_said() -> None:
    async with carrying() as agent:
        raw = agent.store_dataplane(
            generation=2, ipv4SourceAddress="192.0.2.7", flowTimeout=40, maxFlows=0
        )
        agent.see_dataplane(raw)
        await agent.settle()
        assert agent.lb.conf.ipv4_source == IPv4Address("192.0.2.7")
        status, reason, message = agent.condition("Accepted")
        assert (status, reason) == ("False", "Invalid")
        assert "spec.flowTimeout" in message


async def test_a_node_selector_that_is_not_understood_takes_no_vip_away() -> None:
    async with carrying() as agent:
        agent.see("web", decided(WEB), nodeSelector=[{"key": "zone", "operator": "In"}])
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}


@pytest.mark.parametrize("status", [None, {}, "text", {"dataplane": 1, "conditions": [None]}])
@pytest.mark.parametrize("spec", [None, {}, [], "text", {"nodeSelector": None, "pools": [None]}])
async def test_no_stored_object_holds_up_another(spec: object, status: object) -> None:
    async with carrying() as agent:
        odd = {"kind": "Frontend", "metadata": {"name": "odd"}, "spec": spec, "status": status}
        agent.see_frontend(odd)
        dataplane = agent.server.objects[ObjectKind.DATAPLANE, NODE]
        agent.see_dataplane({**dataplane, "spec": spec})
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}

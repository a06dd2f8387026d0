"""What a node's VPP has where decisions come by both roads: from the API server, and a leader."""

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from data.kept_memory import kept
from data.objects import key, vip
from in_memory.agent import API, NODE, WEB, LocalAgent, decided, entry
from vpplb.agent.dataplane_reporter import HEARD_SPACING, LOST_AFTER, SPACING
from vpplb.agent.direct_road import HELLO_AGAIN
from vpplb.kube.api_types import ApiUnreachable
from vpplb.model.decision_order import DecisionMark, DecisionOrder
from vpplb.model.names import ObjectKind
from vpplb.model.vip import VipId

pytestmark = pytest.mark.looptime


def weight(agent: LocalAgent, on: VipId = WEB) -> int | None:
    """Return the weight of the only server, None where VPP has no such VIP."""
    row = agent.lb.table().get(on)
    return row.servers[IPv4Address("10.0.0.1")].weight if row else None


def carrying(memory: Path | None = None) -> LocalAgent:
    """Return an agent that carries `web` by a status, decided as (5, 1), once it is started."""
    agent = LocalAgent(memory=memory)
    agent.see("web", decided(WEB, order=(5, 1)))
    return agent


def writes(agent: LocalAgent) -> int:
    """Count the agent's writes of its Dataplane's status."""
    return sum(verb.endswith("_status") for verb, _, _ in agent.server.requests)


def revision(on: VipId, weight: int) -> str:
    dataplane = decided(on, weight)["dataplane"]
    assert isinstance(dataplane, dict)
    return str(dataplane["revision"])


# --- failover -----------------------------------------------------------------------------------


async def test_a_failover_does_not_wait_for_the_api_server() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.server.refuse = lambda _: ApiUnreachable("away")
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        await asyncio.sleep(0.01)
        assert weight(agent) == 0


async def test_a_stale_status_after_a_direct_decision_changes_nothing() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 3), weight=0))
        await agent.settle()
        agent.lb.ops.clear()
        agent.see("web", decided(WEB, weight=7, order=(5, 2)))
        await agent.settle()
        agent.operators.lose()
        agent.see("web", decided(WEB, weight=7, order=(5, 2)))
        await agent.settle()
        assert agent.lb.ops == []
        agent.see("web", decided(WEB, weight=9, order=(5, 4)))
        await agent.settle()
        assert weight(agent) == 9


async def test_the_next_leader_takes_back_what_the_last_one_never_wrote() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        await agent.settle()
        agent.operators.lose()
        agent.operators.lead(6, "op-2")
        agent.operators.send(6, entry("web", WEB, (5, 1)), whole=True)
        await agent.settle()
        assert weight(agent) == 10


async def test_a_leader_that_is_cut_off_is_not_listened_to_once_another_was_heard_of() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.see("web", decided(WEB, weight=3, order=(6, 1)))
        agent.operators.send(5, entry("web", WEB, (5, 9), weight=0))
        await agent.settle()
        assert weight(agent) == 3
        assert agent.road.explain_road().startswith("by the API server alone")


async def test_a_leader_of_an_older_term_than_was_heard_of_is_told_so_until_it_leads_anew() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.see("web", decided(WEB, weight=3, order=(6, 1)))
        await agent.settle()
        assert agent.operators.hellos == []
        agent.operators.send(5, entry("web", WEB, (5, 9), weight=0))
        await asyncio.sleep(HELLO_AGAIN + 0.1)
        assert [one.newest_term for one in agent.operators.hellos] == [6, 6]
        agent.operators.lead(7)
        agent.operators.send(7, entry("web", WEB, (5, 9), weight=0), whole=True)
        await asyncio.sleep(2 * HELLO_AGAIN)
        assert weight(agent) == 0
        assert len(agent.operators.hellos) == 2


async def test_a_standby_that_has_heard_of_a_later_term_is_believed() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.stand_by(6)
        agent.operators.send(5, entry("web", WEB, (5, 9), weight=0))
        await agent.settle()
        assert weight(agent) == 10
        assert agent.operators.hello.newest_term == 6


# --- what is gone, and what comes ---------------------------------------------------------------


async def test_a_frontend_that_the_api_server_does_not_tell_of_yet_is_served() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("api", API, (5, 2), uid="u"))
        await agent.settle()
        assert weight(agent, API) == 10
        assert agent.selected.keys == {key("web"), key("api")}


async def test_a_frontend_that_a_leader_calls_gone_is_removed_and_stays_away() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", None, (5, 2), gone=True))
        await agent.settle()
        assert agent.lb.rows == {}
        agent.see("web", decided(WEB, order=(5, 1)))
        await agent.settle()
        assert agent.lb.rows == {}


async def test_what_a_whole_state_does_not_name_stays() -> None:
    async with carrying() as agent:
        agent.operators.lead(6)
        agent.operators.send(6, entry("api", API, (6, 1), uid="u"), whole=True)
        await agent.settle()
        assert set(agent.lb.rows) == {WEB, API}
        assert agent.road.whole.is_set()


async def test_what_only_a_leader_has_told_and_a_later_list_does_not_show_is_removed() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("api", API, (5, 2), uid="u"))
        note_listed = agent.selector.begin_list()
        agent.operators.send(5, entry("new", vip("192.0.2.9/32"), (5, 3), uid="n"))
        note_listed()
        await agent.settle()
        assert set(agent.lb.rows) == {WEB, vip("192.0.2.9/32")}


async def test_a_deleted_frontend_does_not_come_back_by_a_late_message() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.delete("web")
        agent.operators.send(5, entry("web", WEB, (5, 2)))
        await agent.settle()
        assert agent.lb.rows == {}


async def test_a_node_that_is_left_goes_on_until_the_leader_says_that_others_have_it() -> None:
    elsewhere = {"host": "n2"}
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 2), selector=elsewhere, holding=True))
        await agent.settle()
        assert set(agent.lb.rows) == {WEB}
        agent.operators.send(5, entry("web", WEB, (5, 2), selector=elsewhere))
        await agent.settle()
        assert agent.lb.rows == {}


async def test_nonsense_from_a_leader_leaves_the_vip_and_costs_no_other_frontend() -> None:
    nonsense = entry("web", WEB, (5, 2), weight=3)
    assert isinstance(nonsense.dataplane, dict)
    nonsense.dataplane["prefix"] = ["?"]
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, nonsense, entry("api", API, (5, 3), uid="u"))
        await agent.settle()
        assert set(agent.lb.rows) == {WEB, API}
        assert [one.errors.keys() for one in agent.operators.reports if one.errors] == [
            {key("web")}
        ]


# --- versions that differ -----------------------------------------------------------------------


async def test_an_operator_that_is_rolled_back_is_followed_once_the_leader_is_gone() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        agent.see("web", decided(WEB, weight=4))
        await agent.settle()
        assert weight(agent) == 0
        agent.operators.lose()
        await agent.settle()
        assert weight(agent) == 4


# --- what VPP has is told -----------------------------------------------------------------------


async def test_a_leader_hears_all_that_vpp_has_and_then_each_change_at_once() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        await asyncio.sleep(0.01)
        [first] = agent.operators.reports
        assert first.whole
        assert first.programmed == {key("web"): revision(WEB, 10)}
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        await asyncio.sleep(0.01)
        assert agent.operators.reports[1:] != []
        assert agent.operators.reports[-1].programmed == {key("web"): revision(WEB, 0)}
        assert not agent.operators.reports[-1].whole


async def test_a_report_that_could_not_be_sent_is_made_anew_and_whole() -> None:
    async with carrying() as agent:
        agent.operators.broken = True
        agent.operators.lead(5)
        await agent.settle()
        assert agent.operators.reports == []
        agent.operators.broken = False
        await agent.settle()
        [report] = agent.operators.reports
        assert report.whole


async def test_the_status_is_written_less_often_while_a_leader_hears_all() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        await asyncio.sleep(2 * HEARD_SPACING)
        assert agent.status["direct"] == {
            "operator": "op-1",
            "since": "2026-01-01T12:00:00.000000Z",
        }
        before = writes(agent)
        for sequence in range(20):
            agent.operators.send(5, entry("web", WEB, (5, 2 + sequence), weight=sequence))
            await asyncio.sleep(SPACING)
        assert writes(agent) - before <= 3


async def test_the_status_tells_what_is_due_as_soon_as_nobody_hears_it_directly() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        await asyncio.sleep(2 * HEARD_SPACING)
        for number in (1, 2):
            agent.operators.send(5, entry("web", WEB, (5, 1 + number), weight=number))
            await asyncio.sleep(0.01)
        agent.operators.lose()
        await asyncio.sleep(0.01)
        assert agent.status["programmed"] == {"default/web": revision(WEB, 2)}
        await asyncio.sleep(LOST_AFTER + 1)
        assert "direct" not in agent.status


# --- restarts -----------------------------------------------------------------------------------


async def test_a_restart_does_not_go_back_to_what_the_status_still_says(tmp_path: Path) -> None:
    """The leader died before it wrote; its decision is in VPP, and in nobody's memory but ours."""
    async with carrying(memory=tmp_path / "memory.json") as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        await agent.settle()
    again = LocalAgent(agent.server, agent.lb, memory=tmp_path / "memory.json")
    again.see("web", decided(WEB, order=(5, 1)))
    async with again:
        agent.lb.ops.clear()
        await again.settle()
        assert weight(again) == 0
        assert again.lb.ops == []
        # The operator is told what is there, so that it decides anew.
        assert again.status["programmed"] == {"default/web": revision(WEB, 0)}
        again.see("web", decided(WEB, order=(6, 1)))
        await again.settle()
        assert weight(again) == 10


async def test_what_was_withdrawn_directly_does_not_come_back_by_a_restart(tmp_path: Path) -> None:
    async with carrying(memory=tmp_path / "memory.json") as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", None, (5, 2)))
        await agent.settle()
    again = LocalAgent(agent.server, agent.lb, memory=tmp_path / "memory.json")
    again.see("web", decided(WEB, order=(5, 1)))
    async with again:
        assert again.lb.rows == {}
        again.see("web", decided(WEB, order=(5, 3)))
        await again.settle()
        assert weight(again) == 10


async def test_an_older_decision_is_better_than_none_in_a_vpp_that_lost_all(
    tmp_path: Path,
) -> None:
    async with carrying(memory=tmp_path / "memory.json") as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        await agent.settle()
    agent.lb.restart()
    again = LocalAgent(agent.server, agent.lb, memory=tmp_path / "memory.json")
    again.see("web", decided(WEB, order=(5, 1)))
    async with again:
        assert weight(again) == 10


async def test_the_orders_of_all_decisions_are_on_the_disk_soon(tmp_path: Path) -> None:
    async with carrying(memory=tmp_path / "memory.json") as agent:
        agent.operators.lead(6)
        agent.operators.send(6, entry("web", WEB, (5, 1)))
        await agent.settle()
        stored = kept(tmp_path / "memory.json")
        assert stored is not None
        mark = DecisionMark(uid="", order=DecisionOrder(6, 0), revision=revision(WEB, 10))
        assert stored.marks == {key("web"): mark}


async def test_a_restart_with_the_same_leader_writes_nothing() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        await asyncio.sleep(2 * HEARD_SPACING)
    before = writes(agent)
    again = LocalAgent(agent.server, agent.lb)
    again.see("web", decided(WEB, order=(5, 1)))
    again.operators.lead(5)
    async with again:
        await asyncio.sleep(2 * HEARD_SPACING)
        assert writes(again) == before
    assert again.server.status(ObjectKind.DATAPLANE, NODE)["direct"] == agent.status["direct"]


async def test_a_leader_whom_only_the_last_agent_has_heard_is_not_said_to_be_heard() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        await asyncio.sleep(2 * HEARD_SPACING)
    again = LocalAgent(agent.server, agent.lb)
    again.see("web", decided(WEB, order=(5, 1)))
    async with again:
        await asyncio.sleep(LOST_AFTER + 1)
        assert "direct" not in again.status


async def test_a_leader_that_is_only_restarted_is_no_news() -> None:
    async with carrying() as agent:
        agent.operators.lead(5)
        await asyncio.sleep(2 * HEARD_SPACING)
        before, shown = writes(agent), agent.status["direct"]
        agent.operators.lose()
        await asyncio.sleep(LOST_AFTER / 3)
        agent.operators.lead(6)
        await asyncio.sleep(LOST_AFTER + 2 * HEARD_SPACING)
        assert agent.status["direct"] == shown
        assert writes(agent) == before


async def test_a_node_lets_go_by_the_status_that_came_while_a_lost_leader_went_before_it() -> None:
    """Its end of the connection was dead already, and only the status could tell."""
    elsewhere = {"rack": "other"}
    async with carrying() as agent:
        agent.operators.lead(5)
        agent.operators.send(5, entry("web", WEB, (5, 2), selector=elsewhere, holding=True))
        await agent.settle()
        agent.see("web", decided(WEB, selector=elsewhere, order=(5, 2), nodes={"holding": False}))
        await agent.settle()
        assert weight(agent) == 10
        agent.operators.lose()
        await agent.settle()
        assert weight(agent) is None


async def test_a_restart_says_what_vpp_had_and_not_what_was_merely_decided(tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    async with carrying(memory=memory) as agent:
        agent.operators.lead(5)
        agent.syncer.set_paused(True)
        agent.operators.send(5, entry("web", WEB, (5, 2), weight=0))
        await agent.settle()
    again = LocalAgent(agent.server, agent.lb, memory=memory)
    again.syncer.set_paused(True)
    again.see("web", decided(WEB, order=(5, 1)))
    async with again:
        again.operators.lead(5)
        await again.settle()
        assert again.operators.reports[0].programmed == {key("web"): revision(WEB, 10)}

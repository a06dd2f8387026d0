import asyncio
import json
from datetime import timedelta

import pytest

from data.manifests import backend, frontend, health_check
from data.objects import key
from fakes.agent_connection import FakeAgentConnection
from fakes.agent_handler import FakeAgentHandler
from in_memory.direct_agents import LEADING, connect, lead, node_is, report, revision_of
from in_memory.operator import LocalOperator
from vpplb.controller.decision_records import DecisionRecord
from vpplb.controller.direct_publisher import RAISE_EVERY, ElectionState
from vpplb.direct.messages import (
    AgentHello,
    DecisionBatch,
    OperatorAddress,
    OperatorRole,
)
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.decision_order import LATEST, DecisionOrder
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.reconcile.reconciler import GATHER

pytestmark = pytest.mark.looptime

WEB = key("web")


def programmed(operator: LocalOperator, name: str = "web") -> str:
    return operator.condition(ObjectKind.FRONTEND, name, "Programmed")[0]


async def lead_next(operator: LocalOperator) -> LocalOperator:
    """Return the operator that leads after one that has stopped, in the next term."""
    later = LocalOperator(operator.server)
    for kind, name in list(operator.server.objects):
        later.see(kind, name)
    later.core.publisher.set_election(LEADING)
    later.reconciler.set_synced(2)
    await later.settle()
    return later


# --- who leads -------------------------------------------------------------------------------


async def test_a_standby_says_who_leads_and_sends_nothing(operator: LocalOperator) -> None:
    others = (OperatorAddress(identity="op_2", address="a:1", fingerprint="f"),)
    operator.core.publisher.set_operators(others)
    await lead(operator)
    operator.core.publisher.set_election(ElectionState(why="op_2 leads"))
    agent = connect(operator, "n1")
    assert agent.take() == [
        OperatorRole(identity="op_1", leads=False, why="op_2 leads", operators=others)
    ]


async def test_whoever_leads_says_so_once_it_has_decided() -> None:
    operator = LocalOperator()
    agent = connect(operator, "n1")
    operator.core.publisher.set_election(LEADING)
    role = agent.take_role()
    assert (role.leads, role.why) == (False, "it does not know the objects yet")
    operator.reconciler.set_synced(5)
    await operator.settle()
    assert agent.take() == [
        OperatorRole(identity="op_1", leads=True, term=5),
        DecisionBatch(term=5, entries=(), whole=True),
    ]
    await operator.stop()


async def test_a_leader_that_cannot_renew_its_lease_goes_on(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    operator.core.publisher.set_election(ElectionState(role=LeaderRole.SUSPENDED))
    operator.verdict("a", up=False)
    await operator.settle()
    [batch] = agent.take()
    assert isinstance(batch, DecisionBatch)


async def test_what_changes_of_the_role_alone_sends_no_state_again(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    others = (OperatorAddress(identity="op_2", address="a:1", fingerprint="f"),)
    operator.core.publisher.set_operators(others)
    [role] = agent.take()
    assert isinstance(role, OperatorRole)
    assert role.operators == others


async def test_a_later_term_that_an_agent_has_heard_of_is_outbid(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    operator.core.publisher.on_message(agent, AgentHello(version="1", newest_term=41))
    await operator.settle()
    role, batch = agent.take()
    assert isinstance(role, OperatorRole)
    assert isinstance(batch, DecisionBatch)
    assert (role.leads, role.term, batch.term, batch.whole) == (True, 42, 42, True)
    operator.core.publisher.on_message(agent, AgentHello(version="1", newest_term=42))
    assert agent.take() == []


async def test_a_new_term_is_told_to_all_at_once_and_its_state_to_one_node_a_turn(
    operator: LocalOperator,
) -> None:
    nodes = ("n1", "n2", "n3")
    await lead(operator, *nodes)
    agents = [connect(operator, node) for node in nodes]
    for agent in agents:
        agent.take()
    operator.core.publisher.on_message(agents[0], AgentHello(version="1", newest_term=41))
    for agent in agents:
        [role] = agent.take()
        assert isinstance(role, OperatorRole)
        assert role.term == 42
    whole: list[int] = []
    while len(whole) < len(nodes):
        await asyncio.sleep(0)
        came = [said for agent in agents for said in agent.take()]
        assert len(came) <= 1
        whole += [said.term for said in came if isinstance(said, DecisionBatch) and said.whole]
    assert whole == [42] * len(nodes)


async def test_what_has_waited_for_longest_is_sent_first(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    sent = list[ObjectKey]()

    class Handler(FakeAgentHandler):
        def render_entry(self, node: str, key: ObjectKey) -> str | None:
            sent.append(key)
            return "{}"

    agent = FakeAgentConnection("n1", Handler())
    for name in ("a", "b", "c", "a"):
        agent.add_due(key(name))
    agent._take_frame()
    assert [one.name for one in sent] == ["a", "b", "c"]


async def test_no_agent_makes_a_leader_send_everything_again_and_again(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    for term in range(41, 61):
        operator.core.publisher.on_message(agent, AgentHello(version="1", newest_term=term))
    assert operator.reconciler.term == 42
    await asyncio.sleep(RAISE_EVERY)
    operator.core.publisher.on_message(agent, AgentHello(version="1", newest_term=60))
    assert operator.reconciler.term == 61


async def test_a_decision_that_cannot_be_sent_costs_neither_the_others_nor_the_status(
    operator: LocalOperator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()

    def fail(_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(DecisionRecord, "write_entry", fail)
    operator.verdict("a", up=False)
    await operator.settle()
    assert agent.take() == []
    assert "cannot be sent to n1" in caplog.text
    assert operator.status(ObjectKind.BACKEND, "a")["state"] == "down"


async def test_a_later_term_that_was_heard_of_before_is_outbid_once_it_leads() -> None:
    operator = LocalOperator()
    agent = connect(operator, "n1")
    operator.core.publisher.on_message(agent, AgentHello(version="1", newest_term=41))
    operator.core.publisher.set_election(LEADING)
    operator.reconciler.set_synced(5)
    await operator.settle()
    assert agent.take_role().term == 42
    await operator.stop()


async def test_a_term_that_no_clock_explains_is_not_believed(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    ahead = int((operator.clock.now() + timedelta(days=400)).timestamp() * 1e6)
    for term in (ahead, LATEST):
        operator.core.publisher.on_message(agent, AgentHello(version="1", newest_term=term))
    assert (agent.take(), operator.reconciler.term) == ([], 1)


# --- what is sent ----------------------------------------------------------------------------


async def test_an_agent_gets_what_is_decided_and_then_what_changes(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    sent = agent.take_entries()["web"]
    assert sent.dataplane == operator.status(ObjectKind.FRONTEND)["dataplane"]
    assert (sent.uid, sent.order.term, sent.gone) == ("uid-web", 1, False)
    operator.verdict("a", up=False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    changed = agent.take_entries()["web"]
    assert changed.order > sent.order
    assert changed.dataplane is not None
    assert changed.dataplane != sent.dataplane
    assert '"weight":0' in json.dumps(changed.dataplane, separators=(",", ":"))


async def test_all_that_changes_in_a_run_is_one_message(operator: LocalOperator) -> None:
    operator.apply(frontend("api", address="198.51.100.2"))
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    operator.verdict("a", up=False)
    await operator.settle()
    [batch] = agent.take()
    assert isinstance(batch, DecisionBatch)
    assert sorted(entry.frontend.name for entry in batch.entries) == ["api", "web"]


async def test_what_nodes_act_on_being_the_same_nothing_is_sent(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    operator.apply(health_check("check", type="TCP", port=80, rise=5))
    operator.apply(frontend(port=70000))
    await operator.settle()
    assert agent.take() == []


async def test_an_agent_gets_only_what_selects_its_node(operator: LocalOperator) -> None:
    operator.apply(frontend("edge", address="198.51.100.2", nodeSelector={"role": "edge"}))
    await lead(operator, "n1")
    node_is(operator, "n2", role="edge")
    first, second = connect(operator, "n1"), connect(operator, "n2")
    assert sorted(first.take_entries()) == ["web"]
    assert sorted(second.take_entries()) == ["edge", "web"]
    operator.verdict("a", up=False)
    await operator.settle()
    assert sorted(first.take_entries()) == ["web"]
    assert sorted(second.take_entries()) == ["edge", "web"]


async def test_a_node_that_gets_or_loses_a_label_is_told_of_what_that_concerns(
    operator: LocalOperator,
) -> None:
    operator.apply(frontend("edge", address="198.51.100.2", nodeSelector={"role": "edge"}))
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    node_is(operator, "n1", role="edge")
    assert sorted(agent.take_entries()) == ["edge"]
    node_is(operator, "n1")
    assert sorted(agent.take_entries()) == ["edge"]


async def test_a_node_whose_dataplane_is_made_later_gets_all_then(
    operator: LocalOperator,
) -> None:
    await lead(operator)
    agent = connect(operator, "n1")
    agent.take()
    operator.verdict("a", up=False)
    await operator.settle()
    agent.take()
    node_is(operator, "n1")
    entry = agent.take_entries()["web"]
    assert entry.dataplane == operator.status(ObjectKind.FRONTEND)["dataplane"]


async def test_a_node_that_is_selected_no_more_goes_on_until_the_others_have_it(
    operator: LocalOperator,
) -> None:
    await lead(operator, "old", role="old")
    node_is(operator, "new", role="new")
    operator.apply(frontend(nodeSelector={"role": "old"}))
    await operator.settle()
    old, new = connect(operator, "old"), connect(operator, "new")
    report(operator, old, web=revision_of(operator))
    assert (old.take_entries()["web"].holding, new.take_entries()) == (True, {})
    operator.apply(frontend(nodeSelector={"role": "new"}))
    await operator.settle()
    assert old.take_entries()["web"].holding
    assert sorted(new.take_entries()) == ["web"]
    report(operator, new, web=revision_of(operator))
    await operator.settle()
    assert not old.take_entries()["web"].holding
    assert new.take() == []


async def test_a_node_that_still_carries_what_it_shall_not_hears_of_changes(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1", role="old")
    agent = connect(operator, "n1")
    report(operator, agent, web=revision_of(operator))
    operator.apply(frontend(nodeSelector={"role": "new"}))
    await operator.settle()
    agent.take()
    operator.verdict("a", up=False)
    await operator.settle()
    assert sorted(agent.take_entries()) == ["web"]
    again = connect(operator, "n1")
    assert sorted(again.take_entries()) == ["web"]


async def test_a_frontend_that_is_deleted_is_said_to_be_gone(operator: LocalOperator) -> None:
    await lead(operator, "n1", "n2")
    agent, later = connect(operator, "n1"), "n2"
    report(operator, agent, web=revision_of(operator))
    agent.take()
    node_is(operator, later, {"default/web": "r"})
    operator.delete(ObjectKind.FRONTEND, "web")
    await operator.settle()
    entry = agent.take_entries()["web"]
    assert (entry.gone, entry.dataplane, entry.uid) == (True, None, "uid-web")
    assert connect(operator, later).take_entries()["web"].gone
    node_is(operator, "n3")
    assert connect(operator, "n3").take_entries() == {}


async def test_an_agent_that_reports_what_it_shall_not_carry_is_told(
    operator: LocalOperator,
) -> None:
    operator.apply(frontend("edge", address="198.51.100.2", nodeSelector={"role": "edge"}))
    operator.apply(frontend("old", address="198.51.100.3"))
    await lead(operator, "n1")
    operator.delete(ObjectKind.FRONTEND, "old")
    await operator.settle()
    agent = connect(operator, "n1")
    assert sorted(agent.take_entries()) == ["web"]
    report(operator, agent, web=revision_of(operator), edge="r", old="r", unknown="r")
    told = agent.take_entries()
    assert sorted(told) == ["edge", "old"]
    assert (told["edge"].gone, told["edge"].dataplane is None, told["old"].gone) == (
        False,
        False,
        True,
    )


async def test_a_vip_that_must_not_exist_is_sent_as_none(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    operator.apply(frontend("later"))
    await operator.settle()
    entry = connect(operator, "n1").take_entries()["later"]
    assert (entry.dataplane, entry.gone, entry.holding) == (None, False, False)


async def test_a_slow_agent_gets_the_newest_alone(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    agent.take()
    agent.stalled = True
    for up in (False, True, False):
        operator.verdict("a", up=up)
        await operator.settle()
    agent.stalled = False
    agent.flush()
    [batch] = agent.take()
    assert isinstance(batch, DecisionBatch)
    [entry] = batch.entries
    assert entry.dataplane == operator.status(ObjectKind.FRONTEND)["dataplane"]


async def test_what_is_due_to_an_agent_that_comes_again_is_its_new_connections_affair(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1")
    older = connect(operator, "n1")
    newer = connect(operator, "n1")
    operator.verdict("a", up=False)
    older.take()
    newer.take()
    await operator.settle()
    assert (older.take(), sorted(newer.take_entries())) == ([], ["web"])
    operator.core.publisher.on_disconnect(newer)
    operator.verdict("a", up=True)
    await operator.settle()
    assert newer.take() == []


# --- what is reported ------------------------------------------------------------------------


async def test_what_an_agent_reports_is_shown_at_once(operator: LocalOperator) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    assert programmed(operator) == "False"
    report(operator, agent, web=revision_of(operator))
    await asyncio.sleep(0.05)
    assert programmed(operator) == "True"


async def test_it_is_known_whether_all_nodes_hear_of_a_frontend_directly(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1", "n2")
    nodes, everywhere = operator.core.nodes, ()
    assert not nodes.is_reached(everywhere)
    connect(operator, "n1")
    assert not nodes.is_reached(everywhere)
    second = connect(operator, "n2")
    assert nodes.is_reached(everywhere)
    node_is(operator, "n3")
    assert not nodes.is_reached(everywhere)
    operator.delete(ObjectKind.DATAPLANE, "n3")
    assert nodes.is_reached(everywhere)
    operator.core.publisher.on_disconnect(second)
    assert not nodes.is_reached(everywhere)


async def test_a_node_that_has_another_decision_than_was_taken_over_is_overruled(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1")
    await operator.stop()
    later = await lead_next(operator)
    agent = connect(later, "n1")
    taken_over = agent.take_entries()["web"]
    assert taken_over.order.term == 1
    report(later, agent, web=revision_of(later))
    await later.settle()
    assert agent.take() == []
    report(later, agent, web="what the last leader has not written")
    await later.settle()
    renewed = agent.take_entries()["web"]
    assert renewed.order == DecisionOrder(2, 1)
    assert later.status(ObjectKind.FRONTEND)["dataplane"] == renewed.dataplane
    await later.stop()


async def test_what_a_dataplane_shows_overrules_as_well(operator: LocalOperator) -> None:
    await lead(operator)
    node_is(operator, "n1", {"default/web": "what the last leader has not written"})
    await operator.stop()
    later = await lead_next(operator)
    dataplane = later.status(ObjectKind.FRONTEND)["dataplane"]
    assert isinstance(dataplane, dict)
    assert (dataplane["term"], dataplane["sequence"]) == (2, 1)
    await later.stop()


# --- many at a time --------------------------------------------------------------------------


async def test_the_first_death_waits_for_nobody_and_those_that_follow_are_one_message(
    operator: LocalOperator,
) -> None:
    check, names = {"healthCheckRef": {"name": "check"}}, ("a", "b", "c")
    await lead(operator)
    node_is(operator, "n1")
    operator.apply(health_check())
    operator.apply(*(backend(one, f"10.0.0.{ord(one)}", **check) for one in names))
    operator.apply(frontend(pools=[{"name": "p", "backends": [{"name": one} for one in names]}]))
    await operator.settle()
    for name in names:
        operator.verdict(name, up=True)
    await operator.settle()
    agent = connect(operator, "n1")
    agent.take()
    operator.verdict("a", up=False)
    await asyncio.sleep(GATHER / 10)
    assert len(agent.take()) == 1
    for name in ("b", "c"):
        operator.verdict(name, up=False)
        await asyncio.sleep(GATHER / 10)
    assert agent.take() == []
    await asyncio.sleep(GATHER)
    [batch] = agent.take()
    assert isinstance(batch, DecisionBatch)
    assert batch.entries[0].dataplane is not None
    servers = batch.entries[0].dataplane["servers"]
    assert isinstance(servers, list)
    assert [one["weight"] for one in servers] == [0, 0, 0]

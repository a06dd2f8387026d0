"""The Dataplane's status: what became of VPP, and that a restart alone changes nothing of it."""

import asyncio
from pathlib import Path

import pytest

from data.kept_memory import kept_state
from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.agent import API, NODE, WEB, LocalAgent, decided
from lab.scrape import scrape_metrics
from vpplb.kube.api_types import ApiUnreachable
from vpplb.model.names import ObjectKind
from vpplb.model.vip import Encap, VipId, VipSettings
from vpplb.plan.ops import AddVip, DelVip, Op, SetConf
from vpplb.resources.condition_reasons import HEARD_DIRECTLY, NOBODY_LEADS
from vpplb.resources.raw_fields import parse_time

pytestmark = pytest.mark.looptime


def carrying(*vips: VipId, **parts: object) -> LocalAgent:
    """Return an agent that carries a frontend for each VIP: web, then api."""
    agent = LocalAgent(**parts)  # type: ignore[arg-type]  # the test names parameters of the agent
    for name, vip in zip(("web", "api"), vips, strict=False):
        agent.see(name, decided(vip))
    return agent


def programmed(agent: LocalAgent) -> list[str]:
    found = agent.status["programmed"]
    assert isinstance(found, dict)
    return list(found)


def errors(agent: LocalAgent) -> list[dict[str, str]]:
    found = agent.status["errors"]
    assert isinstance(found, list)
    return found


class Refusal:
    """A VPP that does not add a VIP."""

    def __init__(self, vip: VipId) -> None:
        self._vip = vip

    def __call__(self, op: Op) -> int:
        return -1 if isinstance(op, AddVip) and op.vip == self._vip else 0


async def test_all_that_is_programmed_is_said() -> None:
    async with carrying(WEB, API) as agent:
        revisions = {"default/web": decided(WEB), "default/api": decided(API)}
        assert agent.status["programmed"] == {
            name: status["dataplane"]["revision"]  # type: ignore[index]  # as it was dumped
            for name, status in sorted(revisions.items())
        }
        assert agent.status["frontends"] == {"total": 2, "programmed": 2, "summary": "2/2"}
        assert agent.condition("Connected") == ("True", "Connected", "VPP 26.10-fake answers")
        assert agent.condition("Synced") == ("True", "Synced", "2 of 2 frontends are programmed")
        assert agent.status["errors"] == []
        assert agent.status["observedGeneration"] == 1
        assert agent.status["vpp"] == {
            "version": "26.10-fake",
            "pid": 1,
            "connected": True,
            "since": "2026-01-01T12:00:00.000000Z",
        }


async def test_vips_of_others_are_counted_and_ours_are_named() -> None:
    agent = carrying(WEB)
    agent.lb.do(AddVip(vip=API, settings=VipSettings(encap=Encap.GRE4)))
    async with agent:
        assert agent.status["owned"] == "192.0.2.1/32 tcp/80 default/web\n"
        assert agent.status["others"] == 1


async def test_a_vip_that_is_made_anew_is_announced_on_its_frontend() -> None:
    async with carrying(WEB, API) as agent:
        agent.see("web", decided(WEB, table_length=4096))
        await agent.settle()
        [event] = agent.recorder.events
        assert (event.key, event.type, event.reason) == (key("web"), "Warning", "VipRecreated")
        said = "the VIP was removed and made anew as GRE4 table 4096; its flows are lost"
        assert event.note == f"on node n1: {said}"


async def test_a_vip_that_is_made_anew_for_a_frontend_that_is_gone_is_announced_nowhere() -> None:
    async with carrying(WEB) as agent:
        settings = VipSettings(encap=Encap.L3DSR, dscp=7, table_length=4096)
        agent.reporter.on_recreated(key("gone"), WEB, settings)
        assert agent.recorder.events == []


async def test_a_frontend_that_is_not_decided_is_pending() -> None:
    agent = carrying(WEB)
    agent.see("api", None)
    async with agent:
        said = "1 of 2 frontends are programmed"
        assert agent.condition("Synced") == ("False", "Pending", said)


async def test_a_refused_vip_is_an_error_of_its_frontend_until_it_is_taken() -> None:
    agent = carrying(WEB, API)
    agent.lb.refuse = Refusal(WEB)
    async with agent:
        [error] = errors(agent)
        assert error["frontend"] == "default/web"
        assert "(-1)" in error["message"]
        status, reason, message = agent.condition("Synced")
        assert (status, reason) == ("False", "Failed")
        assert message.startswith("1 of 2 frontends are programmed; default/web: ")
        assert programmed(agent) == ["default/api"]
        agent.lb.refuse = lambda _: 0
        await asyncio.sleep(5)
        assert agent.status["errors"] == []
        assert agent.condition("Synced")[:2] == ("True", "Synced")


async def test_the_error_of_a_frontend_goes_with_it() -> None:
    agent = carrying(WEB, API)
    agent.lb.refuse = Refusal(WEB)
    async with agent:
        agent.delete("web")
        await agent.settle()
        assert agent.status["errors"] == []
        assert agent.condition("Synced")[:2] == ("True", "Synced")


async def test_a_vip_that_cannot_be_removed_is_an_error_of_the_frontend_that_was() -> None:
    async with carrying(WEB) as agent:
        agent.lb.refuse = lambda op: -1 if isinstance(op, DelVip) else 0
        agent.delete("web")
        await agent.settle()
        [error] = errors(agent)
        assert error["frontend"] == "default/web"
        assert agent.status["frontends"] == {"total": 0, "programmed": 0, "summary": "0/0"}
        assert agent.status["owned"] == "192.0.2.1/32 tcp/80 default/web\n"


async def test_settings_that_are_refused_are_said_until_they_are_taken() -> None:
    agent = carrying(WEB)
    agent.lb.refuse = lambda op: -70 if isinstance(op, SetConf) else 0
    async with agent:
        agent.see_dataplane(agent.store_dataplane(generation=2, flowTimeout="10s"))
        await agent.settle()
        status, reason, message = agent.condition("Synced")
        assert (status, reason) == ("False", "Failed")
        assert "(-70)" in message
        agent.lb.refuse = lambda _: 0
        agent.see_dataplane(agent.store_dataplane(generation=3))
        await agent.settle()
        assert agent.condition("Synced")[:2] == ("True", "Synced")
        assert agent.status["observedGeneration"] == 3


async def test_a_lost_vpp_carries_nothing_until_it_is_back() -> None:
    async with carrying(WEB) as agent:
        assert agent.reporter.trouble == ""
        agent.clock.advance(60)
        agent.lb.down = True
        await asyncio.sleep(3)
        status, reason, message = agent.condition("Connected")
        assert (status, reason) == ("False", "VppUnreachable")
        assert message == agent.reporter.trouble == "connection refused"
        assert agent.condition("Synced") == ("Unknown", "VppUnreachable", "connection refused")
        assert agent.status["programmed"] == {}
        vpp = agent.status["vpp"]
        assert vpp == {
            "version": "26.10-fake",
            "pid": 1,
            "connected": False,
            "since": "2026-01-01T12:01:00.000000Z",
        }
        agent.clock.advance(60)
        agent.lb.down = False
        agent.lb.restart()
        await asyncio.sleep(10)
        assert agent.condition("Connected")[:2] == ("True", "Connected")
        assert programmed(agent) == ["default/web"]
        assert agent.reporter.trouble == ""
        assert agent.since("Connected") == "2026-01-01T12:02:00.000000Z"


async def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    agent = carrying(WEB)
    agent.see("undecided", None)
    async with agent:
        agent.clock.advance(60)
        agent.see("another", None)
        await agent.settle()
        assert agent.condition("Synced")[1:] == ("Pending", "1 of 3 frontends are programmed")
        assert agent.since("Synced") == "2026-01-01T12:00:00.000000Z"
        agent.delete("undecided")
        agent.delete("another")
        await agent.settle()
        assert agent.condition("Synced")[:2] == ("True", "Synced")
        assert agent.since("Synced") == "2026-01-01T12:01:00.000000Z"


async def test_the_last_change_moves_only_when_something_was_programmed() -> None:
    async with carrying(WEB) as agent:
        made = agent.clock.now()
        agent.clock.advance(60)
        await asyncio.sleep(100)
        assert parse_time(agent.status["lastChange"]) == made
        agent.see("web", decided(WEB, weight=1))
        await agent.settle()
        assert parse_time(agent.status["lastChange"]) == agent.clock.now()


async def test_nothing_is_written_when_nothing_changes() -> None:
    async with carrying(WEB) as agent:
        agent.server.requests.clear()
        await asyncio.sleep(1000)
        agent.see_dataplane()
        await agent.settle()
        assert agent.server.requests == []


async def test_a_restart_that_changes_nothing_writes_nothing() -> None:
    first = carrying(WEB, API)
    async with first:
        pass
    first.server.requests.clear()
    first.lb.ops.clear()
    second = carrying(WEB, API, server=first.server, lb=first.lb)
    second.clock.advance(3600)
    async with second:
        assert second.server.requests == []
        assert second.lb.ops == []
        assert second.reporter.trouble == ""


async def test_an_hour_in_which_nothing_happens_costs_no_write_and_no_call() -> None:
    async with carrying(WEB, API) as agent:
        agent.server.requests.clear()
        agent.lb.ops.clear()
        reads = agent.lb.reads
        for _ in range(6):
            await asyncio.sleep(600)
            agent.clock.advance(600)
            agent.see_dataplane()
            agent.see("web", decided(WEB))
        await agent.settle()
        assert agent.server.requests == []
        assert agent.lb.ops == []
        assert agent.lb.reads - reads >= 100, "VPP was compared all the time"


async def test_nothing_is_written_before_vpp_and_all_frontends_are_known() -> None:
    first = carrying(WEB)
    async with first:
        pass
    first.server.requests.clear()
    second = LocalAgent(first.server, first.lb)
    writing = asyncio.create_task(second.writer.run())
    syncing = asyncio.create_task(second.syncer.run())
    second.see_dataplane()
    await asyncio.sleep(10)
    assert second.server.requests == []
    second.see("web", decided(WEB))
    second.syncer.set_synced()
    second.reporter.begin()
    await second.settle()
    assert second.server.requests == []
    for task in (writing, syncing):
        task.cancel()
    await asyncio.gather(writing, syncing, return_exceptions=True)


async def test_a_vip_stays_ours_over_restarts_without_a_memory() -> None:
    """What is ours is in the Dataplane alone, and a frontend goes while no agent runs."""
    server, lb = None, None
    for _ in range(3):
        agent = carrying(WEB, server=server, lb=lb)
        async with agent:
            server, lb = agent.server, agent.lb
    last = LocalAgent(server, lb)
    async with last:
        assert last.lb.rows == {}
        assert last.status["owned"] == ""


async def test_what_the_last_agent_programmed_in_another_vpp_counts_no_more() -> None:
    first = carrying(WEB)
    async with first:
        pass
    first.lb.restart()
    first.lb.refuse = lambda op: -1 if isinstance(op, AddVip) else 0
    second = carrying(WEB, server=first.server, lb=first.lb)
    async with second:
        assert second.status["programmed"] == {}
        assert second.condition("Synced")[:2] == ("False", "Failed")


async def test_what_the_last_agent_programmed_in_another_vpp_counts_no_more_even_if_paused() -> (
    None
):
    first = carrying(WEB)
    async with first:
        pass
    first.lb.restart()
    second = carrying(WEB, server=first.server, lb=first.lb)
    paused = second.store_dataplane(generation=2, paused=True)
    second.server.objects[ObjectKind.DATAPLANE, NODE] = paused
    async with second:
        assert second.lb.rows == {}
        assert programmed(second) == []


async def test_a_frontend_that_went_while_no_agent_ran_does_not_count_when_it_comes_back() -> None:
    first = carrying(WEB, API)
    async with first:
        pass
    async with carrying(WEB, server=first.server, lb=first.lb) as second:
        assert programmed(second) == ["default/web"]
        second.see("api", None)
        await second.settle()
        assert programmed(second) == ["default/web"]


async def test_an_agent_that_starts_without_its_vpp_says_so() -> None:
    first = carrying(WEB)
    async with first:
        pass
    first.lb.down = True
    second = carrying(WEB, server=first.server, lb=first.lb)
    assert second.reporter.trouble == "not connected yet"
    async with second:
        assert second.condition("Connected")[:2] == ("False", "VppUnreachable")
        assert second.status["programmed"] == {}
        assert second.status["owned"] == "192.0.2.1/32 tcp/80 default/web\n"


@pytest.mark.parametrize(
    "status",
    [{"programmed": {"nonsense": "r"}}, {"vpp": "nonsense"}, {"owned": "nonsense x\n"}],
)
async def test_a_status_that_makes_no_sense_is_written_anew(status: dict[str, object]) -> None:
    server = FakeApiServer()
    server.add(ObjectKind.DATAPLANE, NODE, status)["metadata"] |= {"uid": "uid-n1", "generation": 1}
    async with carrying(WEB, server=server) as agent:
        assert programmed(agent) == ["default/web"]
        assert agent.status["owned"] == "192.0.2.1/32 tcp/80 default/web\n"


async def test_a_dataplane_that_was_deleted_and_made_anew_gets_its_status() -> None:
    async with carrying(WEB) as agent:
        before = agent.status
        del agent.server.objects[ObjectKind.DATAPLANE, NODE]
        agent.reporter.on_delete(ObjectKind.DATAPLANE, NODE)
        await agent.settle()
        agent.store_dataplane(uid="another")
        agent.see_dataplane()
        await agent.settle()
        assert agent.status == before


async def test_a_dataplane_made_anew_unnoticed_gets_its_status_too() -> None:
    async with carrying(WEB) as agent:
        before = agent.status
        del agent.server.objects[ObjectKind.DATAPLANE, NODE]
        agent.store_dataplane(uid="another")
        agent.see_dataplane()
        await agent.settle()
        assert agent.status == before


async def test_an_api_server_that_is_away_holds_up_no_programming() -> None:
    async with carrying(WEB) as agent:
        agent.server.faults.extend(ApiUnreachable("refused") for _ in range(3))
        agent.see("api", decided(API))
        await agent.settle()
        assert set(agent.lb.rows) == {WEB, API}
        await asyncio.sleep(10)
        assert agent.status["frontends"] == {"total": 2, "programmed": 2, "summary": "2/2"}


async def test_what_must_outlive_the_agent_is_kept_before_the_vip_is_made(tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    agent = carrying(WEB, memory=memory)
    known: list[object] = []

    def look(op: Op) -> int:
        state = kept_state(memory)
        known.append(state and dict(state.owned))
        return 0

    agent.lb.refuse = look
    async with agent:
        assert known[0] == {WEB: key("web")}


async def test_a_memory_that_cannot_be_written_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    async with carrying(WEB, memory=tmp_path / "file" / "memory.json") as agent:
        assert set(agent.lb.rows) == {WEB}
        assert agent.condition("Synced")[:2] == ("True", "Synced")
    assert "the memory of VPP cannot be written" in caplog.text


async def test_drift_is_repaired_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with carrying(WEB) as agent:
        agent.lb.rows.clear()
        await asyncio.sleep(31)
        assert set(agent.lb.rows) == {WEB}
        assert "vpplb_drift_repairs_total 1.0" in scrape_metrics(agent.registry)
    assert "1 VIPs or settings were changed by someone else" in caplog.text


async def test_however_often_things_change_the_status_is_written_twice_a_second_at_most() -> None:
    async with carrying(WEB) as agent:
        agent.server.requests.clear()
        for weight in range(20):
            agent.see("web", decided(WEB, weight=weight))
            await asyncio.sleep(0.05)
        await agent.settle()
        written = [asked for _, asked, _ in agent.server.requests if asked.name == NODE.name]
        assert 2 <= len(written) <= 4
        assert agent.status["programmed"] == {
            "default/web": decided(WEB, weight=19)["dataplane"]["revision"]  # type: ignore[index]  # as it was dumped
        }


async def test_a_status_that_somebody_else_wrote_is_put_right() -> None:
    async with carrying(WEB) as agent:
        good = agent.status
        before = agent.server.objects[ObjectKind.DATAPLANE, NODE]
        for forged in ({}, {**good, "programmed": {}, "owned": ""}):
            agent.server.store(ObjectKind.DATAPLANE, NODE, {**before, "status": forged})
            agent.see_dataplane()
            await agent.settle()
            assert agent.status == good


async def test_its_own_status_seen_again_costs_no_write() -> None:
    async with carrying(WEB) as agent:
        agent.server.requests.clear()
        for _ in range(3):
            agent.see_dataplane()
            await agent.settle()
        assert agent.server.requests == []


async def test_an_agent_whose_lease_has_lapsed_says_so_itself_until_it_is_renewed() -> None:
    lapsed = [True]
    async with carrying(WEB, lapsed=lambda: lapsed[0]) as agent:
        gone = ("Unknown", "AgentGone", "the agent's lease has run out")
        assert agent.condition("Connected") == gone
        agent.server.requests.clear()
        agent.see_dataplane()
        await agent.settle()
        assert agent.server.requests == [], "the operator says the same"
        lapsed[0] = False
        agent.reporter.on_beat()
        await agent.settle()
        assert agent.condition("Connected")[0] == "True"


async def test_an_operator_that_is_lost_is_told_once_and_so_is_the_next() -> None:
    nobody = NOBODY_LEADS.make_condition("nobody has probed since")
    async with carrying(WEB) as agent:
        agent.reporter.set_operator_heard(HEARD_DIRECTLY.make_condition("it leads"))
        await agent.settle()
        assert agent.condition("OperatorHeard") == ("True", "Direct", "it leads")
        assert agent.recorder.events == []
        for _ in range(2):
            agent.reporter.set_operator_heard(nobody)
        agent.reporter.set_operator_heard(HEARD_DIRECTLY.make_condition("it leads"))
        told = [(one.kind, one.key.name, one.type, one.reason) for one in agent.recorder.events]
        assert told == [
            ("Dataplane", "n1", "Warning", "NobodyLeads"),
            ("Dataplane", "n1", "Normal", "OperatorHeard"),
        ]

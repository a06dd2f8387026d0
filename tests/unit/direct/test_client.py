"""The agent's end of the direct road, against operators on TLS sockets, good ones and bad ones."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from data.objects import key
from lab.direct_operator import DirectOperator
from lab.waiting import eventually
from vpplb.direct import client
from vpplb.direct.client import ConnectedLeader, OperatorConnection, OperatorConnections
from vpplb.direct.messages import (
    MOST_BYTES,
    MOST_OPERATORS,
    AgentHello,
    DecisionBatch,
    DecisionEntry,
    OperatorAddress,
    OperatorRole,
    ProgrammedReport,
    VipsRequest,
)
from vpplb.model.decision_order import DecisionOrder

pytestmark = pytest.mark.looptime

NOBODY = OperatorAddress(identity="nobody", address="127.0.0.1:1", fingerprint="00" * 32)


class ToldOperators:
    """Notes what connections tell."""

    def __init__(self) -> None:
        self.leaders: list[ConnectedLeader | None] = []
        self.batches: list[DecisionBatch] = []
        self.terms: list[int] = []
        self.known: Sequence[OperatorAddress] = ()
        self.requests: list[tuple[VipsRequest, OperatorConnection]] = []

    def on_term(self, term: int) -> None:
        self.terms.append(term)

    def on_leader(self, leader: ConnectedLeader | None) -> None:
        self.leaders.append(leader)

    def on_batch(self, batch: DecisionBatch) -> None:
        self.batches.append(batch)

    def on_request(self, request: VipsRequest, connection: OperatorConnection) -> None:
        self.requests.append((request, connection))

    def on_operators(self, operators: Sequence[OperatorAddress]) -> None:
        self.known = operators


class DirectAgent:
    """The agent of node n1, as far as it is connected."""

    def __init__(self, token: Path) -> None:
        self.token = token
        self.told = ToldOperators()
        self.connections = OperatorConnections("n1", token, self.told, self._make_hello)

    def _make_hello(self) -> AgentHello:
        return AgentHello(version="1.2.3", newest_term=7)

    async def connected(self, operator: DirectOperator) -> None:
        """Wait until an operator has said who it is."""
        await eventually(lambda: self.role(operator), f"{operator.role.identity} is connected")

    def role(self, operator: DirectOperator) -> OperatorRole | None:
        found = self.connections.connections.get(operator.address)
        return found.role if found else None

    def trouble(self, operator: OperatorAddress) -> str:
        return self.connections.connections[operator].trouble


@asynccontextmanager
async def agent_of(folder: Path, *operators: OperatorAddress) -> AsyncIterator[DirectAgent]:
    """Run an agent that knows these operators."""
    token = folder / "token"
    token.write_text("secret.of.n1\n")
    agent = DirectAgent(token)
    agent.connections.set_operators(operators)
    running = asyncio.create_task(agent.connections.run())
    try:
        yield agent
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def batch(term: int, *, whole: bool = False) -> DecisionBatch:
    order = DecisionOrder(term, 1)
    entry = DecisionEntry(frontend=key("web"), uid="u", order=order, dataplane={"revision": "r"})
    return DecisionBatch(term=term, entries=(entry,), whole=whole)


# --- operators that behave ----------------------------------------------------------------------


async def test_an_agent_introduces_itself_and_hears_who_leads(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", leads=True, term=5) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        await eventually(lambda: operator.hellos, "the agent has introduced itself")
        assert operator.tokens == ["secret.of.n1"]
        assert operator.hellos == [AgentHello(version="1.2.3", newest_term=7)]
        assert agent.told.leaders == [ConnectedLeader(identity="op-1", term=5)]
        assert agent.told.terms == [5]


async def test_decisions_of_the_leader_are_handed_on_and_reports_reach_it(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", leads=True, term=5) as leader,
        DirectOperator("op-2") as standby,
        agent_of(tmp_path, leader.address, standby.address) as agent,
    ):
        await agent.connected(leader)
        await agent.connected(standby)
        await leader.say(batch(5, whole=True))
        await eventually(lambda: agent.told.batches, "the batch is handed on")
        assert agent.told.batches == [batch(5, whole=True)]
        report = ProgrammedReport(whole=True, programmed={key("web"): "r"})
        assert await agent.connections.send_report(report)
        await eventually(lambda: leader.reports, "the report has come")
        assert leader.reports == [report]
        assert standby.reports == []
        assert await agent.connections.send_hello()
        await eventually(lambda: len(leader.hellos) == 2, "it is greeted again")
        assert len(standby.hellos) == 1


async def test_a_report_has_nobody_to_go_to_where_nobody_leads(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1") as standby,
        agent_of(tmp_path, standby.address) as agent,
    ):
        await agent.connected(standby)
        assert not await agent.connections.send_report(ProgrammedReport())


async def test_a_standby_that_is_elected_leads_without_a_new_connection(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", leads=True, term=5) as first,
        DirectOperator("op-2") as second,
        agent_of(tmp_path, first.address, second.address) as agent,
    ):
        await agent.connected(first)
        await agent.connected(second)
        await second.say(replace(second.role, leads=True, term=6))
        newer = ConnectedLeader(identity="op-2", term=6)
        await eventually(lambda: agent.connections.leader == newer, "op-2 leads")
        assert second.connections == 1


async def test_of_two_that_lead_the_newer_term_counts_whoever_speaks_last(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", leads=True, term=6) as newer,
        DirectOperator("op-2", leads=True, term=5) as older,
        agent_of(tmp_path, newer.address, older.address) as agent,
    ):
        await agent.connected(newer)
        await agent.connected(older)
        await older.say(older.role)
        await eventually(lambda: agent.told.terms.count(5) == 2, "it has spoken again")
        assert agent.connections.leader == ConnectedLeader(identity="op-1", term=6)


async def test_a_lost_leader_is_told_and_connected_to_again(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", leads=True, term=5) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        await operator.hang_up()
        await eventually(lambda: len(agent.told.leaders) == 3, "it is lost, and found again")
        leader = ConnectedLeader(identity="op-1", term=5)
        assert agent.told.leaders == [leader, None, leader]


async def test_the_token_is_read_anew_at_each_connection(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1") as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        agent.token.write_text("renewed")
        await operator.hang_up()
        await eventually(lambda: len(operator.tokens) == 2, "the agent has come again")
        assert operator.tokens == ["secret.of.n1", "renewed"]


# --- which operators there are ------------------------------------------------------------------


async def test_operators_tell_of_each_other(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1") as first,
        DirectOperator("op-2") as second,
        agent_of(tmp_path, first.address) as agent,
    ):
        await agent.connected(first)
        await first.say(replace(first.role, operators=(first.address, second.address)))
        await agent.connected(second)
        assert set(agent.told.known) == {first.address, second.address}


async def test_an_operator_of_which_nobody_tells_any_more_is_dropped(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1") as operator,
        agent_of(tmp_path, operator.address, NOBODY) as agent,
    ):
        await agent.connected(operator)
        await eventually(lambda: list(agent.told.known) == [operator.address], "it is dropped")


async def test_an_operator_that_is_reached_stays_though_another_does_not_know_it(
    tmp_path: Path,
) -> None:
    async with (
        DirectOperator("op-1") as first,
        DirectOperator("op-2") as second,
        agent_of(tmp_path, first.address, second.address) as agent,
    ):
        await first.say(replace(first.role, operators=(first.address,)))
        await agent.connected(first)
        await agent.connected(second)


async def test_what_is_told_from_outside_counts_only_while_nobody_is_connected(
    tmp_path: Path,
) -> None:
    async with (
        DirectOperator("op-1") as operator,
        agent_of(tmp_path, NOBODY) as agent,
    ):
        await asyncio.wait_for(agent.connections.wait_disconnected(), 1)
        agent.connections.set_operators([operator.address])
        await agent.connected(operator)
        agent.connections.set_operators([NOBODY])
        assert agent.role(operator)


async def test_what_is_known_stays_when_all_are_lost(tmp_path: Path) -> None:
    async with agent_of(tmp_path, NOBODY) as agent:
        async with DirectOperator("op-1") as operator:
            agent.connections.set_operators([operator.address])
            await agent.connected(operator)
            address = operator.address
        await asyncio.wait_for(agent.connections.wait_disconnected(), 2)
        assert list(agent.told.known) == [address]


@pytest.mark.parametrize(
    "fields", [{"fingerprint": "xyz"}, {"fingerprint": "00"}, {"address": "x"}, {"address": "x:y"}]
)
async def test_an_address_that_makes_no_sense_is_passed_over(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    async with agent_of(tmp_path, replace(NOBODY, **fields)) as agent:
        assert agent.connections.connections == {}


async def test_only_so_many_operators_are_connected_to(tmp_path: Path) -> None:
    many = [replace(NOBODY, identity=f"op-{number}") for number in range(100)]
    async with agent_of(tmp_path, *many) as agent:
        assert len(agent.connections.connections) == MOST_OPERATORS


# --- operators that do not behave ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("garbage", "not a message"),
        ('{"type":"role"}', "not a message"),
        ('{"type":"hello","version":"1","newestTerm":0}', "only agents"),
        (b"bytes", "no text"),
        (batch(5), "does not say that it leads"),
        ("x" * (MOST_BYTES + 1), "limit|size"),
    ],
    ids=["garbage", "half", "agent", "bytes", "standby", "oversized"],
)
async def test_what_is_not_as_described_ends_the_connection_and_is_logged_once(
    tmp_path: Path,
    said: DecisionBatch | str | bytes,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with (
        DirectOperator("op-1") as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        await operator.say(said)
        await eventually(lambda: operator.connections == 2, "it is tried again")
        await agent.connected(operator)
        assert agent.told.batches == []
        [line] = [record.getMessage() for record in caplog.records]
        assert any(part in line for part in why.split("|")), line


async def test_what_a_newer_version_says_is_passed_over(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1") as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        await operator.say('{"type":"weather","outlook":"fine"}')
        await operator.say(replace(operator.role, leads=True, term=3))
        await eventually(lambda: agent.connections.leader, "it is heard as before")
        assert operator.connections == 1


async def test_another_certificate_than_the_published_one_is_shown_no_token(
    tmp_path: Path,
) -> None:
    async with DirectOperator("op-1") as operator:
        wrong = replace(operator.address, fingerprint="ab" * 32)
        async with agent_of(tmp_path, wrong) as agent:
            await eventually(
                lambda: "certificate is not the one" in agent.trouble(wrong), "it is not believed"
            )
            assert operator.tokens == []


async def test_whoever_answers_at_the_address_of_another_is_soon_tried_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRY", (0.01, 0.01))
    async with DirectOperator("op-2") as operator:
        gone = replace(operator.address, identity="op-1", fingerprint="ab" * 32)
        operator.role = replace(operator.role, operators=(gone, operator.address))
        async with agent_of(tmp_path, operator.address) as agent:
            await agent.connected(operator)
            await asyncio.sleep(1)
            assert agent.connections.connections[gone].failures in (1, 2)


async def test_another_operator_at_an_address_is_not_listened_to(tmp_path: Path) -> None:
    async with DirectOperator("op-2", leads=True, term=9) as operator:
        wrong = replace(operator.address, identity="op-1")
        async with agent_of(tmp_path, wrong) as agent:
            await eventually(lambda: "it is 'op-2'" in agent.trouble(wrong), "it is not believed")
            assert agent.told.leaders == []


async def test_an_operator_that_speaks_another_protocol_is_left(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", protocols=("vpplb.direct.v9",)) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await eventually(
            lambda: "does not speak vpplb.direct.v1" in agent.trouble(operator.address),
            "it is left",
        )


async def test_an_operator_that_refuses_is_asked_ever_later(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1", protocols=None) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await eventually(
            lambda: "refuses this agent with HTTP 403" in agent.trouble(operator.address),
            "it is refused",
        )


async def test_an_operator_that_does_not_say_who_it_is_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ROLE_TIMEOUT", 0.2)
    async with (
        DirectOperator("op-1", greet=False) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await eventually(
            lambda: "does not say who it is" in agent.trouble(operator.address), "it is left"
        )


async def _hold_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read whatever comes, and say nothing."""
    while await reader.read(1024):
        pass
    writer.close()


async def test_a_socket_that_never_answers_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ROLE_TIMEOUT", 0.2)
    silent = await asyncio.start_server(_hold_open, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    mute = replace(NOBODY, address=f"127.0.0.1:{port}")
    async with (
        silent,
        DirectOperator("op-1", leads=True, term=1) as operator,
        agent_of(tmp_path, mute, operator.address) as agent,
    ):
        operator.role = replace(operator.role, operators=(mute,))
        await agent.connected(operator)
        await eventually(lambda: "does not say" in agent.trouble(mute), "the mute one is left")


async def test_an_operator_that_is_dead_without_a_word_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HEARTBEAT", 0.2)
    async with (
        DirectOperator("op-1", leads=True, term=1) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        operator.freeze()
        await eventually(lambda: agent.connections.leader is None, "it is taken for dead", within=3)
        operator.thaw()


@pytest.mark.looptime(False)  # what stands still has no loop time
async def test_an_agent_that_was_stopped_for_a_while_takes_no_operator_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HEARTBEAT", 0.6)
    async with (
        DirectOperator("op-1", leads=True, term=1) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        for _ in range(2):
            await asyncio.sleep(0.4)
            time.sleep(1)  # noqa: ASYNC251 (the whole loop stands still)
        await asyncio.sleep(0.5)
        assert (operator.connections, agent.told.leaders) == (1, [agent.connections.leader])


async def test_a_role_that_flips_costs_nothing_but_words(tmp_path: Path) -> None:
    async with (
        DirectOperator("op-1") as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        for term in range(1, 100):
            await operator.say(replace(operator.role, leads=bool(term % 2), term=term))
        await eventually(lambda: 99 in agent.told.terms, "all is heard")
        assert agent.connections.leader == ConnectedLeader(identity="op-1", term=99)
        assert operator.connections == 1


async def test_without_a_token_nobody_is_connected_to(tmp_path: Path) -> None:
    async with DirectOperator("op-1") as operator, agent_of(tmp_path) as agent:
        agent.token.write_text("")
        agent.connections.set_operators([operator.address])
        await eventually(lambda: "has no token" in agent.trouble(operator.address), "it is said")
        agent.token.unlink()
        await eventually(
            lambda: "No such file" in agent.trouble(operator.address), "it is said", within=3
        )
        assert operator.connections == 0


async def test_a_state_that_takes_longer_to_come_than_a_sign_of_life_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an agent behind a slow line would connect again and again, and never have it."""
    monkeypatch.setattr(client, "HEARTBEAT", 0.2)
    async with (
        DirectOperator("op-1", leads=True, term=5) as operator,
        agent_of(tmp_path, operator.address) as agent,
    ):
        await agent.connected(operator)
        await operator.trickle(batch(5, whole=True), 1.0)
        await eventually(lambda: agent.told.batches, "the batch has come")
        assert operator.connections == 1


async def test_a_token_that_is_just_being_written_is_read_again(tmp_path: Path) -> None:
    async with DirectOperator("op-1", leads=True, term=5) as operator:
        async with agent_of(tmp_path, operator.address) as agent:
            agent.token.write_text("")
            await eventually(lambda: "token" in agent.trouble(operator.address), "it is missed")
            agent.token.write_text("another.one")
            await agent.connected(operator)
        assert operator.tokens == ["another.one"]

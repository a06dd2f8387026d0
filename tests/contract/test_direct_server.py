"""What an operator is to agents, over real connections: to an agent that is aiohttp's alone."""

import asyncio
import json
import time
from contextlib import suppress

import aiohttp
import pytest

from data.objects import key
from fakes.agent_handler import FakeAgentHandler
from lab.direct_server import decided, hear_state, serving
from lab.raw_agent import connect_agent, trust_anybody, url_of
from lab.waiting import eventually
from vpplb.direct.agent_connection import MOST_ASKED, AgentSilent
from vpplb.direct.messages import (
    BATCH_SIZE,
    AgentHello,
    DecisionBatch,
    OperatorRole,
    ProgrammedReport,
    VipsAnswer,
    VipsRequest,
    dump_answer,
    dump_hello,
    dump_report,
)
from vpplb.direct.server import REPLACED, RefusalReason

pytestmark = pytest.mark.slow

WEB, API = key("web"), key("api")


# --- who leads, and what is decided ----------------------------------------------------------


async def test_a_leader_says_so_and_sends_the_whole_state() -> None:
    handler = FakeAgentHandler()
    handler.decide(decided(WEB), decided(API))
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        role, entries = await hear_state(agent)
        assert (role.identity, role.leads, role.term) == ("op_1", True, 7)
        assert sorted(entries, key=lambda one: one.frontend) == [decided(API), decided(WEB)]


async def test_a_state_of_nothing_is_whole_too() -> None:
    async with serving(FakeAgentHandler()) as server, connect_agent(server.listen_port) as agent:
        assert (await hear_state(agent))[1] == []


async def test_a_large_state_comes_in_batches_of_a_bounded_size() -> None:
    handler = FakeAgentHandler()
    handler.decide(*(decided(key(f"web{number}"), size=1000) for number in range(100)))
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        await agent.hear()
        sizes, whole = list[int](), False
        while not whole:
            text = await agent.websocket.receive_str(timeout=5)
            sizes.append(len(text))
            whole = json.loads(text).get("whole", False)
        assert len(sizes) > 5
        assert max(sizes) < BATCH_SIZE + 2000


async def test_after_that_changes_only_are_sent_all_of_a_tick_in_one_message() -> None:
    handler = FakeAgentHandler()
    handler.decide(decided(WEB), decided(API), decided(key("mail")))
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        handler.decide(decided(WEB, 2), decided(API, 3))
        batch = await agent.hear()
        assert isinstance(batch, DecisionBatch)
        assert not batch.whole
        assert {one.frontend: one.order.sequence for one in batch.entries} == {WEB: 2, API: 3}


async def test_whoever_stands_by_says_why_and_decides_nothing() -> None:
    handler = FakeAgentHandler(leads=False)
    handler.entries[WEB] = decided(WEB)
    handler.set_role(leads=False, why="op_2 leads")
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        assert await hear_state(agent) == (
            OperatorRole(identity="op_1", leads=False, why="op_2 leads"),
            [],
        )


async def test_a_hand_over_needs_no_new_connection() -> None:
    old, new = FakeAgentHandler(), FakeAgentHandler(leads=False)
    for handler in (old, new):
        handler.entries[WEB] = decided(WEB)
    async with (
        serving(old) as first,
        serving(new) as second,
        connect_agent(first.listen_port) as of_first,
        connect_agent(second.listen_port) as of_second,
    ):
        await hear_state(of_first)
        await hear_state(of_second)
        old.set_role(leads=False, why="op_2 leads")
        new.set_role(leads=True, term=8)
        role = await of_first.hear()
        assert isinstance(role, OperatorRole)
        assert (role.leads, role.why) == (False, "op_2 leads")
        role, entries = await hear_state(of_second)
        assert (role.leads, role.term, entries) == (True, 8, [decided(WEB)])


async def test_what_agents_say_is_handed_on_and_counted() -> None:
    handler = FakeAgentHandler()
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        await agent.say(dump_hello(AgentHello(version="1", newest_term=3)))
        await agent.say('{"type":"of a later version"}')
        await agent.say(dump_report(ProgrammedReport(programmed={WEB: "r1"})))
        await eventually(lambda: len(handler.said) == 2, "both are said")
        assert handler.said == [
            ("n1", AgentHello(version="1", newest_term=3)),
            ("n1", ProgrammedReport(programmed={WEB: "r1"})),
        ]
        assert (server.heard, server.sent, server.agent_count) == (3, 2, 1)


# --- connections -----------------------------------------------------------------------------


async def test_a_newer_connection_of_a_node_replaces_the_older() -> None:
    handler = FakeAgentHandler()
    async with (
        serving(handler) as server,
        connect_agent(server.listen_port) as older,
        connect_agent(server.listen_port) as newer,
    ):
        await hear_state(newer)
        assert await older.wait_closed() == (REPLACED, "this node has a newer connection")
        handler.decide(decided(WEB, 2))
        assert isinstance(await newer.hear(), DecisionBatch)
        assert server.agent_count == 1


async def test_an_agent_that_goes_and_comes_again_gets_the_whole_state_again() -> None:
    handler = FakeAgentHandler()
    handler.decide(decided(WEB))
    async with serving(handler) as server:
        async with connect_agent(server.listen_port) as agent:
            assert (await hear_state(agent))[1] == [decided(WEB)]
        await eventually(lambda: server.agent_count == 0, "it is gone")
        handler.decide(decided(WEB, 2))
        async with connect_agent(server.listen_port) as agent:
            assert (await hear_state(agent))[1] == [decided(WEB, 2)]


async def test_who_stops_says_so_to_its_agents() -> None:
    handler = FakeAgentHandler()
    async with serving(handler) as server:
        async with connect_agent(server.listen_port) as agent:
            await hear_state(agent)
            reading = asyncio.create_task(agent.wait_closed())
            await server.__aexit__()
            assert await reading == (1001, "this operator is stopping")
        with pytest.raises(aiohttp.ClientConnectorError):
            async with connect_agent(server.listen_port or 1):
                pass
        await server.__aenter__()


async def test_a_reader_that_stops_gets_the_newest_later_and_holds_up_nobody() -> None:
    handler = FakeAgentHandler()
    async with (
        serving(handler) as server,
        connect_agent(server.listen_port, "slow") as slow,
        connect_agent(server.listen_port, "quick") as quick,
    ):
        await hear_state(slow)
        await hear_state(quick)
        slow.pause()
        rendered = 0
        for sequence in range(2, 1002):  # 20 MB, where sockets hold a few
            handler.decide(decided(WEB, sequence, size=20_000))
            batch = await quick.hear()
            assert isinstance(batch, DecisionBatch)
            assert batch.entries[0].order.sequence == sequence
            rendered = handler.rendered
        assert rendered < 1800  # what the slow one has no room for is not even written
        assert server.behind_count == 1
        slow.resume()
        heard = 0
        sequence = 1
        while sequence < 1001:
            batch = await slow.hear()
            assert isinstance(batch, DecisionBatch)
            assert batch.entries[0].order.sequence > sequence
            sequence = batch.entries[0].order.sequence
            heard += 1
        assert heard < 800


async def test_an_agent_that_is_silent_is_asked_and_stays() -> None:
    handler = FakeAgentHandler()
    async with (
        serving(handler, ask_after=0.1, silent=0.4) as server,
        connect_agent(server.listen_port) as agent,
    ):
        await hear_state(agent)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await agent.websocket.receive()  # which answers pings, and goes on
        assert server.agent_count == 1
        assert server.refused == {}


async def test_an_operator_that_was_stopped_for_a_while_takes_nobody_for_gone() -> None:
    async with (
        serving(FakeAgentHandler(), ask_after=0.1, silent=0.4) as server,
        connect_agent(server.listen_port) as agent,
    ):
        await hear_state(agent)
        time.sleep(1)  # noqa: ASYNC251 (the whole loop stands still)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await agent.websocket.receive()
        assert (server.agent_count, server.refused) == (1, {})


async def test_an_agent_that_does_not_answer_is_gone() -> None:
    handler = FakeAgentHandler()
    async with (
        serving(handler, ask_after=0.1, silent=0.4) as server,
        connect_agent(server.listen_port, autoping=False) as agent,
    ):
        await hear_state(agent)
        await eventually(lambda: server.agent_count == 0, "it is gone", within=2)
        assert server.refused == {RefusalReason.SILENT: 1}
        assert list(handler.nodes()) == []


# --- who may not, and what makes no sense ----------------------------------------------------


async def ask(port: int, path: str, token: str | None = "good") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"https://127.0.0.1:{port}{path}", ssl=trust_anybody(), headers=headers
        ) as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "token", "status", "said", "reason"),
    [
        ("/direct/v1/nodes/n1", None, 401, "shows its token", RefusalReason.TOKEN),
        ("/direct/v1/nodes/n1", "old", 401, "has expired", RefusalReason.TOKEN),
        ("/direct/v1/nodes/n1", "foreign", 403, "is not of n1", RefusalReason.TOKEN),
        ("/direct/v1/nodes/n1", "late", 503, "no key is known", RefusalReason.UNVERIFIED),
        ("/direct/v1/nodes/n1", "good", 400, "open a websocket", RefusalReason.PROTOCOL),
        ("/metrics", "good", 404, "nothing else is here", RefusalReason.NOT_FOUND),
        ("/direct/v1/nodes/N%201", "good", 404, "nothing else is here", RefusalReason.NOT_FOUND),
    ],
)
async def test_who_is_not_served_is_told_why(
    path: str, token: str | None, status: int, said: str, reason: RefusalReason
) -> None:
    handler = FakeAgentHandler()
    async with serving(handler) as server:
        answered, text = await ask(server.listen_port, path, token)
        assert (answered, said in text) == (status, True)
        assert server.refused == {reason: 1}
        assert list(handler.nodes()) == []


async def test_a_websocket_of_another_protocol_is_refused() -> None:
    async with serving(FakeAgentHandler()) as server:
        for protocols in ((), ("vpplb.direct.v9",)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connect_agent(server.listen_port, protocols=protocols):
                    pass
            assert refused.value.status == 400


async def test_one_agent_too_many_is_refused_but_not_a_node_that_is_served() -> None:
    async with (
        serving(FakeAgentHandler(), most_agents=1) as server,
        connect_agent(server.listen_port, "n1"),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect_agent(server.listen_port, "n2"):
                pass
        assert refused.value.status == 503
        async with connect_agent(server.listen_port, "n1") as again:
            await hear_state(again)
        assert server.refused == {RefusalReason.FULL: 1}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("not JSON", 1007),
        ("{}", 1007),
        ("[" * 100_000, 1007),
        ('{"type":"report","connected":true,"programmed":{"no-slash":"r"}}', 1007),
        ('{"type":"hello","version":"1","newestTerm":-1}', 1007),
    ],
)
async def test_garbage_ends_the_connection_and_is_counted(said: str, code: int) -> None:
    handler = FakeAgentHandler()
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        await agent.say(said)
        closed, reason = await agent.wait_closed()
        assert (closed, bool(reason)) == (code, True)
        await eventually(lambda: server.agent_count == 0, "it is gone")
        assert server.refused == {RefusalReason.GARBAGE: 1}
        assert handler.said == []


async def test_what_is_no_text_ends_the_connection() -> None:
    async with (
        serving(FakeAgentHandler()) as server,
        connect_agent(server.listen_port) as agent,
    ):
        await agent.websocket.send_bytes(b"\x00\x01")
        assert (await agent.wait_closed())[0] == 1007


async def test_what_is_oversized_ends_the_connection() -> None:
    async with (
        serving(FakeAgentHandler()) as server,
        connect_agent(server.listen_port) as agent,
    ):
        await agent.say("x" * (5 * 1024 * 1024))
        assert (await agent.wait_closed())[0] in (1009, 1006, None)
        await eventually(lambda: server.agent_count == 0, "it is gone")
        assert server.refused == {RefusalReason.OVERSIZED: 1}


async def test_what_speaks_no_tls_gets_nothing() -> None:
    async with serving(FakeAgentHandler()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.listen_port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()
        with pytest.raises(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url_of(server.listen_port, "n1", "http")),
            ):
                pass
        # aiohttp tries a second time.
        await eventually(lambda: server.refused[RefusalReason.HANDSHAKE] >= 2, "all are counted")
        assert server.agent_count == 0


async def test_who_says_nothing_is_not_waited_for() -> None:
    async with serving(FakeAgentHandler(), patience=0.2) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.listen_port)
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.listen_port, ssl=trust_anybody()
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
        assert server.refused[RefusalReason.SLOW] == 2


async def test_an_agent_that_was_let_in_may_take_its_time() -> None:
    handler = FakeAgentHandler()
    async with (
        serving(handler, patience=0.3) as server,
        connect_agent(server.listen_port) as agent,
    ):
        await asyncio.sleep(0.6)
        await hear_state(agent)
        assert server.agent_count == 1


async def test_of_too_many_who_wait_the_newest_goes() -> None:
    async with serving(FakeAgentHandler(), most_waiting=1) as server:
        _, waiting = await asyncio.open_connection("127.0.0.1", server.listen_port)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.listen_port)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert server.refused[RefusalReason.CROWDED] == 1
        waiting.close()


# --- what agents are asked -------------------------------------------------------------------


async def test_an_agent_is_asked_what_vpp_has_and_answers_whoever_asked() -> None:
    async with serving(FakeAgentHandler()) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        asking = [
            asyncio.create_task(server.request_vips("n1", frontend)) for frontend in (WEB, None)
        ]
        requests = [await agent.hear() for _ in asking]
        for request in reversed(requests):  # in no order
            assert isinstance(request, VipsRequest)
            page = {"vips": [str(request.frontend)]}
            await agent.say(dump_answer(VipsAnswer(number=request.number, page=page)))
        assert [await one for one in asking] == [{"vips": ["default/web"]}, {"vips": ["None"]}]


async def test_an_agent_that_says_why_not_or_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vpplb.direct.agent_connection.ANSWER_TIMEOUT", 0.2)
    async with serving(FakeAgentHandler()) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        asking = asyncio.create_task(server.request_vips("n1", None))
        request = await agent.hear()
        assert isinstance(request, VipsRequest)
        answer = dump_answer(VipsAnswer(number=request.number, trouble="VPP is not there"))
        await agent.say(answer)
        with pytest.raises(AgentSilent, match="VPP is not there"):
            await asking
        with pytest.raises(AgentSilent, match=r"the agent of n1 has not answered in 0\.2 s"):
            await server.request_vips("n1", None)
        await agent.say(answer)  # too late, and to a question that was answered
        await agent.say(dump_hello(AgentHello(version="1")))
        await eventually(lambda: server.heard == 3, "it is listened to still")
        with pytest.raises(AgentSilent, match="the agent of n2 is not connected"):
            await server.request_vips("n2", None)


async def test_an_agent_is_not_asked_too_much_at_a_time() -> None:
    async with serving(FakeAgentHandler()) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        asking = [asyncio.create_task(server.request_vips("n1", None)) for _ in range(MOST_ASKED)]
        await asyncio.sleep(0)
        with pytest.raises(AgentSilent, match="does not take what it is sent"):
            await server.request_vips("n1", None)
        for one in asking:
            one.cancel()

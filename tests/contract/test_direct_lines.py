"""What an operator is to agents whose line, or whose end of it, is not as it should be."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack

import pytest

from data.objects import key
from fakes.agent_handler import FakeAgentHandler
from lab.descriptors import count_descriptors, descriptors
from lab.direct_server import decided, hear_state, serving
from lab.raw_agent import connect_agent, trust_anybody
from lab.waiting import eventually
from vpplb.direct.messages import (
    MOST_BYTES,
    AgentHello,
    ProgrammedReport,
    VipsAnswer,
    VipsRequest,
    dump_answer,
    dump_hello,
    dump_report,
)
from vpplb.direct.server import RefusalReason

pytestmark = pytest.mark.slow

WEB = key("web")


async def test_a_report_that_takes_longer_to_come_than_a_sign_of_life_is_waited_for() -> None:
    """Else an agent of many frontends behind a slow line would never have told of them."""
    handler = FakeAgentHandler()
    report = ProgrammedReport(
        whole=True, programmed={key(f"web{number}"): "r1" for number in range(100)}
    )
    async with (
        serving(handler, ask_after=0.1, silent=0.4) as server,
        connect_agent(server.listen_port, autoping=False) as agent,
    ):
        await hear_state(agent)
        await agent.trickle(dump_report(report), 1.2)
        await eventually(lambda: handler.said, "the report has come")
        assert handler.said == [("n1", report)]
        assert server.refused == {}


async def test_what_an_older_connection_says_counts_no_more_once_there_is_a_newer_one() -> None:
    handler = FakeAgentHandler()
    async with (
        serving(handler) as server,
        connect_agent(server.listen_port) as older,
        connect_agent(server.listen_port) as newer,
    ):
        await hear_state(newer)
        for term in range(20):
            await older.say(dump_hello(AgentHello(version="old", newest_term=term)))
        await newer.say(dump_hello(AgentHello(version="new")))
        await eventually(lambda: handler.said, "the newer one is heard")
        await older.wait_closed()
        assert handler.said == [("n1", AgentHello(version="new"))]


async def test_what_was_asked_on_an_older_connection_answers_no_question_of_a_newer_one() -> None:
    """An agent may still read its VPP for the one when it is asked the other."""
    async with serving(FakeAgentHandler()) as server:
        async with connect_agent(server.listen_port) as older:
            await hear_state(older)
            lost = asyncio.create_task(server.request_vips("n1", WEB))
            before = await older.hear()
        async with connect_agent(server.listen_port) as newer:
            await hear_state(newer)
            asking = asyncio.create_task(server.request_vips("n1", key("api")))
            request = await newer.hear()
            assert isinstance(before, VipsRequest)
            assert isinstance(request, VipsRequest)
            for asked in (before, request):
                page = {"vips": [str(asked.frontend)]}
                await newer.say(dump_answer(VipsAnswer(number=asked.number, page=page)))
            assert await asking == {"vips": ["default/api"]}
        lost.cancel()


async def test_an_agent_that_goes_on_speaking_instead_of_closing_holds_up_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vpplb.direct.agent_connection.CLOSING", 0.3)
    monkeypatch.setattr("vpplb.direct.server.CLOSING", 0.3)
    async with AsyncExitStack() as agents:
        async with serving(FakeAgentHandler()) as server:
            agent = await agents.enter_async_context(connect_agent(server.listen_port))
            await hear_state(agent)

            async def speak() -> None:
                while True:
                    await agent.say(dump_hello(AgentHello(version="1")))
                    await asyncio.sleep(0.05)

            speaking = asyncio.create_task(speak())
            await eventually(lambda: server.heard, "it is heard")
            began = time.monotonic()
        assert time.monotonic() - began < 3
        with pytest.raises(ConnectionError):
            await speaking


async def test_a_packed_message_is_no_way_to_send_more_than_is_read() -> None:
    """Nothing was agreed on, so the bit of a packed frame (RFC 7692) is garbage."""
    async with serving(FakeAgentHandler()) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        agent.send_frame(0xC1, b"\x4b\x04\x00")
        assert (await agent.wait_closed())[0] == 1002
        await eventually(lambda: server.agent_count == 0, "it is gone")
        assert server.refused == {RefusalReason.GARBAGE: 1}


async def test_the_longest_message_is_read() -> None:
    """An answer may be as long as that, and is told from a longer one by whoever writes it."""
    handler = FakeAgentHandler()
    async with serving(handler) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        await agent.say(dump_hello(AgentHello(version="1")).ljust(MOST_BYTES))
        await eventually(lambda: handler.said, "it is read")
        assert server.refused == {}


async def test_a_message_in_a_great_many_pieces_is_bounded_as_any_other() -> None:
    async with serving(FakeAgentHandler()) as server, connect_agent(server.listen_port) as agent:
        await hear_state(agent)
        agent.send_frame(0x01, b"x" * 60_000)  # the first of several
        for _ in range(80):
            agent.send_frame(0x00, b"x" * 60_000)
        await eventually(lambda: server.agent_count == 0, "it is gone")
        assert server.refused == {RefusalReason.OVERSIZED: 1}


async def test_without_descriptors_whoever_is_served_stays_and_others_come_in_later() -> None:
    handler = FakeAgentHandler()
    async with serving(handler) as server, connect_agent(server.listen_port) as served:
        await hear_state(served)
        late = socket.socket()
        late.setblocking(False)
        with descriptors(0):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(late, ("127.0.0.1", server.listen_port))
            handler.decide(decided(WEB, 2))
            await served.hear()
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(
                sock=late, ssl=trust_anybody(), server_hostname=""
            )
        writer.close()
        await writer.wait_closed()
        assert server.agent_count == 1


async def test_more_agents_are_served_than_a_process_may_have_descriptors_unless_it_asks() -> None:
    """Container runtimes give 1024, and as many as a server needs to whoever asks."""
    handler = FakeAgentHandler()
    async with AsyncExitStack() as parts:
        parts.enter_context(descriptors(count_descriptors() + 20))
        server = await parts.enter_async_context(serving(handler))
        for number in range(30):
            await parts.enter_async_context(connect_agent(server.listen_port, f"n{number}"))
        assert server.agent_count == 30

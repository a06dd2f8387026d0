"""The agent looks whether it is kept to its own node."""

import asyncio
import logging

import pytest

from fakes.api_server import FakeApiServer
from vpplb.agent.node_guard import AGAIN, FIRST, LONGEST_NAME, NodeGuard
from vpplb.kube.api_types import ApiUnreachable
from vpplb.model.names import ObjectKey

pytestmark = pytest.mark.looptime

LEASE = ObjectKey("vpplb-system", "node-1")


async def look(server: FakeApiServer, *, after: float = FIRST + 1) -> NodeGuard:
    guard = NodeGuard(server, LEASE)
    running = asyncio.create_task(guard.run())
    await asyncio.sleep(after)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return guard


async def test_who_is_refused_once_is_content_and_asks_no_more() -> None:
    server = FakeApiServer(forbidden=True)
    guard = await look(server, after=10 * AGAIN)
    assert guard.said == "kept to its own node"
    assert server.requests == [("is_forbidden", ObjectKey("vpplb-system", "not-node-1"), {})]
    assert server.objects == {}


async def test_who_is_not_refused_says_so_and_looks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = FakeApiServer(forbidden=False)
    with caplog.at_level(logging.WARNING):
        guard = await look(server)
    assert (
        guard.said == "may write for other nodes: no admission policy keeps its account to its own"
    )
    assert "agent.ownNodeOnly" in caplog.text
    server.forbidden = True
    guard = await look(server, after=FIRST + AGAIN + 1)
    assert guard.said == "kept to its own node"


async def test_an_installation_may_make_its_policy_a_moment_after_the_agent() -> None:
    server = FakeApiServer(forbidden=False)
    assert (await look(server, after=FIRST - 1)).said == "not looked at yet"
    assert server.requests == []


async def test_where_nobody_answers_nothing_is_claimed_and_it_looks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = FakeApiServer(forbidden=True)
    server.faults.append(ApiUnreachable("away"))
    guard = await look(server)
    assert guard.said == "not known: away"
    assert caplog.records == []
    server.faults.append(ApiUnreachable("away"))
    assert (await look(server, after=FIRST + AGAIN + 1)).said == "kept to its own node"


async def test_the_longest_name_of_a_node_leaves_room_for_the_question() -> None:
    server = FakeApiServer(forbidden=True)
    guard = NodeGuard(server, ObjectKey("a", "n" * LONGEST_NAME))
    running = asyncio.create_task(guard.run())
    await asyncio.sleep(FIRST + 1)
    await running
    [(_, asked, _)] = server.requests
    assert len(asked.name) == LONGEST_NAME
    assert asked.name != "n" * LONGEST_NAME

"""What a standby tells agents and people of the election, beside electors at work."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.lease_line import LeaseStore
from in_memory.direct_agents import connect
from in_memory.found_operator import FoundOperator
from in_memory.operator import LocalOperator
from vpplb.controller.election_news import TELL_EVERY, ElectionNews
from vpplb.model.release_identity import ReleaseIdentity

pytestmark = pytest.mark.looptime


@pytest.fixture
async def standby() -> AsyncIterator[FoundOperator]:
    """Give an operator that stands by while another of the release `system` leads."""
    server = LeaseStore()
    leader = FoundOperator(server, "leader")
    await asyncio.sleep(1)
    second = FoundOperator(server, "second")
    await asyncio.sleep(5)
    yield second
    await second.stop()
    await leader.stop()


async def test_agents_are_told_who_leads(standby: FoundOperator, operator: LocalOperator) -> None:
    agent = connect(operator, "n1")
    assert agent.take_role().why == "nobody is known to lead yet"
    news = ElectionNews(standby.elector, ReleaseIdentity("system"), operator.core.publisher)
    telling = asyncio.create_task(news.run())
    await asyncio.sleep(TELL_EVERY)
    role = agent.take_role()
    assert (role.leads, role.why) == (False, "leader leads")
    telling.cancel()


async def test_a_standby_of_the_leaders_release_is_in_order(
    standby: FoundOperator, operator: LocalOperator
) -> None:
    news = ElectionNews(standby.elector, ReleaseIdentity("system"), operator.core.publisher)
    assert news.explain_standby() == ""


async def test_a_standby_for_another_release_says_so_once(
    standby: FoundOperator, operator: LocalOperator, caplog: pytest.LogCaptureFixture
) -> None:
    news = ElectionNews(standby.elector, ReleaseIdentity("other"), operator.core.publisher)
    telling = asyncio.create_task(news.run())
    await asyncio.sleep(5 * TELL_EVERY)
    assert "leader of release system leads" in news.explain_standby()
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == [news.explain_standby()]
    telling.cancel()

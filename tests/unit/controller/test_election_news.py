"""What a standby tells agents and people of the election, beside electors at work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakes.lease_line import LeaseStore
from in_memory.direct_agents import connect
from in_memory.found_operator import FoundOperator
from in_memory.operator import LocalOperator
from vpplb.controller.election_news import TELL_EVERY, ElectionNews
from vpplb.model.release_identity import ReleaseIdentity

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def standby() -> AsyncIterator[FoundOperator]:
    """Give an operator that stands by while another of the release `system` leads.

    No fixture, in which loop time does not leap.
    """
    server = LeaseStore()
    leader = FoundOperator(server, "leader")
    await asyncio.sleep(1)
    second = FoundOperator(server, "second")
    await asyncio.sleep(5)
    yield second
    await second.stop()
    await leader.stop()


async def test_agents_are_told_who_leads(operator: LocalOperator) -> None:
    async with standby() as second:
        agent = connect(operator, "n1")
        assert agent.take_role().why == "nobody is known to lead yet"
        news = ElectionNews(second.elector, ReleaseIdentity("system"), operator.core.publisher)
        telling = asyncio.create_task(news.run())
        await asyncio.sleep(TELL_EVERY)
        role = agent.take_role()
        assert (role.leads, role.why) == (False, "leader leads")
        telling.cancel()


async def test_a_standby_of_the_leaders_release_is_in_order(operator: LocalOperator) -> None:
    async with standby() as second:
        news = ElectionNews(second.elector, ReleaseIdentity("system"), operator.core.publisher)
        assert news.explain_standby() == ""


async def test_a_standby_for_another_release_says_so_once(
    operator: LocalOperator, caplog: pytest.LogCaptureFixture
) -> None:
    async with standby() as second:
        news = ElectionNews(second.elector, ReleaseIdentity("other"), operator.core.publisher)
        telling = asyncio.create_task(news.run())
        await asyncio.sleep(5 * TELL_EVERY)
        assert "leader of release system leads" in news.explain_standby()
        said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert said == [news.explain_standby()]
        telling.cancel()

"""What is noted of a decision: when it was made, and how long each node took to have it."""

import asyncio

import pytest

from data.objects import key
from in_memory.direct_agents import connect, lead, node_is, report, revision_of
from in_memory.operator import LocalOperator
from lab.scrape import scrape_metrics
from vpplb.controller.decision_records import LATEST_OBSERVED
from vpplb.direct.messages import ProgrammedReport

pytestmark = pytest.mark.looptime


async def test_how_long_it_took_is_told_by_road(operator: LocalOperator) -> None:
    await lead(operator, "n1", "n2")
    agent = connect(operator, "n1")
    report(operator, agent, web=revision_of(operator))
    node_is(operator, "n2", {"default/web": revision_of(operator)})
    text = scrape_metrics(operator.registry)
    for road in ("direct", "status"):
        assert f'vpplb_decision_to_vpp_seconds_count{{road="{road}"}} 1.0' in text


async def test_a_node_that_comes_back_to_an_old_decision_tells_of_no_road(
    operator: LocalOperator,
) -> None:
    await lead(operator, "n1")
    agent = connect(operator, "n1")
    report(operator, agent, web=revision_of(operator))
    await asyncio.sleep(LATEST_OBSERVED + 1)
    gone = ProgrammedReport(connected=False, removed=(key("web"),))  # its VPP has restarted
    operator.core.publisher.on_message(agent, gone)
    report(operator, agent, web=revision_of(operator))
    text = scrape_metrics(operator.registry)
    assert 'vpplb_decision_to_vpp_seconds_count{road="direct"} 1.0' in text

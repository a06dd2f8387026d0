"""People are told of decisions behind what is more urgent, in order, and never too late."""

import asyncio
from contextlib import suppress

import pytest

from vpplb.controller.decision_queue import PATIENCE, QUIET, DecisionQueue
from vpplb.plan.decisions import Decisions

pytestmark = pytest.mark.looptime


class ToldPeople:
    """Notes what is told and when, by the loop's time."""

    def __init__(self) -> None:
        self.told: list[tuple[float, bool]] = []
        self.announcer = DecisionQueue(self._tell)
        self.task = asyncio.create_task(self.announcer.run())

    def _tell(self, decisions: Decisions) -> None:
        self.told.append((asyncio.get_running_loop().time(), decisions.alarm_changed))

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def test_a_decision_is_told_when_no_other_has_come_for_a_moment() -> None:
    people = ToldPeople()
    people.announcer.put_decisions(Decisions())
    await asyncio.sleep(QUIET / 2)
    people.announcer.put_decisions(Decisions(alarm_changed=True))
    assert people.told == []
    await asyncio.sleep(2 * QUIET)
    assert [changed for _, changed in people.told] == [False, True]
    assert people.told[0][0] == pytest.approx(1.5 * QUIET, abs=0.002)
    await people.stop()


async def test_however_many_come_the_first_is_told_in_time() -> None:
    people = ToldPeople()
    for _ in range(int(3 * PATIENCE / (QUIET / 2))):
        people.announcer.put_decisions(Decisions())
        await asyncio.sleep(QUIET / 2)
    assert people.told[0][0] == pytest.approx(PATIENCE, abs=0.002)
    await people.stop()


async def test_a_mistake_in_what_is_said_costs_that_alone(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Decisions] = []

    def fail(_: Decisions) -> None:
        raise ZeroDivisionError

    announcer = DecisionQueue(fail, told.append)
    announcer.put_decisions(Decisions())
    announcer.put_decisions(Decisions())
    announcer.flush()
    assert len(told) == 2
    assert caplog.text.count("decisions are not announced") == 2


async def test_what_is_left_at_the_end_is_told_then() -> None:
    people = ToldPeople()
    await asyncio.sleep(0)
    people.announcer.put_decisions(Decisions())
    await people.stop()
    assert len(people.told) == 1

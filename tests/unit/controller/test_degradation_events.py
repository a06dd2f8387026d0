"""Events at the edges of what keeps frontends from serving as they should, and how few they are."""

import asyncio
import re

import pytest

from data.manifests import backend, frontend, health_check
from data.objects import key
from in_memory.operator import LocalOperator
from vpplb.controller.degradation_events import (
    BURST,
    DEGRADATION_EVENTS,
    GATHER,
    MOST_AT_ONCE,
    DegradationEvents,
)
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.resources.condition_reasons import (
    BACKENDS_DOWN,
    DEGRADATIONS,
    NODES_BEHIND,
    PROBER_SUSPECT,
    ConditionReason,
)
from vpplb.resources.event_reasons import EventNote
from vpplb.resources.frontend_conditions import FrontendDegradation, FrontendJudgement

pytestmark = pytest.mark.looptime

WEB = key("web")


class DegradationEar(DegradationEvents):
    """What is told, as `web Warning NodesBehind: so`."""

    def __init__(self, *frontends: ObjectKey) -> None:
        super().__init__(self._hear)
        self.heard: list[str] = []
        for one in frontends:
            self.set_announced(one, "")

    def _hear(self, about: ObjectKey, note: EventNote) -> None:
        self.heard.append(f"{about.name} {note.type} {note.reason}: {note.text}")

    def judge(
        self, *reasons: ConditionReason, of: ObjectKey = WEB, state: HealthState = HealthState.UP
    ) -> None:
        found = tuple(FrontendDegradation(reason=one, message="so") for one in reasons)
        judged = FrontendJudgement(state=state, conditions=(), degradations=found, problem="")
        self.note_judgement(of, judged)


@pytest.mark.parametrize("reason", DEGRADATIONS, ids=lambda one: str(one.reason))
async def test_each_reason_is_told_when_it_begins_and_when_it_ends(reason: ConditionReason) -> None:
    ear = DegradationEar(WEB)
    ear.judge(reason)
    await asyncio.sleep(2 * GATHER)
    by_alarm = reason == PROBER_SUSPECT
    assert ear.heard == ([] if by_alarm else [f"web Warning {reason.reason}: so"])
    ear.judge()
    await asyncio.sleep(2 * GATHER)
    events = DEGRADATION_EVENTS[reason.reason]
    assert ear.heard[-1] == f"web Normal {events.ends.reason}: {events.ended}"


async def test_what_goes_on_is_told_once() -> None:
    ear = DegradationEar(WEB)
    for _ in range(10):
        ear.judge(BACKENDS_DOWN)
        await asyncio.sleep(GATHER)
    assert len(ear.heard) == 1


async def test_what_passes_within_a_moment_is_not_told() -> None:
    ear = DegradationEar(WEB)
    ear.judge(NODES_BEHIND)
    await asyncio.sleep(GATHER / 2)
    ear.judge()
    await asyncio.sleep(3 * GATHER)
    assert ear.heard == []


async def test_a_frontend_that_is_down_or_unknown_has_recovered_from_nothing() -> None:
    ear = DegradationEar(WEB)
    ear.judge(BACKENDS_DOWN)
    await asyncio.sleep(2 * GATHER)
    for state in (HealthState.DOWN, HealthState.UNKNOWN):
        ear.judge(state=state)
        await asyncio.sleep(2 * GATHER)
    assert len(ear.heard) == 1
    ear.judge()
    await asyncio.sleep(2 * GATHER)
    assert ear.heard[1:] == ["web Normal BackendsRecovered: no backend is missed any more"]


async def test_what_one_cause_does_to_many_is_told_of_few_with_their_number() -> None:
    them = [key(f"web{n:03}") for n in range(300)]
    ear = DegradationEar(*them)
    for one in them:
        ear.judge(NODES_BEHIND, of=one)
    await asyncio.sleep(2 * GATHER)
    assert len(ear.heard) == MOST_AT_ONCE
    assert ear.heard[-1] == "web009 Warning NodesBehind: so; and so of 290 frontends more"


async def test_the_end_of_a_suspicion_is_told_once_for_all() -> None:
    them = [key(f"web{n}") for n in range(3)]
    ear = DegradationEar(*them)
    for reasons in ((PROBER_SUSPECT,), ()):
        for one in them:
            ear.judge(*reasons, of=one)
        await asyncio.sleep(2 * GATHER)
    assert ear.heard == [
        "web0 Normal ProberTrusted: the prober is suspected no more; and so of 2 frontends more"
    ]


async def test_what_flaps_for_an_hour_is_told_once_a_minute_with_how_often_it_changed() -> None:
    ear = DegradationEar(WEB)
    for n in range(1200):
        ear.judge(*([BACKENDS_DOWN] if n % 2 == 0 else []))
        await asyncio.sleep(3)
    assert BURST <= len(ear.heard) <= BURST + 61
    assert re.search(r"; it has changed (19|20|21) times$", ear.heard[-1])


async def test_what_the_status_told_before_is_not_told_again_and_its_end_is() -> None:
    ear = DegradationEar()
    ear.set_announced(WEB, "NoBackendUp,NodesBehind,BackendsDown")
    ear.judge(NODES_BEHIND, BACKENDS_DOWN)
    await asyncio.sleep(2 * GATHER)
    assert ear.heard == []
    ear.judge(BACKENDS_DOWN)
    await asyncio.sleep(2 * GATHER)
    assert ear.heard == ["web Normal NodesCaughtUp: no node is behind any more"]


async def test_a_status_that_was_stale_is_told_to_be_kept_again() -> None:
    ear = DegradationEar()
    ear.set_announced(WEB, "Stale: as of then, nobody has probed since: nobody is there")
    ear.judge()
    await asyncio.sleep(2 * GATHER)
    assert ear.heard == ["web Normal ServedAgain: its status is kept again"]


async def test_of_a_deleted_frontend_nothing_is_told() -> None:
    ear = DegradationEar(WEB)
    ear.judge(NODES_BEHIND)
    ear.forget_frontend(WEB)
    ear.judge(BACKENDS_DOWN)
    await asyncio.sleep(2 * GATHER)
    assert ear.heard == []


async def test_an_operator_tells_the_edges_of_what_its_statuses_say(
    operator: LocalOperator,
) -> None:
    check = {"healthCheckRef": {"name": "check"}}
    pools = [{"name": one, "backends": [{"name": one}]} for one in "ab"]
    operator.apply(health_check(), *(backend(name, "10.0.0.1", **check) for name in "ab"))
    operator.apply(frontend(pools=pools))
    operator.carry("web")
    await operator.settle()
    operator.verdict("a", up=True)
    operator.verdict("b", up=True)
    await asyncio.sleep(10)
    operator.events()
    operator.verdict("a", up=False)
    await asyncio.sleep(5)
    told = {(reason, type_) for type_, reason, _ in operator.events()}
    assert {("FailedOver", "Warning"), ("BackendsDown", "Warning")} <= told
    operator.verdict("a", up=True)
    await asyncio.sleep(5)
    told = {(reason, type_) for type_, reason, _ in operator.events()}
    assert {("FailedBack", "Normal"), ("BackendsRecovered", "Normal")} <= told

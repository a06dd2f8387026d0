"""The guard's holds. Its rules are the cases of tests/scenarios/blind_prober.yaml."""

import asyncio
from datetime import timedelta

import pytest

from data.objects import in_state, key
from vpplb.model.check import Cadence
from vpplb.model.health import HealthState, Response
from vpplb.plan.guard import Alarm, Suspicion
from vpplb.reconcile.sentry import Sentry

SECOND = timedelta(seconds=1)
CADENCE = Cadence(interval=SECOND, fast_interval=SECOND, down_interval=SECOND, timeout=SECOND)
GRACE = 3.2
NAMES = "abcdefghijkl"
UP = in_state(HealthState.UP)


class Bench:
    """A sentry on the loop's own clock, with twelve backends that are up and answer."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.woken: list[float] = []
        self.sentry = Sentry(self._wake, enabled=enabled)
        for name in NAMES:
            self.sentry.watch(key(name), CADENCE, UP)
            self.sentry.turned(key(name), Response.PASSED)
        self.sentry.review()

    def _wake(self) -> None:
        self.woken.append(asyncio.get_running_loop().time())
        self.sentry.review()

    def fall(self, names: str, *, alone: bool = False) -> set[str]:
        """Let these go down by silence; return whose standing is another one."""
        for name in names:
            self.sentry.turned(key(name), Response.SILENT)
            self.sentry.decided(key(name), up=False, alone=alone)
        return {touched.name for touched in self.sentry.review()}

    def silent(self, names: str) -> None:
        """Let the results of these turn to silence, without a verdict."""
        for name in names:
            self.sentry.turned(key(name), Response.SILENT)
        self.sentry.review()

    def answer(self, names: str) -> set[str]:
        for name in names:
            self.sentry.turned(key(name), Response.PASSED)
        return {touched.name for touched in self.sentry.review()}

    def held(self) -> str:
        return "".join(name for name in NAMES if self.sentry.holds(key(name)))

    def doubted(self) -> str:
        return "".join(name for name in NAMES if self.sentry.doubts(key(name)))


@pytest.fixture
async def bench() -> Bench:
    return Bench()


pytestmark = pytest.mark.looptime


async def test_who_is_silent_is_doubted_and_held_once_the_prober_is_suspected(
    bench: Bench,
) -> None:
    assert bench.fall("abcdefghijk") == set("abcdefghijk")
    assert (bench.held(), bench.doubted()) == ("abcdefghijk", "abcdefghijk")
    assert bench.sentry.alarm == Alarm(silent=11, were_up=12)


async def test_less_than_that_touches_nobody(bench: Bench) -> None:
    assert bench.fall("abcdefghij") == set()
    assert (bench.held(), bench.doubted(), bench.sentry.alarm) == ("", "", None)


async def test_one_that_falls_silent_later_is_doubted_and_held_too(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    assert bench.fall("l") == {"l"}
    assert (bench.held(), bench.doubted()) == (NAMES, NAMES)


async def test_a_review_of_nothing_touches_nobody(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    assert not bench.sentry.review()


async def test_after_the_suspicion_it_wakes_who_asks_when_a_hold_lapses(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    began = asyncio.get_running_loop().time()
    assert bench.answer("ab") == set("abcdefghijk")
    assert (bench.held(), bench.doubted()) == ("abcdefghijk", "")
    bench.answer("c")
    bench.sentry.turned(key("c"), Response.SILENT)
    bench.sentry.decided(key("c"), up=True, alone=False)
    bench.sentry.review()
    await asyncio.sleep(60)
    assert bench.woken == [pytest.approx(began + GRACE, abs=0.01)]
    assert bench.held() == "ab"  # these pass, and wait for their verdict


async def test_a_verdict_ends_a_hold(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    bench.answer("ab")
    bench.sentry.decided(key("a"), up=True, alone=False)
    assert "a" not in bench.held()


async def test_once_closed_it_wakes_nobody(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    bench.answer("ab")
    bench.sentry.close()
    await asyncio.sleep(60)
    assert bench.woken == []


async def test_a_check_that_ended_is_neither_held_nor_doubted(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    bench.sentry.unwatch(key("a"))
    bench.sentry.turned(key("a"), Response.SILENT)
    bench.sentry.decided(key("a"), up=False, alone=True)
    bench.sentry.review()
    assert (bench.held(), bench.doubted()) == ("bcdefghijk", "bcdefghijk")


async def test_disabled_it_holds_nobody_and_lets_go_whom_another_held() -> None:
    bench = Bench(enabled=False)
    assert bench.fall(NAMES, alone=True) == set()
    bench.sentry.watch(key("a"), CADENCE, in_state(HealthState.DOWN, held=True))
    assert bench.held() == "a"
    assert {touched.name for touched in bench.sentry.review()} == {"a"}
    assert bench.held() == ""
    assert bench.sentry.suspicion is Suspicion.TRUSTED


async def test_whom_another_held_is_held_until_somebody_answers() -> None:
    bench = Bench()
    for name in "abc":
        bench.sentry.watch(key(name), CADENCE, in_state(HealthState.DOWN, held=True))
    bench.sentry.review()
    await asyncio.sleep(60)
    assert bench.held() == "abc"
    bench.answer("d")
    assert bench.held() == "abc"  # for the time of one probe
    await asyncio.sleep(60)
    assert bench.held() == ""


async def test_each_suspicion_gives_time_anew_to_who_fails_again_after_it(bench: Bench) -> None:
    bench.fall("abcdefghijk")
    bench.answer("abcdefghijk")
    bench.silent("a")  # what time that gives is used up
    bench.answer("a")
    bench.silent("abcdefghijk")
    assert bench.sentry.alarm is not None
    bench.answer("ab")
    await asyncio.sleep(1)
    bench.silent("a")
    await asyncio.sleep(GRACE - 0.5)
    assert bench.held() == "ab"
    await asyncio.sleep(1)
    assert bench.held() == "b"

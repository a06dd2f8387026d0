from collections.abc import Iterator

import pytest

from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.body_regexp import BodyRegexp
from vpplb.probers.conversation import BodySearch, Step
from vpplb.probers.poller import EventPoller
from vpplb.probers.searcher import ASIDE, BodySearchProcess

ENDLESS = "|".join(f"a[ab]{{{900 + i}}}{chr(99 + i % 20)}" for i in range(60))
PAGE = bytes(97 + (n * n // 7) % 2 for n in range(65536))


class Rig:
    """A searcher, and what it said."""

    def __init__(self) -> None:
        self.poller = EventPoller()
        self.now = 0.0
        self.searcher = BodySearchProcess(self.poller, lambda: self.now)
        self.said: list[tuple[str, bool | None]] = []

    def order(self, pattern: str, body: bytes = PAGE):  # type: ignore[no-untyped-def]
        def then(found: bool) -> Step:
            return ProbeResult(code=ProbeCode.L7OK)

        search = BodySearch(regexp=BodyRegexp(pattern), body=body, whole=True, then=then)
        return self.searcher.order_search(search, lambda found: self.said.append((pattern, found)))

    def run(self) -> None:
        """Wait until somebody is told."""
        before = len(self.said)
        while len(self.said) == before:
            happened = self.poller.wait_for_events(20.0)
            assert happened
            self.poller.dispatch_events(happened)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.searcher.close()
    rig.poller.close()


@pytest.mark.slow
class TestSearcher:
    def test_searches_go_by_their_cost_and_say_what_they_found(self, rig: Rig) -> None:
        for pattern in ("first", "[ab]{500}", "abc", "ab|c"):
            rig.order(pattern)
        for _ in range(4):
            rig.run()
        assert [found for _, found in rig.said] == [False, False, True, True]
        assert rig.said[-1][0] == "[ab]{500}"

    def test_one_that_takes_too_long_ends_and_is_put_aside_for_a_while(self, rig: Rig) -> None:
        job = rig.order(ENDLESS)
        rig.order("ab")
        assert job.runs
        rig.searcher.cancel_search(job, too_long=True)
        rig.run()
        assert rig.said == [("ab", True)]
        assert rig.searcher.is_aside(BodyRegexp(ENDLESS))
        assert not rig.searcher.is_aside(BodyRegexp("ab"))
        rig.now = ASIDE
        assert not rig.searcher.is_aside(BodyRegexp(ENDLESS))

    def test_a_crash_is_told_and_the_next_search_goes_on(self, rig: Rig) -> None:
        rig.order(ENDLESS)
        process = rig.searcher._process
        assert process is not None
        process.kill()
        rig.run()
        rig.order("ab")
        rig.run()
        assert rig.said == [(ENDLESS, None), ("ab", True)]
        assert rig.searcher.is_aside(BodyRegexp(ENDLESS))

    def test_one_that_nobody_wants_any_more_is_not_searched_for(self, rig: Rig) -> None:
        running, waiting = rig.order(ENDLESS), rig.order("a.*b")
        rig.searcher.cancel_search(waiting)
        rig.searcher.cancel_search(running)
        rig.order("ab")
        rig.run()
        assert rig.said == [("ab", True)]
        assert not rig.searcher.is_aside(BodyRegexp(ENDLESS))

"""What people are shown of the election, beside electors at work."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from fakes.clock import LoopClock
from fakes.lease_line import LeaseStore
from in_memory.found_operator import FoundOperator
from in_memory.operator import LocalOperator
from vpplb.controller.election_news import TELL_EVERY, ElectionNews
from vpplb.controller.election_view import ElectionView
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.resources.fields import format_time
from vpplb.telemetry.event_stream import OLDEST

pytestmark = pytest.mark.looptime

DECIDED = datetime(2026, 1, 1, 8, tzinfo=UTC)


class Watched:
    """An operator that takes part in the election, and what its view tells."""

    def __init__(self, server: LeaseStore, name: str, *, has_road: bool = True) -> None:
        self.found, self.core = FoundOperator(server, name), LocalOperator().core
        self.reconciler, self.stream = self.core.reconciler, self.core.stream
        news = ElectionNews(self.found.elector, ReleaseIdentity("system"), self.core.publisher)
        self.view = ElectionView(
            self.found.elector,
            news,
            self.reconciler,
            self.stream,
            LoopClock(),
            list_operators=(lambda: self.found.known) if has_road else None,
            decided_at=lambda: DECIDED,
        )
        self._telling = asyncio.create_task(self.view.run())

    async def read_events(self) -> list[Mapping[str, object]]:
        """Return what was told since the beginning, one for each that was not replaced."""
        told = []
        async for event in self.stream.subscribe(OLDEST):
            told.append(event.data)
            if event.id == self.stream.last_id:
                break
        return told

    async def crash(self) -> None:
        self._telling.cancel()
        await self.found.crash()


async def begin_leading(server: LeaseStore) -> Watched:
    one = Watched(server, "leader")
    await asyncio.sleep(1)
    one.reconciler.set_synced(one.found.elector.term)
    return one


async def begin_both() -> tuple[Watched, Watched]:
    """Give a leader and a standby of one release."""
    server = LeaseStore()
    leader, standby = await begin_leading(server), Watched(server, "second")
    await asyncio.sleep(5)
    return leader, standby


async def test_the_leader_shows_itself_and_who_stands_by() -> None:
    leader, _ = await begin_both()
    shown = leader.view.show()
    assert (shown["role"], shown["leader"], shown["standbys"]) == ("leading", "leader", ["second"])
    assert (shown["probing"], shown["silentSince"]) == (True, None)
    assert shown["term"] == leader.found.elector.term
    assert shown["decidedAt"] == "2026-01-01T08:00:00.000000Z"
    acquired = leader.found.elector.leader_since
    assert acquired is not None
    assert shown["leaderSince"] == format_time(acquired)


async def test_a_standby_shows_who_leads_and_that_it_does_not_probe_itself() -> None:
    leader, standby = await begin_both()
    shown = standby.view.show()
    assert (shown["role"], shown["leader"], shown["standbys"]) == ("standby", "leader", ["second"])
    assert (shown["probing"], shown["silentSince"]) == (False, None)
    assert shown["term"] == leader.found.elector.term


async def test_one_that_leads_and_has_not_begun_says_since_when_nobody_probes() -> None:
    one = Watched(LeaseStore(), "first")
    await asyncio.sleep(1)
    shown = one.view.show()
    assert (shown["role"], shown["leader"], shown["probing"]) == ("leading", "first", False)
    assert str(shown["silentSince"]) < str(shown["now"])
    await one.crash()


async def test_a_standby_that_cannot_take_over_says_since_when_nobody_leads() -> None:
    leader, standby = await begin_both()
    await leader.crash()
    standby.found.line.cut = True
    await asyncio.sleep(16)
    renewed = standby.found.elector.renewed_at
    shown = standby.view.show()
    assert (shown["leader"], shown["leaderSince"]) == ("", None)
    assert renewed is not None
    assert shown["silentSince"] == format_time(renewed)
    assert shown["trouble"] == "connection refused"


async def test_where_the_direct_road_is_off_nobody_tells_who_stands_by() -> None:
    one = Watched(LeaseStore(), "first", has_road=False)
    assert one.view.show()["standbys"] is None
    await one.crash()


async def test_an_event_tells_each_change_and_nothing_is_told_meanwhile() -> None:
    leader, standby = await begin_both()
    before = standby.stream.last_id
    await asyncio.sleep(10 * TELL_EVERY)
    assert standby.stream.last_id == before
    await leader.crash()
    await asyncio.sleep(20)
    assert (await standby.read_events())[-1]["leader"] == "second"
    assert standby.stream.last_id != before

"""Never may two write at one instant, whatever the network, the clocks and the people do.

And each leader's term is later than that of every leader before it, until a lease is deleted.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

import looptime
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from data.examples import examples
from fakes.clock import LoopClock
from fakes.lease_line import KEY, LeaseLine, LeaseStore
from vpplb.direct.operator_directory import PREFIX
from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.leader_election import LeaderElector, LeadershipLost, WriteFence
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.kube.leases.served_scopes import PREFIX as SCOPE
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.model.names import ObjectKey, ObjectKind

DURATION = 15.0
MEMBERS = 3
LEADER = -1
"""In an action: the member that leads, or the first when none does."""


class SlowRequests(NamedTuple):
    """A member's requests take this long from now on, there and back."""

    member: int
    there: float
    back: float


class Cut(NamedTuple):
    """For so long nothing arrives from a member, or (`deaf`) nothing comes back."""

    member: int
    deaf: bool
    seconds: float


class Mend(NamedTuple):
    """A member's line is quick again."""

    member: int


class Crash(NamedTuple):
    """A member ends without a word, and is started again under its name."""

    member: int


class Stop(NamedTuple):
    """A member ends in order, and is started again under its name."""

    member: int


class Delete(NamedTuple):
    """An administrator deletes the lease."""


class Edit(NamedTuple):
    """An administrator writes a holder into the lease; None: removes it."""

    holder: str | None


class Publish(NamedTuple):
    """An operator writes into the lease where it is reached, which is no matter of the election."""

    member: int


Line = SlowRequests | Cut | Mend
Action = Line | Crash | Stop | Delete | Edit | Publish

members = st.sampled_from([LEADER, LEADER, *range(MEMBERS)])
delays = st.sampled_from([0.0, 0.01, 0.3, 1.0, 2.4, 3.0, 6.0, 14.0, 40.0])
lines = st.one_of(
    st.builds(SlowRequests, members, delays, delays),
    st.builds(Cut, members, st.booleans(), st.sampled_from([1.0, 9.0, 17.0, 33.0])),
    st.builds(Mend, members),
)
publications = st.builds(Publish, members)
restarts = st.one_of(st.builds(Crash, members), st.builds(Stop, members), publications)
people = st.one_of(
    st.just(Delete()),
    st.builds(Edit, st.sampled_from([None, "member-0", "member-1", "a stranger"])),
    publications,
)
pauses = st.sampled_from([0.0, 0.1, 0.9, 2.0, 4.0, 9.9, 10.1, 15.0, 21.0])


def courses(actions: st.SearchStrategy[Action]) -> st.SearchStrategy[list[tuple[float, Action]]]:
    return st.lists(st.tuples(pauses, actions), max_size=25).filter(_deleted_once)


def _deleted_once(course: list[tuple[float, Action]]) -> bool:
    """Leave out what nobody could tell: a lease deleted, taken anew, and deleted at once."""
    return sum(isinstance(action, Delete) for _, action in course) <= 1


@dataclass(slots=True)
class WatchedFence(WriteFence):
    """A fence that makes sure, whenever it is opened, that no other is open."""

    others: Callable[[], Sequence[WriteFence]] = field(kw_only=True)

    def extend_until(self, until: float) -> None:
        now = asyncio.get_running_loop().time()
        if until > now:
            valid = [one for one in self.others() if one is not self and one.open_until > now]
            assert not valid, "two may write at one instant"
        WriteFence.extend_until(self, until)


@dataclass(slots=True)
class Registry(LeaseStore):
    """The server; it makes sure that nobody takes a lease that is still in force.

    Nor one by a term that is not later than all before it.
    """

    in_force: bool = True
    _since: float = 0.0
    _terms: set[str] = field(default_factory=set)
    _newest_term: str = ""

    def record(self, event: str, kind: ObjectKind, key: ObjectKey, now: JsonObject) -> None:
        before, at = self.lease, asyncio.get_running_loop().time()
        held_by = self.holder
        LeaseStore.record(self, event, kind, key, now)
        self._check_terms(event, now)
        if event == "DELETED" or (before is not None and before["spec"] == now["spec"]):
            return
        if self.in_force and held_by not in ("", self.holder) and self.holder:
            assert at - self._since > DURATION - 0.001, "a lease was taken that was in force"
        self._since = at

    def _check_terms(self, event: str, now: JsonObject) -> None:
        if event == "DELETED":
            self._newest_term = ""
            return
        shown = set(list_terms(now))
        new = shown - self._terms  # a leader whose record was deleted writes itself in again
        assert not new or min(new) > self._newest_term, "a term is not later"
        self._terms |= shown
        self._newest_term = max(self._newest_term, *shown, "")


def list_terms(lease: JsonObject) -> Iterator[str]:
    """Find the times of acquiring in all records: texts that sort as the times do."""
    annotations = lease["metadata"].get("annotations") or {}
    records = [json.loads(text) for name, text in annotations.items() if name.startswith(SCOPE)]
    for record in (lease.get("spec") or {}, *records):
        if record.get("acquireTime"):
            yield record["acquireTime"]


class ElectionMember:
    """A program that takes part, for as many lives as it has."""

    def __init__(self, house: "House", number: int, skew: float, scope: ServedScope) -> None:
        self._house, self._number, self.scope = house, number, scope
        self._skew = skew + number / 1000  # no two stamps are equal to the microsecond
        self.line = LeaseLine(house.server)
        self.start()

    def start(self) -> None:
        self.fence = WatchedFence(others=lambda: self._house.fences(self.scope))
        self.elector = LeaderElector(
            client=self.line,
            key=KEY,
            identity=f"member-{self._number}",
            duration=DURATION,
            fence=self.fence,
            clock=LoopClock(self._skew),
            scope=self.scope,
        )
        self.task = asyncio.create_task(self.elector.run())

    async def end(self, how: Callable[[], Awaitable[None]] | None = None) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError, LeadershipLost):
            await self.task
        if how is not None:
            await how()
        self.fence.close_now()


class House:
    """All members and the server.

    `restarting`: who has lost is started again. Without it people write into the lease, so that
    it says nothing of who may.
    """

    def __init__(
        self, skews: Sequence[float], scopes: Sequence[ServedScope], *, restarting: bool
    ) -> None:
        self.server = Registry(in_force=restarting and not any(one.namespaces for one in scopes))
        self._restarting = restarting
        self.members: list[ElectionMember] = []
        for number, (skew, scope) in enumerate(zip(skews, scopes, strict=True)):
            self.members.append(ElectionMember(self, number, skew, scope))

    def fences(self, scope: ServedScope) -> list[WriteFence]:
        return [one.fence for one in self.members if one.scope.is_overlapping(scope)]

    async def do(self, action: Action) -> None:
        match action:
            case SlowRequests(member, there, back):
                line = self._member(member).line
                line.there, line.back = there, back
            case Cut(member, deaf, seconds):
                line = self._member(member).line
                line.cut, line.deaf = not deaf, deaf
                asyncio.get_running_loop().call_later(seconds, _join, line)
            case Mend(member):
                line = self._member(member).line
                line.there = line.back = 0.0
            case Crash(member):
                await self._restart(self._member(member))
            case Stop(member):
                await self._restart(self._member(member), in_order=True)
            case Delete():
                self.server.delete_lease()
            case Edit(holder):
                if self.server.lease is not None:
                    self.server.edit_lease(holderIdentity=holder)
            case Publish(member):
                if self.server.lease is not None:
                    entry = {f"{PREFIX}{member}": str(asyncio.get_running_loop().time())}
                    self.server.merge(ObjectKind.LEASE, KEY, {"metadata": {"annotations": entry}})
            case _:
                assert_never(action)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass; an elector that fails but by losing fails the test."""
        await asyncio.sleep(seconds)
        for member in self.members:
            if not member.task.done():
                continue
            error = member.task.exception()
            assert isinstance(error, LeadershipLost), repr(error)
            event("a leader has lost")
            if self._restarting:
                member.start()

    async def end(self) -> None:
        for member in self.members:
            await member.end()

    def leaders(self) -> list[ElectionMember]:
        return [one for one in self.members if one.elector.role is LeaderRole.LEADING]

    def mend_all(self) -> None:
        for member in self.members:
            member.line.there = member.line.back = 0.0
            _join(member.line)

    async def _restart(self, member: ElectionMember, *, in_order: bool = False) -> None:
        await member.end(member.elector.resign_lease if in_order else None)
        member.start()

    def _member(self, number: int) -> ElectionMember:
        return (
            next(iter(self.leaders()), self.members[0])
            if number == LEADER
            else self.members[number]
        )


def _join(line: LeaseLine) -> None:
    """End a cut; an overlapping one ends with it."""
    line.cut = line.deaf = False


async def play(
    skews: Sequence[float],
    course: Sequence[tuple[float, Action]],
    *,
    restarting: bool,
    scopes: Sequence[ServedScope] = (ServedScope(),) * MEMBERS,
) -> None:
    house = House(skews, scopes, restarting=restarting)
    if not restarting:
        await house.pass_time(1.0)  # who looks first at a lease just deleted cannot know better
    for pause, action in course:
        await house.pass_time(pause)
        await house.do(action)
    house.mend_all()
    for _ in range(12):
        await house.pass_time(DURATION / 2)
    leaders = house.leaders()
    for member in (one for one in house.members if not one.task.done()):
        serving = [one for one in leaders if one.scope.is_overlapping(member.scope)]
        assert serving, "nobody serves"
        assert member not in serving or serving == [member]
    await house.end()


def on_loop_time(work: Awaitable[None]) -> None:
    async def run() -> None:
        await work

    with asyncio.Runner(
        loop_factory=lambda: looptime.new_event_loop(start=0.0, noop_cycles=1)
    ) as runner:
        runner.run(run())


skews = st.lists(st.sampled_from([0.0, -7200.0, 3600.0, 1e7]), min_size=MEMBERS, max_size=MEMBERS)


@pytest.mark.slow
@settings(max_examples=examples(25))
@given(skews, courses(st.one_of(lines, restarts)))
def test_never_two_with_bad_lines_and_restarts_and_one_leads_in_the_end(
    skews: list[float], course: list[tuple[float, Action]]
) -> None:
    on_loop_time(play(skews, course, restarting=True))


@pytest.mark.slow
@settings(max_examples=examples(25))
@given(skews, courses(st.one_of(lines, people)))
def test_never_two_with_bad_lines_and_people_who_edit_or_delete_the_lease(
    skews: list[float], course: list[tuple[float, Action]]
) -> None:
    on_loop_time(play(skews, course, restarting=False))


scopes = st.lists(
    st.sampled_from(
        [
            ServedScope(),
            ServedScope.of_list("a"),
            ServedScope.of_list("b"),
            ServedScope.of_list("ab"),
            ServedScope.of_list("bc"),
            ServedScope.of_list("cd"),
        ]
    ),
    min_size=MEMBERS,
    max_size=MEMBERS,
)


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(skews, scopes, courses(st.one_of(lines, restarts)))
def test_never_two_that_serve_one_namespace_and_nobody_waits_for_nothing(
    skews: list[float], scopes: list[ServedScope], course: list[tuple[float, Action]]
) -> None:
    on_loop_time(play(skews, course, restarting=True, scopes=scopes))


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(skews, scopes, courses(st.one_of(lines, people)))
def test_never_two_that_serve_one_namespace_whatever_people_do_to_the_lease(
    skews: list[float], scopes: list[ServedScope], course: list[tuple[float, Action]]
) -> None:
    on_loop_time(play(skews, course, restarting=False, scopes=scopes))

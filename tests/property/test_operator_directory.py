"""Operators find each other in the end, whatever lines, crashes and people do to the Lease."""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple
from unittest.mock import patch

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.lease_line import KEY, LeaseStore
from in_memory.found_operator import FoundOperator
from vpplb.controller import operator_directory
from vpplb.direct.operator_directory import PREFIX, find_texts, name_annotation
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.names import ObjectKind

MEMBERS = 3
RENEW_EVERY, DEAD_AFTER = 30.0, 90.0
"""Tenths of what they are, so that a course of hours takes minutes of the loop's time."""


class Line(NamedTuple):
    """What becomes of a member's requests from now on, those of its entry alone if `own`."""

    member: int
    cut: bool
    deaf: bool
    own: bool


class Restart(NamedTuple):
    """A member crashes, or ends in order, and is started under its name or another."""

    member: int
    in_order: bool
    renamed: bool


class Edit(NamedTuple):
    """A person writes an annotation; `of` None: one of nobody."""

    of: int | None
    text: str | None


class Delete(NamedTuple):
    """A person deletes the Lease."""


Action = Line | Restart | Edit | Delete
members = st.integers(0, MEMBERS - 1)
texts = st.sampled_from([None, "", "{", "[" * 500, "null", '{"identity": "x"}'])
actions = st.one_of(
    st.builds(Line, members, st.booleans(), st.booleans(), st.booleans()),
    st.builds(Restart, members, st.booleans(), st.booleans()),
    st.builds(Edit, st.one_of(st.none(), members), texts),
    st.just(Delete()),
)
pauses = st.sampled_from([0.1, 2.0, 20.0, RENEW_EVERY, DEAD_AFTER + 20.0])


class House:
    """The members, and how often each was started."""

    def __init__(self) -> None:
        self.server, self.starts = LeaseStore(), 0
        self.members = [self._start(f"member-{number}") for number in range(MEMBERS)]

    def _start(self, name: str) -> FoundOperator:
        self.starts += 1
        return FoundOperator(self.server, name, fingerprint=f"{self.starts:064x}")

    async def do(self, action: Action) -> None:
        match action:
            case Line(member, cut, deaf, own):
                one = self.members[member]
                for line in (one.writes,) if own else (one.line, one.writes):
                    line.cut, line.deaf = cut, deaf
            case Restart(member, in_order, renamed):
                one = self.members[member]
                await (one.stop() if in_order else one.crash())
                name = f"start-{self.starts}" if renamed else one.name
                self.members[member] = self._start(name)
            case Edit(of, text):
                name = f"{PREFIX}x" if of is None else name_annotation(self.members[of].name)
                if self.server.lease is not None:
                    self.server.merge(
                        ObjectKind.LEASE, KEY, {"metadata": {"annotations": {name: text}}}
                    )
            case Delete():
                self.server.delete_lease()

    async def settle(self) -> None:
        """Let all be well for long enough that who is dead is known to be."""
        for one in self.members:
            one.line.cut = one.line.deaf = one.writes.cut = one.writes.deaf = False
        await asyncio.sleep(DEAD_AFTER + 40)
        for number, one in enumerate(self.members):
            if one.elector.role is LeaderRole.LOST:  # its process has ended, and is started anew
                await one.crash()
                self.members[number] = self._start(one.name)
        await asyncio.sleep(DEAD_AFTER + 40)


async def play(course: list[tuple[float, Action]]) -> None:
    house = House()
    for pause, action in course:
        await asyncio.sleep(pause)
        await house.do(action)
    await house.settle()
    alive = tuple(sorted((one.directory.own for one in house.members), key=lambda it: it.identity))
    assert house.server.lease is not None
    there = find_texts(house.server.lease["metadata"]["annotations"])
    assert there.keys() == {name_annotation(one.identity) for one in alive}
    for one in house.members:
        assert one.directory.operators == alive
        assert one.directory.is_published
        assert one.directory.trouble == ""
    asked = [len(one.writes.asked) for one in house.members]
    await asyncio.sleep(RENEW_EVERY)
    assert [len(one.writes.asked) for one in house.members] == [count + 1 for count in asked]
    for one in house.members:
        await one.crash()


def on_loop_time(work: Awaitable[None]) -> None:
    async def run() -> None:
        with (
            patch.object(operator_directory, "RENEW_EVERY", RENEW_EVERY),
            patch.object(operator_directory, "DEAD_AFTER", DEAD_AFTER),
        ):
            await work

    with asyncio.Runner(
        loop_factory=lambda: looptime.new_event_loop(start=0.0, noop_cycles=1)
    ) as runner:
        runner.run(run())


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(pauses, actions), max_size=8))
def test_all_who_live_are_found_in_the_end_and_nobody_else(
    course: list[tuple[float, Action]],
) -> None:
    on_loop_time(play(course))

"""No VIP returns to an older decision, and all nodes come to the newest, by whichever road."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from data.examples import examples
from in_memory.two_roads import (
    DURATION,
    FRONTENDS,
    STEP,
    ModelAgent,
    ModelOperator,
    TwoRoads,
    revision_of,
)

OPERATORS, AGENTS = 3, 3
LEADER, DEPOSED = -1, -2
"""In an action: the operator that was elected last, or the one before it if that still decides."""


class Turn(NamedTuple):
    """An operator sees a backend go down, or come back; others may see something else."""

    operator: int
    backend: str


class Reach(NamedTuple):
    """An operator reaches the API server from now on, but for its writes of statuses; or not."""

    operator: int
    api: bool
    writes: bool


class Isolate(NamedTuple):
    """An operator does not reach the API server any more, for so long that another is elected."""

    operator: int


class LastWord(NamedTuple):
    """The leader decides something, sends it directly, and is lost before it has written it."""

    backend: str
    crashes: bool


class Crash(NamedTuple):
    operator: int


class Freeze(NamedTuple):
    """An operator is stopped in the midst of whatever it does; or it goes on."""

    operator: int
    frozen: bool


class SetClock(NamedTuple):
    """An operator's clock jumps to where it is wrong by so many seconds."""

    operator: int
    error: float


class Link(NamedTuple):
    """An agent hears an operator, does not, or late."""

    operator: int
    agent: int
    how: str


class Watch(NamedTuple):
    """An agent hears the API server, or not; then it hears late what it has missed."""

    agent: int
    watches: bool


class RestartAgent(NamedTuple):
    agent: int


class RestoreStatuses(NamedTuple):
    """Statuses are restored to what they were so many writes ago."""

    back: int


class DeleteLease(NamedTuple):
    """An administrator deletes the lease."""


Action = (
    Turn
    | Reach
    | Isolate
    | LastWord
    | Crash
    | Freeze
    | SetClock
    | Link
    | Watch
    | RestartAgent
    | RestoreStatuses
    | DeleteLease
)

operators = st.sampled_from((*[LEADER] * 4, *[DEPOSED] * 3, *range(OPERATORS)))
agents = st.integers(0, AGENTS - 1)
turns = st.builds(Turn, operators, st.sampled_from("ab"))
reaches = st.builds(
    Reach, operators, st.sampled_from((True, True, False)), st.sampled_from((True, True, False))
)
events = st.one_of(
    turns,
    turns,
    turns,
    reaches,
    st.builds(Isolate, operators),
    st.builds(LastWord, st.sampled_from("ab"), st.booleans()),
    st.builds(Crash, operators),
    st.builds(Freeze, operators, st.sampled_from((True, False, False))),
    st.builds(Link, operators, agents, st.sampled_from(("connected", "cut", "late"))),
    st.builds(Watch, agents, st.booleans()),
    st.builds(RestartAgent, agents),
    st.builds(RestoreStatuses, st.integers(1, 6)),
)
clocks = st.builds(SetClock, operators, st.sampled_from([0.0, -7200.0, 3600.0, 1e7]))
pauses = st.sampled_from([0.0, STEP, STEP, STEP, 3 * STEP, DURATION])


def courses(actions: st.SearchStrategy[Action]) -> st.SearchStrategy[list[tuple[float, Action]]]:
    return st.lists(st.tuples(pauses, actions), min_size=5, max_size=40)


def do(roads: TwoRoads, action: Action) -> None:
    match action:
        case Turn(operator, backend):
            find(roads, operator).turn_backend(backend)
        case Reach(operator, api, writes):
            find(roads, operator).set_reach(api=api, writes=writes)
        case Isolate(operator):
            isolate(roads, find(roads, operator))
        case LastWord(backend, crashes):
            leader = find(roads, LEADER)
            leader.set_reach(api=leader.reaches_api, writes=False)
            leader.turn_backend(backend)
            roads.pass_time(2 * STEP)
            if crashes:
                leader.crash()
            isolate(roads, leader)
        case Crash(operator):
            find(roads, operator).crash()
        case Freeze(operator, frozen):
            find(roads, operator).frozen = frozen
        case SetClock(operator, error):
            find(roads, operator).clock_error = error
        case Link(operator, agent, how):
            set_link(roads, find(roads, operator), roads.agents[agent], how)
        case Watch(agent, watches):
            roads.agents[agent].watches = watches
        case RestartAgent(agent):
            roads.agents[agent].restart()
        case RestoreStatuses(back):
            roads.server.restore_statuses(back)
        case DeleteLease():
            roads.server.leases.delete_lease()
        case _:
            assert_never(action)


def isolate(roads: TwoRoads, operator: ModelOperator) -> None:
    operator.set_reach(api=False, writes=False)
    roads.pass_time(DURATION + 3 * STEP)


def find(roads: TwoRoads, operator: int) -> ModelOperator:
    if operator >= 0:
        return roads.operators[operator]
    return roads.newest_first()[0 if operator == LEADER else 1]


def set_link(roads: TwoRoads, operator: ModelOperator, agent: ModelAgent, how: str) -> None:
    link = next(one for one in roads.links_of(operator) if one.agent is agent)
    match how:
        case "connected":
            link.connect()
            link.open = True
        case "late":
            link.open = False
        case _:
            link.cut()


@dataclass(frozen=True, slots=True)
class Roads:
    """By which roads an agent hears in the end."""

    direct: bool
    status: bool


BOTH, DIRECT, STATUS = Roads(True, True), Roads(True, False), Roads(False, True)


def mend_all(roads: TwoRoads, by: Sequence[Roads]) -> None:
    for operator in roads.operators:
        operator.frozen = False
        operator.set_reach(api=True, writes=True)
    for agent, having in zip(roads.agents, by, strict=True):
        agent.watches = having.status
        for link in roads.links_to(agent):
            link.open = True
            if having.direct:
                link.connect()
            else:
                link.cut()


def reconnect_all(roads: TwoRoads) -> None:
    """Connect again whom a crash has disconnected, as agents do by themselves."""
    for link in roads.links:
        if not link.operator.frozen and link.agent in roads.direct_agents:
            link.connect()


def play(course: Sequence[tuple[float, Action]], by: Sequence[Roads]) -> None:
    roads = TwoRoads(OPERATORS, AGENTS)
    roads.pass_time(4 * STEP)
    for pause, action in course:
        roads.pass_time(pause)
        do(roads, action)
    mend_all(roads, by)
    for agent, having in zip(roads.agents, by, strict=True):
        if having.direct:
            roads.direct_agents.append(agent)
    roads.pass_time(6 * DURATION, each=lambda: reconnect_all(roads))
    leader = next(one for one in roads.operators if one.leads)
    event(f"{min(roads.ledger.leaders, 4)} leaders or more")
    wanted = {name: revision_of(leader.views[name]) for name in FRONTENDS}
    for agent, having in zip(roads.agents, by, strict=True):
        assert agent.programmed == wanted, f"by {having}"
    roads.close()


endings = st.permutations([BOTH, DIRECT, STATUS])


@pytest.mark.slow
async def test_no_vip_goes_back_and_all_nodes_come_to_the_newest_whatever_clocks_show() -> None:
    @settings(max_examples=examples(15))
    @given(courses(st.one_of(events, clocks)), endings)
    def holds(course: list[tuple[float, Action]], by: list[Roads]) -> None:
        play(course, by)

    holds()


@pytest.mark.slow
async def test_no_vip_goes_back_though_people_delete_the_lease() -> None:
    @settings(max_examples=examples(15))
    @given(courses(st.one_of(events, st.just(DeleteLease()))), endings)
    def holds(course: list[tuple[float, Action]], by: list[Roads]) -> None:
        play(course, by)

    holds()

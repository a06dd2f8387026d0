"""What the log tells of agents that are refused, however often and by however many names."""

import logging

import pytest

from vpplb.direct.refusal_log import AGAIN, MOST_LINES, RefusalLog

EXPIRED, FOREIGN = "the token has expired", "the token is of an agent on node b, not on a"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def warnings(told: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in told.records if one.levelno == logging.WARNING]


def refuse(log: RefusalLog, node: str = "a", why: str = EXPIRED, now: float = 0.0) -> None:
    log.note_refusal(node, "10.0.0.1", why, now)


def test_a_refusal_is_a_warning_that_names_the_node_the_address_and_the_reason(
    told: pytest.LogCaptureFixture,
) -> None:
    refuse(RefusalLog())
    assert warnings(told) == ["the agent of a is refused, at 10.0.0.1: the token has expired"]


def test_the_same_is_told_once_in_an_hour(told: pytest.LogCaptureFixture) -> None:
    log = RefusalLog()
    for now in (0.0, 5.0, AGAIN - 1, AGAIN, AGAIN + 5):
        refuse(log, now=now)
    assert len(warnings(told)) == 2
    assert len(told.records) == 5, "the others are there for who debugs"


def test_another_reason_and_another_node_are_told_at_once(told: pytest.LogCaptureFixture) -> None:
    log = RefusalLog()
    refuse(log)
    refuse(log, why=FOREIGN)
    refuse(log, node="b")
    assert len(warnings(told)) == 3


def test_who_was_let_in_meanwhile_and_is_refused_again_is_told_of(
    told: pytest.LogCaptureFixture,
) -> None:
    log = RefusalLog()
    refuse(log)
    log.note_served("a")
    refuse(log, now=1.0)
    assert len(warnings(told)) == 2


@pytest.mark.parametrize("by", ["names", "reasons"])
def test_nobody_fills_the_log_or_the_memory_by_being_refused(
    told: pytest.LogCaptureFixture, by: str
) -> None:
    log = RefusalLog()
    for number in range(MOST_LINES * 20):
        what = {"node": f"n{number}"} if by == "names" else {"why": (EXPIRED, FOREIGN)[number % 2]}
        refuse(log, now=number * 0.1, **what)
    [*lines, last] = warnings(told)
    assert len(lines) == MOST_LINES
    assert "more agents are refused than are told of, 100 in an hour" in last
    assert len(log._told) <= MOST_LINES  # what is kept is what the bound is about


def test_an_hour_later_there_is_room_again(told: pytest.LogCaptureFixture) -> None:
    log = RefusalLog()
    for number in range(MOST_LINES + 1):
        refuse(log, node=f"n{number}")
    told.clear()
    for number in range(MOST_LINES + 2):
        refuse(log, node=f"n{number}", now=AGAIN)
    assert len(warnings(told)) == MOST_LINES + 1, "and the next that are too many are told as such"
    assert "more agents" in warnings(told)[-1]

import asyncio

import pytest

from data.objects import key
from vpplb.reconcile.deadline_queue import DeadlineQueue

A, B = key("a"), key("b")


def test_what_is_due_is_told_once_in_the_order_of_its_times() -> None:
    agenda = DeadlineQueue(lambda: None)
    agenda.put(A, 2.0)
    agenda.put(B, 1.0)
    assert agenda.due(0.5) == []
    assert agenda.due(2.0) == [B, A]
    assert agenda.due(3.0) == []


def test_a_later_time_takes_the_place_of_the_earlier_and_none_takes_it_away() -> None:
    agenda = DeadlineQueue(lambda: None)
    agenda.put(A, 1.0)
    agenda.put(A, 3.0)
    agenda.put(B, 1.0)
    agenda.put(B, None)
    assert agenda.due(2.0) == []
    assert agenda.due(3.0) == [A]


@pytest.mark.looptime
async def test_it_wakes_when_the_next_is_due_and_not_after_it_is_closed() -> None:
    loop = asyncio.get_running_loop()
    woken: list[float] = []
    agenda = DeadlineQueue(lambda: woken.append(loop.time()))
    agenda.put(A, loop.time() + 5)
    agenda.rest(loop.time())
    agenda.rest(loop.time())
    await asyncio.sleep(6)
    assert woken == [5]
    agenda.close()
    await asyncio.sleep(6)
    assert woken == [5]

import asyncio

import pytest

from data.objects import key
from vpplb.reconcile.frontend_decider import DeadlineQueue

A, B = key("a"), key("b")


def test_what_is_due_is_told_once_in_the_order_of_its_times() -> None:
    agenda = DeadlineQueue(lambda: None)
    agenda.put_key(A, 2.0)
    agenda.put_key(B, 1.0)
    assert agenda.pop_due(0.5) == []
    assert agenda.pop_due(2.0) == [B, A]
    assert agenda.pop_due(3.0) == []


def test_a_later_time_takes_the_place_of_the_earlier_and_none_takes_it_away() -> None:
    agenda = DeadlineQueue(lambda: None)
    agenda.put_key(A, 1.0)
    agenda.put_key(A, 3.0)
    agenda.put_key(B, 1.0)
    agenda.put_key(B, None)
    assert agenda.pop_due(2.0) == []
    assert agenda.pop_due(3.0) == [A]


@pytest.mark.looptime
async def test_it_wakes_when_the_next_is_due_and_not_after_it_is_closed() -> None:
    loop = asyncio.get_running_loop()
    woken: list[float] = []
    agenda = DeadlineQueue(lambda: woken.append(loop.time()))
    agenda.put_key(A, loop.time() + 5)
    agenda.await_next(loop.time())
    agenda.await_next(loop.time())
    await asyncio.sleep(6)
    assert woken == [5]
    agenda.cancel_timer()
    await asyncio.sleep(6)
    assert woken == [5]

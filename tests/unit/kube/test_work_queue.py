import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from vpplb.kube.work_queue import (
    FAILING_KEYS,
    GAP,
    HOLD,
    IN_ADVANCE,
    LONGEST_HOLD,
    WorkQueue,
)

pytestmark = pytest.mark.looptime

AWAY = "refused"


@asynccontextmanager
async def running(
    done: list[str], seconds: Callable[[str], float] = lambda item: 0.05, parallel: int = 2
) -> AsyncIterator[WorkQueue[str]]:
    """Run a queue in which priority 0 is urgent, and each key takes some `seconds`."""
    queue: WorkQueue[str] = WorkQueue(parallel=parallel, urgent=0)

    async def work(key: str) -> None:
        await asyncio.sleep(seconds(key))
        done.append(key)
        queue.finish(key)

    task = asyncio.create_task(queue.run(work))
    yield queue
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def add(queue: WorkQueue[str], name: str, count: int, priority: int) -> None:
    for n in range(count):
        queue.add(f"{name}{n}", priority)


async def test_the_urgent_does_not_wait_for_the_ordinary() -> None:
    done: list[str] = []
    async with running(done, lambda key: 0.01 if key == "urgent" else 10.0) as queue:
        add(queue, "ordinary", 5, 9)
        await asyncio.sleep(1)
        queue.add("urgent", 0)
        await asyncio.sleep(0.02)
        assert done == ["urgent"]


async def test_in_a_gap_of_the_urgent_one_ordinary_worker_goes_on() -> None:
    done: list[str] = []
    async with running(done) as queue:
        queue.add("urgent", 0)
        await asyncio.sleep(0)
        add(queue, "", 6, 1)
        await asyncio.sleep(0.19)
        assert done == ["urgent", "0", "1"]
        await asyncio.sleep(0.2)
        assert len(done) > 5


async def test_the_ordinary_is_not_starved_by_the_urgent() -> None:
    done: list[str] = []
    async with running(done, parallel=1) as queue:
        add(queue, "urgent", 100, 0)
        await asyncio.sleep(0)
        add(queue, "ordinary", 100, 1)
        await asyncio.sleep(3.01)
        ordinary = [key for key in done if key.startswith("ordinary")]
        assert len(ordinary) == pytest.approx(3 / (GAP + 0.05), abs=1)


async def test_the_ordinary_waits_for_what_is_more_urgent_than_any_key() -> None:
    done: list[str] = []
    async with running(done, lambda key: 0.001) as queue:
        add(queue, "first", 2, 1)  # each worker has had its turn, and looks before the next
        await asyncio.sleep(0.01)
        queue.hold_ordinary()
        add(queue, "ordinary", 4, 1)
        queue.add("urgent", 0)
        await asyncio.sleep(HOLD * 0.9)
        held = [key for key in done if key.startswith("ordinary")]
        assert (len(held), "urgent" in done) == (2, True), "those that were idle had one each"
        await asyncio.sleep(HOLD * 0.2 + 2 * GAP)
        assert len(done) == 7


async def test_the_ordinary_is_held_for_half_of_the_time_at_most() -> None:
    done: list[str] = []
    counts: list[int] = []
    async with running(done, lambda key: 0.01, parallel=1) as queue:
        add(queue, "", 1000, 1)
        for _ in range(4):
            before = len(done)
            for _ in range(100):
                queue.hold_ordinary()
                await asyncio.sleep(LONGEST_HOLD / 100)
            counts.append(len(done) - before)
    held, free = sorted(counts)[:2], sorted(counts)[2:]
    assert max(held) <= 3
    assert min(free) >= 90


async def test_what_is_held_goes_on_when_the_queue_is_drained() -> None:
    done: list[str] = []
    async with running(done, lambda key: 0.001, parallel=1) as queue:
        add(queue, "", 3, 1)
        queue.hold_ordinary()
        assert await queue.drain(HOLD * 0.9) == 0


async def test_the_lowest_priority_goes_first_and_equals_in_the_order_they_came() -> None:
    done: list[str] = []
    async with running(done, parallel=1) as queue:
        for key, priority in (("b", 2), ("c", 2), ("a", 1)):
            queue.add(key, priority)
        await queue.drain(5.0)
    assert done == ["a", "b", "c"]


async def test_it_rests_when_nothing_is_due_or_under_way() -> None:
    clock, done = asyncio.get_running_loop().time, list[str]()
    async with running(done) as queue:
        await queue.wait_idle(5.0)
        assert clock() == 0
        for priority in (0, 1):
            queue.add("key", priority)
            began = clock()
            await queue.wait_idle(0.01)
            assert clock() - began == pytest.approx(0.01)
            await queue.wait_idle(5.0)
            assert done.count("key") == 1 + priority


async def test_no_more_than_the_given_number_of_keys_are_under_way() -> None:
    under_way, most, began = set[str](), [0], asyncio.get_running_loop().time()
    queue: WorkQueue[str] = WorkQueue(parallel=4, urgent=0)

    async def work(key: str) -> None:
        under_way.add(key)
        most.append(len(under_way))
        await asyncio.sleep(0.1)
        under_way.remove(key)
        queue.finish(key)

    add(queue, "key", 40, 1)
    task = asyncio.create_task(queue.run(work))
    assert await queue.drain(60) == 0
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0)
    assert max(most) == 4
    task.cancel()


async def test_a_key_is_in_it_once_however_often_it_is_added() -> None:
    done: list[str] = []
    async with running(done) as queue:
        for _ in range(3):
            queue.add("key", 1)
        assert len(queue) == 1
        await queue.drain(5.0)
    assert done == ["key"]


async def test_a_key_that_is_added_while_it_is_worked_on_is_worked_on_once_more() -> None:
    done: list[str] = []
    async with running(done, parallel=4) as queue:
        queue.add("key", 1)
        await asyncio.sleep(0.01)
        queue.add("key", 1)
        queue.repeat("key")
        await asyncio.sleep(0.05)
        assert done == ["key"]
        await queue.drain(5.0)
    assert done == ["key", "key"]


async def test_a_key_that_is_removed_is_not_worked_on() -> None:
    done: list[str] = []
    async with running(done) as queue:
        queue.add("key", 1)
        queue.remove("key")
        assert await queue.drain(5.0) == 0
        await asyncio.sleep(1)
    assert done == []


async def test_a_key_that_fails_waits_longer_each_time_until_it_is_finished() -> None:
    queue: WorkQueue[str] = WorkQueue(parallel=1, urgent=0)
    queue.add("key", 0)
    delays = [queue.retry("key", "no") for _ in range(20)]
    assert 0.05 <= delays[0] <= 0.1
    assert 5.0 <= delays[-1] <= 10.0
    assert queue.count_failures("key") == 20
    queue.finish("key")
    assert "key" not in queue


# --- keys that gather -----------------------------------------------------------------------------


async def gathering(*added: tuple[float, float], failing: int = 0) -> list[float]:
    """Add a key at these times with these delays; return when it was worked on, for 10 ms each.

    It fails `failing` times at first.
    """
    clock, begun = asyncio.get_running_loop().time, list[float]()
    queue: WorkQueue[str] = WorkQueue(parallel=2, urgent=0)

    async def work(key: str) -> None:
        begun.append(clock())
        await asyncio.sleep(0.01)
        if len(begun) <= failing:
            queue.retry(key, "no")
        else:
            queue.finish(key)

    task = asyncio.create_task(queue.run(work))
    for at, delay in added:
        if at > clock():
            await asyncio.sleep(at - clock())
        queue.add("key", 1, delay)
        assert "key" in queue
    await asyncio.sleep(10)
    assert len(queue) == 0
    task.cancel()
    return [round(at, 3) for at in begun]


@pytest.mark.parametrize(
    ("added", "begun"),
    [
        ([(0, 1)], [1]),
        ([(0, 1), (0.5, 1), (0.9, 1)], [1]),
        ([(0, 1), (0.5, 0.2)], [0.7]),
        ([(0, 1), (0.5, 0)], [0.5]),
        ([(0, 0.2), (0.1, 1)], [0.2]),
        ([(0, 0), (0, 1)], [0]),
        ([(0, 0), (0.005, 1)], [0, 1.005]),
        ([(0, 0), (0.005, 1), (0.006, 0.5), (0.3, 1)], [0, 0.506]),
        ([(0, 0), (0.004, 1), (0.005, 0)], [0, 0.01]),
    ],
    ids=lambda at: "-".join(map(str, at)),
)
async def test_a_key_is_due_at_the_earliest_of_the_times_that_it_was_added_for(
    added: list[tuple[float, float]], begun: list[float]
) -> None:
    assert await gathering(*added) == begun


async def test_a_key_that_is_added_for_ever_is_not_postponed_for_ever() -> None:
    begun = await gathering(*((n / 10, 1.0) for n in range(100)))
    assert len(begun) == 10


async def test_a_key_that_failed_waits_for_its_time_though_it_is_added_again() -> None:
    begun = await gathering((0, 0), (0.02, 0), (0.03, 0.001), failing=1)
    assert len(begun) == 2
    assert begun[1] != 0.02


async def test_a_key_that_gathers_becomes_more_urgent_and_can_be_removed() -> None:
    done: list[str] = []
    async with running(done, parallel=1) as queue:
        add(queue, "key", 3, 2)
        queue.add("urgent", 2, 0.01)
        queue.add("urgent", 1, 5)
        queue.add("removed", 1, 0.01)
        queue.remove("removed")
        await asyncio.sleep(1)
    assert done == ["key0", "urgent", "key1", "key2"]


async def test_what_gathers_is_due_when_the_queue_is_drained() -> None:
    done: list[str] = []
    async with running(done) as queue:
        for n in range(4):
            queue.add(str(n), n, 1000.0)
        assert await queue.drain(1.0) == 0
    assert sorted(done) == ["0", "1", "2", "3"]


# --- what the work costs --------------------------------------------------------------------------

RATE = 10


@asynccontextmanager
async def costing(
    done: list[tuple[float, str]], costs: Callable[[str], bool] = lambda key: True
) -> AsyncIterator[WorkQueue[str]]:
    """Run a queue of so many tokens a second, in which each key takes one if it `costs`."""
    queue: WorkQueue[str] = WorkQueue(parallel=4, urgent=0, per_second=RATE)
    clock = asyncio.get_running_loop().time

    async def work(key: str) -> None:
        done.append((clock(), key))
        if costs(key):
            queue.take_token()
        await asyncio.sleep(0.001)
        queue.finish(key)

    task = asyncio.create_task(queue.run(work))
    yield queue
    task.cancel()


async def test_no_more_is_done_than_there_are_tokens_and_the_most_urgent_goes_first() -> None:
    done: list[tuple[float, str]] = []
    async with costing(done) as queue:
        add(queue, "later", 100, 2)
        await asyncio.sleep(3.05)
        assert len(done) == RATE + 3 * RATE
        add(queue, "first", 10, 1)
        await asyncio.sleep(1)
        assert [key[:5] for _, key in done[-10:]] == ["first"] * 10
        assert queue.tokens < 1


async def test_what_costs_nothing_takes_no_token() -> None:
    done: list[tuple[float, str]] = []
    async with costing(done, lambda key: False) as queue:
        add(queue, "key", 1000, 1)
        await asyncio.sleep(1)
    assert len(done) == 1000


async def test_the_urgent_take_tokens_in_advance_for_which_the_ordinary_wait() -> None:
    done: list[tuple[float, str]] = []
    async with costing(done) as queue:
        add(queue, "urgent", 30, 0)
        await asyncio.sleep(0.1)
        assert len(done) == 30
        add(queue, "ordinary", 5, 1)
        await asyncio.sleep(10)
    assert [key for at, key in done if at < 2] == [
        *(f"urgent{n}" for n in range(30)),
        *(f"ordinary{n}" for n in range(4)),
    ], "its workers had nothing to do when there were tokens"
    assert done[-1][0] == pytest.approx((34 - RATE + 1) / RATE, abs=0.1)


async def test_the_urgent_too_are_bounded_in_the_long_run_and_leave_something_to_the_ordinary() -> (
    None
):
    done: list[tuple[float, str]] = []
    async with costing(done) as queue:
        add(queue, "urgent", 1000, 0)
        add(queue, "ordinary", 1000, 1)
        await asyncio.sleep(60)
    ordinary = [at for at, key in done if key.startswith("ordinary")]
    assert len(done) - len(ordinary) == pytest.approx((1 + IN_ADVANCE + 60) * RATE, abs=RATE)
    assert len(ordinary) == pytest.approx(60 / IN_ADVANCE, abs=2)


# --- a server that fails -------------------------------------------------------------------------


async def paused_for(queue: WorkQueue[str]) -> float:
    """Return how long it takes until the next key is worked on."""
    clock = asyncio.get_running_loop().time
    began, begun = clock(), list[float]()

    async def work(key: str) -> None:
        begun.append(clock())
        queue.finish(key)

    queue.add("next", 0)
    task = asyncio.create_task(queue.run(work))
    await queue.drain(60.0)
    task.cancel()
    return begun[0] - began


async def test_it_pauses_longer_with_each_failure_and_never_for_long() -> None:
    queue: WorkQueue[str] = WorkQueue(parallel=1, urgent=0)
    assert await paused_for(queue) == 0
    waits = []
    for _ in range(12):
        queue.pause_all(AWAY)
        waits.append(await paused_for(queue))
    assert waits[0] <= 0.1
    assert 2.5 <= waits[-1] <= 5
    queue.note_success()
    queue.pause_all(AWAY)
    assert await paused_for(queue) <= 0.1


async def test_failures_during_a_pause_do_not_prolong_it() -> None:
    queue: WorkQueue[str] = WorkQueue(parallel=1, urgent=0)
    for _ in range(50):
        queue.pause_all(AWAY)
    assert await paused_for(queue) <= 0.1


@pytest.mark.parametrize(("asked", "given"), [(3.0, 3.0), (3600.0, 10.0)])
async def test_a_server_that_asks_for_time_is_given_it_within_limits(
    asked: float, given: float
) -> None:
    queue: WorkQueue[str] = WorkQueue(parallel=1, urgent=0)
    queue.pause_all(AWAY, asked)
    assert await paused_for(queue) == pytest.approx(given)


async def test_so_many_keys_that_fail_in_a_row_are_the_server_s_failure() -> None:
    queue: WorkQueue[str] = WorkQueue(parallel=1, urgent=0)
    add(queue, "key", FAILING_KEYS, 0)

    def fail(n: int) -> None:
        queue.retry(f"key{n}", "500")

    for n in range(FAILING_KEYS - 1):
        fail(n)
    for _ in range(FAILING_KEYS):
        fail(0)
    assert not queue.paused, "one key may fail as often as it likes"
    queue.note_success()
    for n in range(FAILING_KEYS):
        assert not queue.paused
        fail(n)
    assert queue.paused


async def test_it_is_told_once_that_the_server_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    queue: WorkQueue[str] = WorkQueue(parallel=1, urgent=0)
    queue.note_success()
    for _ in range(3):
        queue.pause_all(AWAY)
        await paused_for(queue)
    queue.note_success()
    queue.note_success()
    assert [record.getMessage() for record in caplog.records] == [
        "status writes wait for the API server: refused",
        "the API server takes status writes again",
    ]

"""How a program shares its interpreter with a thread that computes."""

import asyncio
import statistics
import sys
import threading
import time

import pytest

from vpplb.cli.service_runner import run_service


@pytest.mark.slow
def test_a_thread_that_computes_does_not_hold_the_loop_up() -> None:
    """As kopf's does: with Python's own switch interval a round takes three times as long."""
    done, took = threading.Event(), list[float]()

    def compute() -> None:
        while not done.is_set():
            sum(range(100))

    async def main(_: asyncio.Event) -> None:
        done.clear()
        took.clear()
        thread = threading.Thread(target=compute)
        thread.start()
        for _round in range(20):
            began = time.perf_counter()
            for _turn in range(10):
                await asyncio.sleep(0.001)
            took.append(time.perf_counter() - began)
        done.set()
        thread.join()

    before = sys.getswitchinterval()
    try:
        run_service(main)
        ours = statistics.median(took)
        sys.setswitchinterval(0.005)
        asyncio.run(main(asyncio.Event()))
    finally:
        sys.setswitchinterval(before)
    assert ours < 0.7 * statistics.median(took)

"""The garbage collector, as programs of few seconds and of many months both want it."""

import atexit
import gc

COLLECTOR = (5_000, 100, 10)
"""Thresholds of the garbage collector. With Python's own an operator of 10,000 backends spends a
third of its time on walking what it keeps, and stands still for a second now and then. The first
is small, since what is walked at once holds all else up, 50,000 objects for a tenth of a second."""

VERB_COLLECTOR = (100_000, 100, 10)
"""For a verb: it makes some 70,000 objects until it has begun, and none of them is garbage."""


def tune_collector(thresholds: tuple[int, int, int] = COLLECTOR) -> None:
    """Set the thresholds, and have nothing walked at the end.

    That took a tenth of the time of `vpplb ctl status`, to find what goes with the process anyway.
    """
    gc.set_threshold(*thresholds)
    atexit.register(gc.freeze)

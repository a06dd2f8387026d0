"""When the next probe of a backend starts.

From start to start, never faster than asked: `interval` when the counter is full,
`downInterval` when it is 0, `fastInterval` otherwise and before the first result (HAProxy's
inter, downinter, fastinter). Each wait is jittered, so that checks that started together do
not stay together.
"""

from datetime import timedelta

from vpplb.health.machine import Counter
from vpplb.model.check import Cadence

JITTER = 0.1
"""Each wait varies by this share of itself, up or down."""


def wait_after(cadence: Cadence, counter: Counter, *, random: float) -> timedelta:
    """Return the time from one probe's start to the next one's.

    `random` is uniform in [0, 1) and supplied by the caller.
    """
    if not counter.settled:
        base = cadence.fast_interval
    elif counter.healthy:
        base = cadence.interval
    else:
        base = cadence.down_interval
    return base * (1 - JITTER + 2 * JITTER * random)


def first_wait(cadence: Cadence, position: int, of: int) -> timedelta:
    """Spread `of` checks that start together over their interval; a single one starts at once."""
    return cadence.interval * position / of

"""How long to wait before trying again."""

import random


def backoff(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row (at least 1).

    Doubles from `first` to `longest`; up to half of it is left to chance, so that many who
    failed together do not come back together.
    """
    wait = min(longest, first * 2.0 ** min(failures - 1, 16))
    return random.uniform(wait / 2, wait)

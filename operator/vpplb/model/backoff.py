"""How long to wait before trying again."""


def backoff_seconds(failures: int, first: float, longest: float, *, jitter: float = 0.0) -> float:
    """Seconds to wait after so many failures in a row; 0 after none.

    The wait doubles from `first` to `longest`. `jitter`, a random number of [0, 1), takes off
    up to half of it, so that many who failed together do not come back together.
    """
    if failures < 1:
        return 0.0
    # A float of Python has no room for 2 ** 1024: it raises, so the exponent is bounded.
    wait = min(longest, first * 2.0 ** min(failures - 1, 32))
    return wait * (1 - jitter / 2)

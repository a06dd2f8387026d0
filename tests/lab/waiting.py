"""Wait for what another process does: the only place where tests look at a real clock."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 90.0 if os.environ.get("CI") else 30.0
"""How long, in seconds, anything may take that should happen at once: wide, for noisy machines."""


def wait_for(
    look: Callable[[], T], what: str, *, timeout: float = PATIENCE, every: float = 0.05
) -> T:
    """Call `look` until it gives something true, and return that.

    AssertionError naming `what` after `timeout` seconds, with what was last seen. An
    AssertionError of `look` itself counts as "not yet".
    """
    deadline = time.monotonic() + timeout
    while True:
        seen: object
        try:
            found = look()
            if found:
                return found
            seen = found
        except AssertionError as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}; last seen: {seen}")
        time.sleep(every)


def stays(look: Callable[[], T], what: str, *, seconds: float, every: float = 0.05) -> T:
    """Assert that `look` gives one and the same value for `seconds`, and return it."""
    first = look()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(every)
        now = look()
        assert now == first, f"{what}: {first} became {now}"
    return first

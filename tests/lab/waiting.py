"""Wait for what another process does: the only place where tests look at a real clock."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar

from vpplb.agent.dataplane_reporter import HEARD_SPACING

T = TypeVar("T")

PATIENCE = 90.0 if os.environ.get("CI") else 30.0
"""How long, in seconds, anything may take that should happen at once: wide, for noisy machines."""


NODE_AT_REST = HEARD_SPACING + 2.0
"""How long, in seconds, a node's own status may wait for its writing, and the writing itself."""


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


async def eventually(holds: Callable[[], object], what: str, *, within: float = 10.0) -> None:
    """Return as soon as `holds` gives something true; AssertionError naming `what` if never.

    For what threads or other tasks of this process are about to do.
    """
    try:
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110 (what is waited for signals nothing)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s: {what}") from None

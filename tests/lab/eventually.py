"""Wait on the event loop for what threads or other tasks are about to do."""

import asyncio
from collections.abc import Callable

PATIENCE = 10.0


async def eventually(holds: Callable[[], object], what: str, *, within: float = PATIENCE) -> None:
    """Return as soon as `holds` gives something true; AssertionError naming `what` if never."""
    try:
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110 (what is waited for signals nothing)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s: {what}") from None

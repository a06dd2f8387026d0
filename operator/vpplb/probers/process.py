"""The process of a worker, as its parent sees it: started and ended."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress

_GRACE = 2.0  # seconds a process has to end once its channel is closed


async def spawn(channel: int, note: int, netns: str) -> Process:
    """Start a worker with these descriptors. OSError when it cannot be."""
    # A new interpreter, not a fork: the parent has threads. -P: no module of the working
    # directory takes the place of one of ours.
    command = [sys.executable, "-P", "-m", "vpplb.probers.worker"]
    arguments = ["--channel", str(channel), "--in-hand", str(note), "--netns", netns]
    return await asyncio.create_subprocess_exec(
        *command, *arguments, stdin=DEVNULL, pass_fds=[channel, note]
    )


async def reap(process: Process) -> None:
    """Wait for a process whose channel is closed; not for long."""
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

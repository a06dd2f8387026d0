"""Keeps what must outlive the process on disk, beside the work.

So a slow disk holds up no change of a VIP; but one that becomes ours waits for it (`keep`), since
whoever dies in between must find it again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from vpplb.engine.vipbook import SyncerState
from vpplb.files.memory import save_memory

log = logging.getLogger(__name__)

SPACING = 0.5
"""Seconds from one write that is not urgent to the next: while many frontends change nobody needs
each step. A process that crashes in between may flush some servers again."""


class MemoryKeeper:
    """Writes `state` to the file `path`, if there is one, now or soon. The newest state wins.

    A disk that refuses is logged, and no error: VPP is to be programmed all the same.
    """

    def __init__(self, path: Path | None, state: Callable[[], SyncerState]) -> None:
        self._path, self._state = path, state
        self._wanted = asyncio.Event()
        self._writing = threading.Lock()
        self._taken = self._written = 0

    def keep(self) -> None:
        """Write now, and wait for the disk: for what must be known before VPP is changed."""
        if self._path is None:
            return
        self._wanted.clear()
        self._save(*self._take())

    def keep_soon(self) -> None:
        """Have `run` write."""
        if self._path is not None:
            self._wanted.set()

    def close(self) -> None:
        """Write what is due, under way or was refused; for the end, when nothing changes more."""
        if self._wanted.is_set() or self._written != self._taken:
            self.keep()

    async def run(self) -> None:
        """Write what is to be kept soon, on another thread, until cancelled."""
        while True:
            await self._wanted.wait()
            if self._wanted.is_set():  # else `keep` came first
                self._wanted.clear()
                await asyncio.to_thread(self._save, *self._take())
                await asyncio.sleep(SPACING)

    def _take(self) -> tuple[int, SyncerState]:
        self._taken += 1
        return self._taken, self._state()

    def _save(self, number: int, state: SyncerState) -> None:
        with self._writing:
            if self._path is None or number < self._written:
                return
            try:
                save_memory(self._path, state)
                self._written = number
            except OSError as error:
                log.error("the memory of VPP cannot be written to %s: %s", self._path, error)

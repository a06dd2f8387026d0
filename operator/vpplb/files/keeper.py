"""Keeps what must outlive the process on disk, beside the work.

So a slow disk holds up no change of a VIP; but one that becomes ours waits for it (`keep`), since
whoever dies in between must find it again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from vpplb.files.memory import Memory, Router, save_memory

log = logging.getLogger(__name__)

SPACING = 0.5
"""Seconds from one write that is not urgent to the next: while many frontends change nobody needs
each step. A process that crashes in between may flush some servers again."""


class MemoryKeeper:
    """Writes `memory` of a router to the file `path`, if there is one, now or soon.

    The newest wins. A disk that refuses is logged, and no error: VPP is to be programmed all the
    same. Nothing is written before `begin`: until then the file is another process's, or unread.
    """

    def __init__(self, path: Path | None, memory: Callable[[], Memory], router: Router) -> None:
        self._path, self._memory, self._router = path, memory, router
        self._begun = False
        self._wanted = asyncio.Event()
        self._writing = threading.Lock()
        self._taken = self._written = 0

    def begin(self) -> None:
        """From now on the file is ours, and what was in it is known."""
        self._begun = True

    def keep(self) -> None:
        """Write now, and wait for the disk: for what must be known before VPP is changed."""
        if self._path is None or not self._begun:
            return
        self._wanted.clear()
        self._save(*self._take())

    def keep_soon(self) -> None:
        """Have `run` write."""
        if self._path is not None and self._begun:
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

    def _take(self) -> tuple[int, Memory]:
        self._taken += 1
        return self._taken, self._memory()

    def _save(self, number: int, memory: Memory) -> None:
        with self._writing:
            if self._path is None or number < self._written:
                return
            try:
                save_memory(self._path, memory, self._router)
                self._written = number
            except OSError as error:
                log.error("the memory of VPP cannot be written to %s: %s", self._path, error)

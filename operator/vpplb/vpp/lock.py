"""One programmer for one VPP: a lock beside its API socket.

Two agents that want different things would undo each other's work for ever. The lock is a file in
the socket's own folder, so that containers which share nothing but that folder see it; it ends
with its process, however that ends.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vpplb.sync.ports import LoadBalancerGone

log = logging.getLogger(__name__)

MODE = 0o640
"""Of the file: whoever may open it may lock this program out of its VPP."""
PAUSE = 1.0
"""Seconds between two looks whether the other one has ended."""


class VppLock:
    """The lock of the VPP behind an API socket.

    Where none can be made, that is logged, once, and is the `trouble` until one can be.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = Path(os.path.realpath(socket))
        self.path = Path(f"{self._socket}.vpplb")
        self._handle: int | None = None
        self.trouble = ""

    async def wait_acquired(self, report: Callable[[str], None]) -> None:
        """Wait until the lock is ours; `say` once who has it meanwhile."""
        said = False
        while True:
            try:
                self.acquire()
            except LoadBalancerGone as held:
                if not said:
                    report(str(held))
                said = True
                await asyncio.sleep(PAUSE)
            else:
                return

    def acquire(self) -> None:
        """Take the lock, where one can be made; LoadBalancerGone while another process has it.

        To be called for each connection: a VPP that restarts may get a new folder, and with it a
        new lock.
        """
        if self._handle is not None and self._is_there(self._handle):
            return
        self.release()
        try:
            handle = self._open_file()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                raise
        except FileNotFoundError:  # no folder: no VPP, which connecting will say
            return
        except BlockingIOError as error:
            self.trouble = ""
            raise LoadBalancerGone(
                f"another vpplb programs this VPP (it holds {self.path}); waiting for its end"
            ) from error
        except OSError as error:
            if not self.trouble:
                log.warning("two agents on this VPP would not notice each other: %s", error)
            self.trouble = f"two agents on this VPP would not notice each other: {error}"
            return
        self._handle, self.trouble = handle, ""

    @property
    def held(self) -> bool:
        """Whether the lock is ours; `acquire` may return without it, where none can be made."""
        return self._handle is not None

    def describe_state(self) -> str:
        """Say for `/readyz` whether the lock is ours."""
        return self.trouble or ("held" if self.held else "not held")

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open_file(self) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:  # without O_CREAT first: it is refused for files of others in some folders
            return os.open(self.path, flags)
        except FileNotFoundError:
            handle = os.open(self.path, flags | os.O_CREAT, MODE)
            of = self._socket if self._socket.exists() else self.path.parent
            with suppress(OSError):  # for those who may use this VPP
                os.fchown(handle, -1, of.stat().st_gid)
            return handle

    def _is_there(self, handle: int) -> bool:
        try:
            there, held = self.path.stat(), os.fstat(handle)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

"""The socket on which VPP hands out its stats segment: whoever connects is sent a descriptor."""

import array
import asyncio
import contextlib
import logging
import socket
from pathlib import Path

from vpplb.simulator.socket_paths import clear_socket_path

log = logging.getLogger(__name__)


class StatsSocket:
    """Hands out `fd` at a Unix socket (SOCK_SEQPACKET) while it is open and not muted.

    The descriptor goes along with an empty message, after which VPP hangs up.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self._path, self._mode = path, mode
        self._listener: socket.socket | None = None
        self.fd = -1

    def open(self, fd: int) -> None:
        """Listen, in place of a socket that nobody listens on; SocketInUse or OSError if not."""
        clear_socket_path(self._path, socket.SOCK_SEQPACKET)
        self.fd = fd
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(str(self._path))
        self._path.chmod(self._mode)
        self._listener.listen()
        self.set_muted(False)

    def set_muted(self, muted: bool) -> None:
        """Let clients wait, or serve them again."""
        if self._listener is None:
            return
        loop = asyncio.get_running_loop()
        if muted:
            loop.remove_reader(self._listener)
        else:
            loop.add_reader(self._listener, self._send_descriptor)

    def close(self) -> None:
        """Listen no more; the socket stays in its place, as that of a VPP that died."""
        if self._listener is not None:
            self.set_muted(True)
            self._listener.close()
            self._listener = None

    def _send_descriptor(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _ = self._listener.accept()
            with client:
                rights = array.array("i", [self.fd])
                client.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

"""A TCP line between two programs on which packets get lost, as a network policy drops them."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

PIECE = 65536
CALLERS = 8
"""Connections that nobody takes: the first fill the backlog, and the next are not answered."""


class SilentLine:
    """Passes on what comes to `port` of loopback to the port `target` there, and what comes back.

    Whatever is lost is lost without a word to either side.
    """

    def __init__(self, target: int) -> None:
        self._target, self._swallows = target, False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """Lose all that is sent; new connections are made, and nothing comes of them.

        One of which something was lost stays silent for good, as TCP has then long given up.
        """
        self._swallows = True
        try:
            yield
        finally:
            self._swallows = False

    @contextmanager
    def unanswering(self) -> Iterator[None]:
        """Lose all that is sent, and do not even answer who connects."""
        with self.swallowing(), ExitStack() as stack:
            self._do(self._close())
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            deaf.bind(("127.0.0.1", self.port))
            deaf.listen(0)
            for _ in range(CALLERS):
                caller = stack.enter_context(socket.socket())
                caller.setblocking(False)
                with suppress(BlockingIOError):
                    caller.connect(deaf.getsockname())
            yield
            stack.close()
            self._do(self._listen())

    # --- on the line's loop -------------------------------------------------------------------

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            try:
                far, onward = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    silent = asyncio.Event()
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._pump(near, onward, silent))
                        group.create_task(self._pump(far, answer, silent))
                finally:
                    onward.transport.abort()
            finally:
                answer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        """Pass on until the source ends, of which the target is told unless that is lost too."""
        with suppress(OSError):
            while data := await source.read(PIECE):
                if self._swallows:
                    silent.set()
                if not silent.is_set():
                    target.write(data)
                    await target.drain()
        if self._swallows:
            silent.set()
        if not silent.is_set():
            target.transport.abort()

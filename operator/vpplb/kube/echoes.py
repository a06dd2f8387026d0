"""Echoes: what a watch tells of our own writes, which their answers have told already.

Most of what an operator is told are its own statuses. kopf takes half a millisecond for each, in
a thread that shares the interpreter with all others; so they are taken out of the stream before
kopf sees it. A bookmark stands in their place, so that the watch goes on from there when it is
asked for again.

Half of the echoes are faster than the answers. So while a write is under way, what the watch tells
of that object is held back until the answer is in.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

import aiohttp

MOST = 4096
"""Echoes that are waited for at once; one more, and the oldest is let through."""
PATIENCE = 0.1
"""Seconds for which the lines that were read together are held back at most."""
LOOK = 0.002
"""Seconds from one look whether the answer is in to the next."""

_CHANGE = b'{"type":"MODIFIED"'
_VERSION = re.compile(rb'"resourceVersion":"([0-9]+)","uid":"([^"]*)"')
"""Keys come sorted. Where they do not, an echo is let through."""


class Echoes:
    """The versions whose echo is still to come, and the objects that are being written.

    `without` may be on another thread than the rest.
    """

    def __init__(self) -> None:
        self._awaited: OrderedDict[tuple[bytes, bytes], bool] = OrderedDict()
        self._under_way: set[bytes] = set()

    @contextmanager
    def writing(self, uid: str) -> Iterator[None]:
        """Hold back what a watch tells of this object meanwhile; `expect` before it ends."""
        mark = uid.encode()
        self._under_way.add(mark)
        try:
            yield
        finally:
            self._under_way.discard(mark)

    def expect(self, version: str, uid: str) -> None:
        """Drop the change that led to this version of an object, when a watch tells of it."""
        self._awaited[version.encode(), uid.encode()] = True
        if len(self._awaited) > MOST:
            self._awaited.popitem(last=False)

    async def without(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return lines of a watch, with bookmarks in the place of echoes."""
        until = asyncio.get_running_loop().time() + PATIENCE
        return [await self._without(line, until) for line in lines]

    async def _without(self, line: bytes, until: float) -> bytes:
        if not (self._awaited or self._under_way) or not line.startswith(_CHANGE):
            return line
        found = _VERSION.search(line)
        if found is None or not await self._is_echo(until, version=found[1], uid=found[2]):
            return line
        return b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%b"}}}' % found[1]

    async def _is_echo(self, until: float, *, version: bytes, uid: bytes) -> bool:
        while True:
            answered = uid not in self._under_way  # first, since the answer may come in between
            if self._awaited.pop((version, uid), False):
                return True
            if answered or asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(LOOK)


class Unechoed:
    """The content of an answer, as kopf reads it, without echoes; `ended`: the server ended it."""

    def __init__(
        self,
        content: aiohttp.StreamReader,
        echoes: Echoes,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._content, self._echoes, self._ended = content, echoes, ended

    def __getattr__(self, name: str) -> object:
        """Be the content in all other respects."""
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Give whole lines, several at once, however long."""
        begun = b""
        try:
            async for chunk in self._content.iter_chunked(size):
                *lines, begun = (begun + chunk).split(b"\n")
                if lines:
                    yield b"".join(line + b"\n" for line in await self._echoes.without(lines))
        except aiohttp.ClientError:
            self._ended()
            raise
        self._ended()
        yield begun

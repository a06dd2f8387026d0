"""The body of an HTTP/1.1 answer, as far as a regular expression is to see it.

Three framings (RFC 9112, 6.3): a length, chunks, or until the peer closes. Each is fed what
comes after the head and collects at most `LIMIT` bytes.
"""

import re
from typing import Protocol

LIMIT = 65536
"""Bytes of a body that are looked at."""

_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_SIZE_LINE_LIMIT = 4096


class BadBody(Exception):
    """The framing is broken; the text says how, for people."""


class Body(Protocol):
    """A body that is being received."""

    content: bytearray

    def feed(self, data: bytes | bytearray) -> bool:
        """Take these bytes; return whether all that is wanted is there. BadBody as it says."""
        ...

    def close(self) -> bool:
        """Take note that the peer closed; return whether the body was meant to end so."""
        ...


class LengthBody:
    """`Content-Length`; 0 is complete from the start."""

    def __init__(self, length: int) -> None:
        self.content = bytearray()
        self._wanted = min(length, LIMIT)

    def feed(self, data: bytes | bytearray) -> bool:
        """Take these bytes."""
        self.content += data[: self._wanted - len(self.content)]
        return len(self.content) >= self._wanted

    def close(self) -> bool:
        """Complain: a complete body would have ended before."""
        return False


class OpenBody:
    """Neither length nor chunks: it ends when the peer closes."""

    def __init__(self) -> None:
        self.content = bytearray()

    def feed(self, data: bytes | bytearray) -> bool:
        """Take these bytes."""
        self.content += data[: LIMIT - len(self.content)]
        return len(self.content) >= LIMIT

    def close(self) -> bool:
        """Agree: that is the end."""
        return True


class ChunkedBody:
    """`Transfer-Encoding: chunked`; the trailer is not waited for."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._pending = bytearray()
        self._left = 0  # bytes of the present chunk still to come
        self._first = True

    def feed(self, data: bytes | bytearray) -> bool:
        """Take these bytes."""
        self._pending += data
        while self._pending:
            if self._left:
                taken = self._pending[: self._left]
                self.content += taken[: LIMIT - len(self.content)]
                self._left -= len(taken)
                del self._pending[: len(taken)]
                if len(self.content) >= LIMIT:
                    return True
            elif not self._next_chunk():
                return False
            elif not self._left:
                return True
        return False

    def close(self) -> bool:
        """Complain: the last chunk has not come."""
        return False

    def _next_chunk(self) -> bool:
        """Read a chunk's size, after the line end of the chunk before; False: more is needed."""
        pending = self._pending
        at = 0
        if not self._first:
            if len(pending) < 2 and pending != b"\n":
                return False
            at = 2 if pending.startswith(b"\r\n") else 1 if pending.startswith(b"\n") else -1
            if at < 0:
                raise BadBody("a chunk is longer than it says")
        found = _SIZE_LINE.match(pending, at)
        if found is None:
            if b"\n" in pending[at:] or len(pending) > _SIZE_LINE_LIMIT:
                raise BadBody("a chunk has no size")
            return False
        self._left = int(found[1], 16)
        self._first = False
        del pending[: found.end()]
        return True

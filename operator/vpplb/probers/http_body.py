"""The body of an HTTP/1.1 answer, as far as a regular expression is to see it.

Three framings (RFC 9112, 6.3): a length, chunks, or until the peer closes. Each is fed what
comes after the head and collects at most `LIMIT` bytes.
"""

import re
from typing import Protocol

LIMIT = 65536
"""Bytes of a body that are looked at."""
FRAMING_LIMIT = 8 * LIMIT
"""Bytes between the chunks of a body: sizes and their extensions."""

_SIZE_LINE = re.compile(rb"0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_SIZE_LINE_LIMIT = 4096

_FOLD = re.compile(rb"\n[ \t]+")
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding):([^\n]*)")


class BadBody(Exception):
    """The framing is broken; the text says how, for people."""


class BodyReader(Protocol):
    """A body that is being received. `ends_at_close`: it is whole when the peer closes."""

    content: bytearray
    ends_at_close: bool

    def feed_body(self, data: bytes | bytearray) -> bool:
        """Take these bytes; return whether all that is wanted is there. BadBody as it says."""


class PlainReader:
    """A body of `length` bytes (0: complete from the start), None: until the peer closes."""

    def __init__(self, length: int | None) -> None:
        self.content = bytearray()
        self.ends_at_close = length is None
        self._wanted = LIMIT if length is None else min(length, LIMIT)

    def feed_body(self, data: bytes | bytearray) -> bool:
        self.content += data[: self._wanted - len(self.content)]
        return len(self.content) >= self._wanted


class ChunkReader:
    """`Transfer-Encoding: chunked`; the trailer is not waited for."""

    ends_at_close = False

    def __init__(self) -> None:
        self.content = bytearray()
        self._pending = bytearray()
        self._left = 0  # bytes of the present chunk still to come
        self._first = True
        self._framing = 0

    def feed_body(self, data: bytes | bytearray) -> bool:
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

    def _next_chunk(self) -> bool:
        """Read a chunk's size, after the line end of the chunk before; False: more is needed."""
        pending = self._pending
        at = 0
        if not self._first:
            if len(pending) < 2 and pending != b"\n":
                if pending != b"\r":
                    raise BadBody("a chunk is longer than it says")
                return False
            at = 2 if pending.startswith(b"\r\n") else 1 if pending.startswith(b"\n") else -1
            if at < 0:
                raise BadBody("a chunk is longer than it says")
        if pending.find(b"\n", at) < 0 and len(pending) <= _SIZE_LINE_LIMIT:
            return False
        found = _SIZE_LINE.match(pending, at)
        if found is None:
            raise BadBody("a chunk has no size")
        self._left = int(found[1], 16)
        self._first = False
        self._framing += found.end()
        if self._framing > FRAMING_LIMIT:
            raise BadBody(f"more than {FRAMING_LIMIT} bytes lie between the chunks")
        del pending[: found.end()]
        return True


def choose_reader(head: bytes, *, bodiless: bool) -> BodyReader:
    """Choose by the header fields (RFC 9112, 6.3). BadBody as it says, also without a body.

    What HAProxy takes is taken: a length said more than once, if it is the same; no transfer
    coding but `chunked`, which beats a length.
    """
    lengths: list[bytes] = []
    codings: list[bytes] = []
    lines = _FOLD.sub(b" ", head.lower().replace(b"\r\n", b"\n"))
    for name, value in _FRAMING.findall(lines):
        (lengths if len(name) == len(b"content-length") else codings).append(value.strip())
    length = _read_length(lengths) if lengths else None
    coding = b",".join(codings).strip(b" \t,")
    if coding not in (b"", b"chunked"):
        raise BadBody("the answer has a Transfer-Encoding other than chunked")
    if bodiless:
        return PlainReader(0)
    return ChunkReader() if coding else PlainReader(length)


def _read_length(lines: list[bytes]) -> int:
    """Read a length that is given once or more, in lines or in a list."""
    values = [value.strip(b" \t") for line in lines for value in line.split(b",")]
    if not all(value.isdigit() for value in values):
        raise BadBody("Content-Length is not a number")
    found = {value.lstrip(b"0") for value in values}
    if len(found) > 1:
        raise BadBody("Content-Length is given twice, and differs")
    digits = found.pop()
    if len(digits) > 18:
        raise BadBody("Content-Length is not a number")
    return int(digits or b"0")

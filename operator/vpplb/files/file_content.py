"""The content of a file that somebody named: bounded in size and time, whatever the file is.

A pipe may have no writer, a device no end, and a file may become one of them while it is looked
for. So it is opened without waiting, and read up to a limit.
"""

import os
import select
import stat
import sys
from collections.abc import Callable
from pathlib import Path

STDIN = Path("-")
MOST_BYTES = 64 << 20
"""Bytes of a file at most; 100,000 Backends with their statuses are not as many."""
PATIENCE = 10.0
"""Seconds that a pipe may be silent; `vpplb check <(slow command)` takes its time."""
_CHUNK = 1 << 20


class UnreadableFile(Exception):
    """The content cannot be had; the text says why, as the end of a sentence about the file."""


def read_content(
    path: Path, *, regular: bool = False, most: int = MOST_BYTES, patience: float = PATIENCE
) -> bytes:
    """Return the bytes of a file, `most` of them, or of standard input for `-` (Unreadable).

    `regular`: only of a file, not of a pipe or a device; for what is found, not named.
    """
    if path == STDIN:
        return _read_limited(lambda: sys.stdin.buffer.read(_CHUNK), most)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            kind = os.fstat(descriptor).st_mode
            if regular and not stat.S_ISREG(kind):
                raise UnreadableFile("is no regular file")
            return _read_limited(lambda: _read_piece(descriptor, patience), most)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from error


def _read_piece(descriptor: int, patience: float) -> bytes:
    """Read what is there; of a pipe that nobody has written to yet, wait for the first of it."""
    while True:
        if not select.select([descriptor], [], [], patience)[0]:
            raise UnreadableFile(f"cannot be read: nothing came for {patience:g} s")
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            continue


def _read_limited(read: Callable[[], bytes], most: int) -> bytes:
    content = bytearray()
    while piece := read():
        content += piece
        if len(content) > most:
            raise UnreadableFile(f"has more than {most:,} bytes")
    return bytes(content)

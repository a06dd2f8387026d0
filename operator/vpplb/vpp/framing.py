"""Frames of the binary API's stream socket (VPP: vlibmemory/socket_api.c, msgbuf_t). Sans-I/O.

A frame is a 16-byte header, big-endian `u64, u32 length, u32`, then `length` bytes of message.
VPP quirk: header fields. The first and the last field are VPP's own (a queue pointer and a mark
of its garbage collection, sent as they are in memory): we send 0 and do not look at them.
"""

import struct
from collections.abc import Iterator

_HEADER = struct.Struct(">QII")
MIN_MESSAGE = 2
"""Bytes of the shortest message: its id alone."""
MAX_MESSAGE = 16 << 20
"""Bytes of the longest message taken; the longest expected, `show lb vips verbose` with 100,000
servers, is some 8 MiB."""


class BadFrame(Exception):
    """The stream holds something that is no frame; it cannot be read any further."""


def frame_message(message: bytes) -> bytes:
    return _HEADER.pack(0, len(message), 0) + message


class FrameReader:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def read_messages(self, data: bytes) -> Iterator[bytes]:
        """Take in bytes; yield each message that is complete, without its header.

        BadFrame when a length is impossible; the reader is of no use after that.
        """
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        try:
            while end - start >= _HEADER.size:
                length = _HEADER.unpack_from(buffer, start)[1]
                if not MIN_MESSAGE <= length <= MAX_MESSAGE:
                    raise BadFrame(f"a frame of {length} bytes")
                stop = start + _HEADER.size + length
                if stop > end:
                    break
                message = bytes(buffer[start + _HEADER.size : stop])
                start = stop
                yield message
        finally:
            del buffer[:start]

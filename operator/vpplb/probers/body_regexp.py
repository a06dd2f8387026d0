"""Regular expressions over the bodies of answers: RE2's.

A body in UTF-8 is text. One that is not is searched byte by byte as well, as PCRE does for
HAProxy: a `.` goes over an accented letter of ISO-8859-1.
"""

import re
from codecs import utf_8_decode
from contextlib import suppress

import re2

SMALL, LARGE = 1 << 20, 1 << 23
"""Bytes of memory for an expression and what is learnt from searches; RE2's own choice is LARGE."""
UNBOUNDED = 1 << 30
"""The size of an expression that SMALL does not do for."""

_TOO_LARGE = b"pattern too large"
_ESCAPED = re.compile(r"\\[^zbB]", re.DOTALL)
_LOOKS_AT_THE_END = re.compile(r"\$|\\[zbB]")


class UnusableRegexp(Exception):
    """RE2 does not take this expression; the text says why, for people."""


class BodyRegexp:
    """An expression, compiled for text and for bytes.

    `size` is its number of instructions: a search takes up to 10 ns for each of them and each
    byte. `lasting`: what it finds in the beginning of a body stays found, whatever follows.
    """

    __slots__ = ("_in_bytes", "_in_text", "lasting", "pattern", "size")

    def __init__(self, pattern: str, *, max_memory: int = SMALL) -> None:
        """UnusableRegexp when it is none. One that needs more memory only has a size."""
        self.pattern = pattern
        self.lasting = _LOOKS_AT_THE_END.search(_ESCAPED.sub("", pattern)) is None
        self._in_text = self._in_bytes = None
        try:
            self._in_text = re2.compile(
                pattern, _re2_options(re2.Options.Encoding.UTF8, max_memory)
            )
        except re2.error as error:
            said = error.args[0] if error.args else b""
            if max_memory == LARGE or not said.startswith(_TOO_LARGE):
                raise UnusableRegexp(f"responseRegexp: {said.decode(errors='replace')}") from error
        with suppress(re2.error):  # it may name a character beyond 255, which no byte is
            latin = _re2_options(re2.Options.Encoding.LATIN1, max_memory)
            self._in_bytes = re2.compile(pattern.encode(), latin)
        self.size: int = UNBOUNDED
        if self._in_text is not None:
            self.size = self._in_text.programsize
            self.size += self._in_bytes.programsize if self._in_bytes is not None else 0

    def found_in(self, body: bytes, *, whole: bool) -> bool:
        """Search; `whole`: nothing follows, so a character that is cut off is none."""
        assert self._in_text is not None, "it is too large to be searched for here"
        if self._in_text.search(body) is not None:
            return True
        return (
            self._in_bytes is not None
            and not _is_text(body, whole=whole)
            and self._in_bytes.search(body) is not None
        )


def _re2_options(encoding: re2.Options.Encoding, max_memory: int) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True  # where the groups are is of no interest, and costs
    options.encoding = encoding
    options.max_mem = max_memory
    return options


def _is_text(body: bytes, *, whole: bool) -> bool:
    try:
        utf_8_decode(body, "strict", whole)
    except UnicodeDecodeError:
        return False
    return True

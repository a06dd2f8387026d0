"""The HTTP/1.1 probe: one request, the answer's status and, if asked for, its body.

Written for this use rather than taken from a library: it reads a status line and looks for a
pattern, so a full parser would cost more than all the rest of the probe. What it accepts is
bounded (head and body 64 KiB each), redirects are not followed, interim answers are skipped.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address

import re2

from vpplb.model.check import HttpProbe, IPAddress
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.body import BadBody, Body, ChunkedBody, LengthBody, OpenBody
from vpplb.probers.conversation import Layer, Step

HEAD_LIMIT = 65536
DETAIL_LIMIT = 120

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")
_HEAD_END = re.compile(rb"\n\r?\n")
_UNPRINTABLE = re.compile(r"[^ -~]")
_START = b"HTTP/1."
_NO_BODY = frozenset({204, 304})


class UnusableRegexp(Exception):
    """RE2 does not take this expression; the text says why, for people."""


def compile_regexp(pattern: str) -> Callable[[bytes], bool]:
    """Return a search for `pattern`, in time linear in the text whatever the pattern (RE2).

    UnusableRegexp when it is none.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise UnusableRegexp(f"responseRegexp: {text}") from error
    return lambda body: compiled.search(body) is not None


def build_request(probe: HttpProbe, address: IPAddress) -> bytes:
    """Write the request; the probe's headers take the place of ours of the same name."""
    bare = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    headers = {"host": ("Host", probe.host or bare)}
    headers |= {"user-agent": ("User-Agent", "vpplb"), "accept": ("Accept", "*/*")}
    headers |= {"connection": ("Connection", "close")}
    given = {name.lower() for name, _ in probe.headers}
    lines = [f"{probe.method} {probe.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for key, (name, value) in headers.items() if key not in given]
    lines += [f"{name}: {value}" for name, value in probe.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class HttpRecipe:
    """What every exchange of one check has in common, made once."""

    __slots__ = (
        "bodiless",
        "known_line",
        "known_result",
        "matches",
        "request",
        "status_max",
        "status_min",
    )

    def __init__(self, probe: HttpProbe, address: IPAddress) -> None:
        """UnusableRegexp when the regular expression is none."""
        self.request = build_request(probe, address)
        self.status_min = probe.status_min
        self.status_max = probe.status_max
        self.bodiless = probe.method == "HEAD"
        regexp = probe.response_regexp
        self.matches = compile_regexp(regexp) if regexp else None
        self.known_line: bytes | tuple[bytes, ...] = ()  # none yet: no answer begins so
        self.known_result = ProbeResult(code=ProbeCode.L7RSP)

    def remember(self, line: bytes, result: ProbeResult) -> ProbeResult:
        """Keep what this status line alone decided: the next answer is most likely the same."""
        self.known_line = line
        self.known_result = result
        return result


class HttpConversation:
    """One request and its answer."""

    parting = b""

    __slots__ = ("_body", "_buffer", "_recipe", "_skipped", "_status", "layer")

    def __init__(self, recipe: HttpRecipe) -> None:
        self.layer = Layer.CONNECT
        self._recipe = recipe
        self._buffer = bytearray()
        self._skipped = 0  # bytes of interim answers: they count towards the limit of the head
        self._body: Body | None = None
        self._status = ""

    def connected(self) -> Step:
        """Send the request."""
        self.layer = Layer.ANSWER
        return self._recipe.request

    def received(self, data: bytes) -> Step:
        """Read on: head first, then the body if a regular expression asks for it."""
        recipe = self._recipe
        if data.startswith(recipe.known_line) and not self._buffer and b"\r\n\r\n" in data:
            return recipe.known_result
        if not data:
            return self._closed()
        if self._body is not None:
            return self._read_body(data)
        seen = max(0, len(self._buffer) - 2)
        self._buffer += data
        while True:
            end = _HEAD_END.search(self._buffer, seen)
            if end is None:
                return self._incomplete_head()
            line = _STATUS_LINE.match(self._buffer)
            if line is None:
                return ProbeResult(code=ProbeCode.L7RSP, detail="the answer is not HTTP/1.1")
            status = int(line[1])
            if status >= 200 or status == 101:
                return self._judge(status, line, end.end())
            self._skipped += end.end()
            del self._buffer[: end.end()]
            seen = 0

    def _incomplete_head(self) -> Step:
        begin = bytes(self._buffer[: len(_START)])
        complete_line = b"\n" in self._buffer
        if not _START.startswith(begin) or (complete_line and not _STATUS_LINE.match(self._buffer)):
            return ProbeResult(code=ProbeCode.L7RSP, detail="the answer is not HTTP/1.1")
        if self._skipped + len(self._buffer) > HEAD_LIMIT:
            return ProbeResult(
                code=ProbeCode.L7RSP, detail=f"the answer's head exceeds {HEAD_LIMIT} bytes"
            )
        return b""

    def _judge(self, status: int, line: re.Match[bytes], head_end: int) -> Step:
        recipe = self._recipe
        reason = _UNPRINTABLE.sub("?", (line[2] or b"").strip().decode("latin-1"))
        self._status = f"{status} {reason}"[:DETAIL_LIMIT] if reason else str(status)
        fits = recipe.status_min <= status <= recipe.status_max
        if not fits or recipe.matches is None:
            code = ProbeCode.L7OK if fits else ProbeCode.L7STS
            return recipe.remember(line[0], ProbeResult(code=code, detail=self._status))
        try:
            self._body = self._framing(status, bytes(self._buffer[:head_end]))
        except BadBody as error:
            return ProbeResult(code=ProbeCode.L7RSP, detail=str(error))
        return self._read_body(bytes(self._buffer[head_end:]))

    def _framing(self, status: int, head: bytes) -> Body:
        """Choose by RFC 9112, 6.3."""
        if self._recipe.bodiless or status in _NO_BODY:
            return LengthBody(0)
        fields: dict[bytes, bytes] = {}
        for row in head.split(b"\n")[1:]:
            name, _, value = row.partition(b":")
            fields[name.strip().lower()] = value.strip()
        if fields.get(b"transfer-encoding", b"").lower().split(b",")[-1].strip() == b"chunked":
            return ChunkedBody()
        length = fields.get(b"content-length")
        if length is None:
            return OpenBody()
        if not length.isdigit() or len(length) > 18:
            raise BadBody("Content-Length is not a number")
        return LengthBody(int(length))

    def _read_body(self, data: bytes) -> Step:
        assert self._body is not None
        try:
            complete = self._body.feed(data)
        except BadBody as error:
            return ProbeResult(code=ProbeCode.L7RSP, detail=str(error))
        return self._search(self._body) if complete else b""

    def _search(self, body: Body) -> ProbeResult:
        if self._recipe.matches is None or self._recipe.matches(bytes(body.content)):
            return ProbeResult(code=ProbeCode.L7OK, detail=self._status)
        return ProbeResult(code=ProbeCode.L7RSP, detail="regexp not found in the body")

    def _closed(self) -> ProbeResult:
        if self._body is not None:
            if self._body.close():
                return self._search(self._body)
            return ProbeResult(code=ProbeCode.L7RSP, detail="connection closed amid the body")
        if self._buffer:
            return ProbeResult(code=ProbeCode.L7RSP, detail="connection closed amid the head")
        return ProbeResult(code=ProbeCode.L7RSP, detail="connection closed without an answer")

"""The HTTP/1.1 probe: one request, the answer's status and, if asked for, its body.

Written for this use rather than taken from a library: the one that is faster (httptools) refuses
answers that HAProxy takes, and takes some that it refuses (decision 26). What it accepts is
bounded (head and body 64 KiB each), redirects are not followed, interim answers are skipped.
It judges heads as HAProxy's checks do; docs/probing.md says where not.
"""

import re
from ipaddress import IPv6Address

from vpplb.model.check import HttpProbe
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.model.vip import IPAddress
from vpplb.probers.body_regexp import BodyRegexp
from vpplb.probers.conversation import BodySearch, ProbeLayer, Step
from vpplb.probers.http_body import LIMIT, BadBody, BodyReader, choose_reader

HEAD_LIMIT = 65536
DETAIL_LIMIT = 120
KNOWN_LIMIT = 2048
"""A head up to this size is remembered with its result."""
EARLY_SEARCHES = 4 * LIMIT
"""Bytes that are searched in a body that goes on; after that, whenever it has doubled."""

_STATUS_LINE = re.compile(rb"HTTP/\d\.\d[ \t]+(\d{3})(?:[ \t]+([^\r\n]*))?\r?\n")
# A name, a value, and lines that continue it (RFC 9112, 5.2).
_FIELDS = re.compile(
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[^\r\n]*+\r?\n(?:[ \t]++[^\r\n]*+\r?\n)*+)*+\r?\n"
)
_EMPTY_LINES = re.compile(rb"(?:\r?\n)+")
_HEAD_END = re.compile(rb"\n\r?\n")
_UNPRINTABLE = re.compile(r"[^ -~]")
_DATE = re.compile(rb"\n[Dd]ate: ([A-Za-z0-9 ,:]{29})\r?\n")
_DATE_VALUE = re.compile(rb"[A-Za-z0-9 ,:]{29}")
_START = b"HTTP/"
_NO_BODY = frozenset({204, 304})


def _fail_answer(detail: str) -> ProbeResult:
    return ProbeResult(code=ProbeCode.L7RSP, detail=detail)


_NOT_HTTP = _fail_answer("the answer is not HTTP/1.1")
_TOO_LONG = _fail_answer(f"the answer's head exceeds {HEAD_LIMIT} bytes")
_NOT_FOUND = _fail_answer("regexp not found in the body")


def build_request(probe: HttpProbe, address: IPAddress) -> bytes:
    """Write the request; the probe's headers take the place of ours of the same name.

    The port is part of Host where it is not the scheme's (RFC 9110, 7.2).
    """
    name = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    usual = 80 if probe.tls is None else 443
    host = probe.host or (name if probe.port == usual else f"{name}:{probe.port}")
    headers = {"host": ("Host", host)}
    headers |= {"user-agent": ("User-Agent", "vpplb"), "accept": ("Accept", "*/*")}
    headers |= {"connection": ("Connection", "close")}
    given = {name.lower() for name, _ in probe.headers}
    lines = [f"{probe.method} {probe.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for key, (name, value) in headers.items() if key not in given]
    lines += [f"{name}: {value}" for name, value in probe.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class HttpCheck:
    """What every exchange of one check has in common, made once.

    Mostly a server answers each time with the same head but for its `Date`. So the last head is
    kept in two parts, before and after that, and what it decided.
    """

    def __init__(self, probe: HttpProbe, address: IPAddress) -> None:
        """UnusableRegexp when the regular expression is none."""
        self.request = build_request(probe, address)
        self.status_min = probe.status_min
        self.status_max = probe.status_max
        self.bodiless = probe.method == "HEAD"
        self.regexp = BodyRegexp(probe.response_regexp) if probe.response_regexp else None
        self.known_result = _NOT_HTTP
        self._known_begin: bytes | tuple[bytes, ...] = ()  # none yet: no answer begins so
        self._known_rest = b""
        self._date_begins = self._date_ends = 0  # 0: the head has no date

    def knows_head(self, data: bytes) -> bool:
        """Whether the answer has the known head, whatever its date: it decides the same."""
        if not data.startswith(self._known_begin):
            return False
        end = self._date_ends
        return not end or (
            data.startswith(self._known_rest, end)
            and _DATE_VALUE.fullmatch(data, self._date_begins, end) is not None
        )

    def remember_head(self, head: bytes, code: ProbeCode, detail: str) -> ProbeResult:
        """Keep what this head alone decided: the next answer is most likely the same.

        An equal result is given as the same object, by which whoever counts knows it at once.
        """
        result = self.known_result
        if code is not result.code or detail != result.detail:
            result = ProbeResult(code=code, detail=detail)
        if len(head) <= KNOWN_LIMIT:
            self.known_result = result
            date = _DATE.search(head)
            self._date_begins, self._date_ends = date.span(1) if date else (0, 0)
            self._known_begin = head[: self._date_begins] if date else head
            self._known_rest = head[self._date_ends :] if date else b""
        return result


class HttpConversation:
    """One request and its answer. The head is read here, the body by a `_BodySearcher`."""

    parting = b""

    __slots__ = ("_buffer", "_check", "_reading", "_skipped", "layer")

    def __init__(self, check: HttpCheck) -> None:
        self.layer = ProbeLayer.CONNECT
        self._check = check
        self._buffer = bytearray()
        self._skipped = 0  # bytes of interim answers: they count towards the limit of the head
        self._reading: _BodySearcher | None = None

    def on_connected(self) -> Step:
        self.layer = ProbeLayer.ANSWER
        return self._check.request

    def on_data(self, data: bytes) -> Step:
        """Read on: head first, then the body if a regular expression asks for it."""
        if self._reading is not None:
            return self._reading.on_data(data)
        check = self._check
        if not self._buffer and check.knows_head(data):
            return check.known_result
        if not data:
            amid = "amid the head" if self._buffer else "without an answer"
            return _fail_answer(f"connection closed {amid}")
        seen = max(0, len(self._buffer) - 2)
        self._buffer += data
        while True:
            if self._skip_empty_lines():
                seen = 0
            end = _HEAD_END.search(self._buffer, seen)
            if end is None:
                return self._incomplete_head()
            line = _STATUS_LINE.match(self._buffer)
            if line is None or _FIELDS.fullmatch(self._buffer, line.end(), end.end()) is None:
                return _NOT_HTTP
            status = int(line[1])
            if not 100 <= status < 200 or status == 101:
                return self._judge_head(status, line, end.end())
            self._skip_bytes(end.end())
            seen = 0

    def _skip_empty_lines(self) -> bool:
        """Skip empty lines before the status line, as RFC 9112, 2.2, asks of servers."""
        empty = _EMPTY_LINES.match(self._buffer)
        if empty is None:
            return False
        self._skip_bytes(empty.end())
        return True

    def _skip_bytes(self, size: int) -> None:
        self._skipped += size
        del self._buffer[:size]

    def _incomplete_head(self) -> Step:
        begin = bytes(self._buffer[: len(_START)])
        complete_line = b"\n" in self._buffer
        if not _START.startswith(begin) and begin != b"\r":
            return _NOT_HTTP
        if complete_line and _STATUS_LINE.match(self._buffer) is None:
            return _NOT_HTTP
        return _TOO_LONG if self._skipped + len(self._buffer) > HEAD_LIMIT else b""

    def _judge_head(self, status: int, line: re.Match[bytes], head_end: int) -> Step:
        check = self._check
        reason = _UNPRINTABLE.sub("?", (line[2] or b"").strip().decode("latin-1"))
        said = f"{status} {reason}"[:DETAIL_LIMIT] if reason else str(status)
        head = bytes(self._buffer[:head_end])
        try:
            body = choose_reader(head, bodiless=check.bodiless or status in _NO_BODY)
        except BadBody as error:
            return check.remember_head(head, ProbeCode.L7RSP, str(error))
        fits = check.status_min <= status <= check.status_max
        if not fits or check.regexp is None:
            code = ProbeCode.L7OK if fits else ProbeCode.L7STS
            return check.remember_head(head, code, said)
        passed = ProbeResult(code=ProbeCode.L7OK, detail=said)
        self._reading = _BodySearcher(check.regexp, body, passed)
        return self._reading.feed_body(bytes(self._buffer[head_end:]))


class _BodySearcher:
    """A body that is read and searched.

    Text that is there decides at once, also in a body that goes on, breaks off or goes wrong
    later: what is said never depends on how the answer was cut into packets. An expression that
    looks at the end (`$`) waits for it.
    """

    def __init__(self, regexp: BodyRegexp, body: BodyReader, passed: ProbeResult) -> None:
        self._regexp = regexp
        self._body = body
        self._passed = passed
        self._verdict: ProbeResult | None = None  # the body has ended: unless something is found
        self._searching = False
        self._last = False  # this search is the last one
        self._searched = 0  # bytes of the body in the latest search
        self._sum = 0  # bytes of all searches

    def on_data(self, data: bytes) -> Step:
        """Read on; none: the peer has closed."""
        if self._verdict is not None:
            return b""  # all is there, and is being searched
        if data:
            return self.feed_body(data)
        whole = self._body.ends_at_close
        return self._end_body(
            _NOT_FOUND if whole else _fail_answer("connection closed amid the body")
        )

    def feed_body(self, data: bytes) -> Step:
        """Take bytes of the body, none too: that alone does not end it."""
        try:
            return (
                self._end_body(_NOT_FOUND) if self._body.feed_body(data) else self._search_if_due()
            )
        except BadBody as error:
            return self._end_body(_fail_answer(str(error)))

    def _end_body(self, verdict: ProbeResult) -> Step:
        if verdict is not _NOT_FOUND and not self._regexp.lasting:
            return verdict
        self._verdict = verdict
        return b"" if self._searching else self._start_search()

    def _search_if_due(self) -> Step:
        """Search what has come so far, unless that has been done too often."""
        size = len(self._body.content)
        due = size > self._searched and self._sum + size <= EARLY_SEARCHES
        if self._searching or not self._regexp.lasting or not (due or size > 2 * self._searched):
            return b""
        return self._start_search()

    def _start_search(self) -> Step:
        self._searching = True
        self._last = self._verdict is not None
        self._searched = len(self._body.content)
        self._sum += self._searched
        return BodySearch(
            regexp=self._regexp,
            body=bytes(self._body.content),
            whole=self._verdict is _NOT_FOUND and self._searched < LIMIT,
            then=self._on_searched,
        )

    def _on_searched(self, found: bool) -> Step:
        self._searching = False
        if found:
            return self._passed
        if self._last:
            assert self._verdict is not None
            return self._verdict
        return self._search_if_due() if self._verdict is None else self._start_search()

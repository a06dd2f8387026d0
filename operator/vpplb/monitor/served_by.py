"""Which server an answer is from: a conversation that looks for its name in the answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from vpplb.model.health import ProbeResult
from vpplb.model.printable import make_printable
from vpplb.probers.conversation import BodySearch, ProbeConversation, Step
from vpplb.probers.http_body import LIMIT, BadBody, BodyReader, choose_reader

NAME_LIMIT = 64
_HEAD_LIMIT = 65536  # as `probers.http` has it
_HEAD_END = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d[ \t]+1(?!01)\d\d")
_NO_BODY = re.compile(rb"HTTP/\d\.\d[ \t]+(?:204|304)")


class BodyExpression(Protocol):
    """A compiled regular expression over bytes, such as re2's."""

    def search(self, text: bytes, /) -> "re.Match[bytes] | None": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerNaming:
    """Where answers name their server: in a `header`, or where the `body` has the expression.

    Its first group if it has one, else all that it finds.
    """

    header: str = ""
    body: BodyExpression | None = None

    def find_header(self, head: bytes) -> str:
        found = re.search(
            rb"\n" + re.escape(self.header.encode()) + rb":[ \t]*([^\r\n]*)", head, re.IGNORECASE
        )
        return _clean_name(found[1]) if found else ""

    def find_body(self, body: bytes) -> str:
        found = self.body.search(body) if self.body is not None else None
        if found is None:
            return ""
        return _clean_name(found.group(1 if found.groups() else 0) or b"")


def _clean_name(name: bytes) -> str:
    return make_printable(name.decode(errors="replace").strip())[:NAME_LIMIT]


class ServedByConversation:
    """An exchange by HTTP that tells, before it ends as `inner` does, which server answered.

    Where the body names it the answer is read to its end, at most as much as the prober reads.
    """

    parting = b""

    def __init__(
        self, inner: ProbeConversation, name: ServerNaming, tell: Callable[[str], None]
    ) -> None:
        self.layer = inner.layer
        self._inner = inner
        self._name = name
        self._tell = tell
        self._seen = bytearray()
        self._passed: ProbeResult | None = None
        self._body: BodyReader | None = None

    def on_connected(self) -> Step:
        step = self._inner.on_connected()
        self.layer = self._inner.layer
        return step

    def on_data(self, data: bytes) -> Step:
        """Go on; once `inner` has passed, with what is still to come of the body."""
        if self._passed is not None:
            return self._read_body(data)
        self._seen += data[: _HEAD_LIMIT + LIMIT - len(self._seen)]
        return self._take_step(self._inner.on_data(data))

    def _take_step(self, step: Step) -> Step:
        self.layer = self._inner.layer
        if isinstance(step, BodySearch):
            search = step
            return replace(search, then=lambda found: self._take_step(search.then(found)))
        if not isinstance(step, ProbeResult) or not step.code.is_pass:
            return step
        head, rest = _split_answer(bytes(self._seen))
        if self._name.body is None:
            self._tell(self._name.find_header(head))
            return step
        self._passed = step
        try:
            self._body = choose_reader(head, bodiless=_NO_BODY.match(head) is not None)
        except BadBody:
            return step
        return self._read_body(rest, ended=False)

    def _read_body(self, data: bytes, *, ended: bool = True) -> Step:
        """Read on; none means, unless it is all that came with the head, that the peer closed."""
        assert self._passed is not None
        assert self._body is not None
        try:
            whole = self._body.feed_body(data)
        except BadBody:
            whole = True
        if not whole and (data or not ended):
            return b""
        self._tell(self._name.find_body(bytes(self._body.content)))
        return self._passed


def _split_answer(seen: bytes) -> tuple[bytes, bytes]:
    """Return the head of the answer, without interim ones, and what follows it."""
    seen = seen.lstrip(b"\r\n")
    while True:
        end = _HEAD_END.search(seen)
        if end is None:
            return seen, b""
        head, seen = seen[: end.end()], seen[end.end() :]
        if _INTERIM.match(head) is None:
            return head, seen
        seen = seen.lstrip(b"\r\n")

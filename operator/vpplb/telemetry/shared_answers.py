"""Large answers, made beside the decisions of the same loop.

Everything that is shown is decided on one loop, so it must be read there; but ten thousand objects
take a second to write. So an answer is made in slices of a few milliseconds, with rests in which
the loop decides, and only one at a time: whoever asks meanwhile gets the next one, together with
all others who wait. A hundred readers cost what two cost.
"""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

SLICE = 0.004
"""Seconds of writing at a time."""
REST = 0.002
"""Seconds in which the loop has its turn in between; half as long as it was kept."""
PIECE = 64 << 10
"""Bytes that are handed on together."""

LEVEL = 1
"""How hard gzip tries: its lowest takes a tenth of the time, and an eighth of the size stays."""

Answer = tuple[bytes, ...]
"""The bytes of an answer in order, shared by all who asked for it."""


@dataclass(slots=True)
class SharedAnswers:
    """Makes answers by name, one at a time for each name."""

    _making: dict[str, asyncio.Task[Answer]] = field(default_factory=dict)
    _next: dict[str, asyncio.Task[Answer]] = field(default_factory=dict)

    async def get_answer(self, name: str, write: Callable[[], Iterable[bytes]]) -> Answer:
        """Return an answer that was begun after this call; `write` gives it in small pieces."""
        task = self._next.get(name)
        if task is None:
            before = self._making.get(name)
            task = asyncio.create_task(self._make_answer(name, write, before))
            self._next[name] = task
        return await asyncio.shield(task)

    async def _make_answer(
        self,
        name: str,
        write: Callable[[], Iterable[bytes]],
        before: asyncio.Task[Answer] | None,
    ) -> Answer:
        if before is not None:
            await asyncio.wait((before,))
        self._making[name] = self._next.pop(name)
        try:
            return await _write_in_slices(write())
        finally:
            del self._making[name]


async def _write_in_slices(pieces: Iterable[bytes]) -> Answer:
    now = asyncio.get_running_loop().time
    answer: list[bytes] = []
    gathered = bytearray()
    until = now() + SLICE
    for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            answer.append(bytes(gathered))
            gathered.clear()
        if now() >= until:
            await asyncio.sleep(REST)
            until = now() + SLICE
    return (*answer, bytes(gathered))


def accepts_gzip(asked: str) -> bool:
    """Read of an `Accept-Encoding` whether an answer may be packed: what names gzip goes first."""
    parts = (one.partition(";") for one in asked.replace(" ", "").lower().split(","))
    weights = {name: weight for name, _, weight in parts}
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return re.fullmatch(r"q=0(\.0{0,3})?", weight) is None


def gzip_pieces(write: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Give what `write` gives, packed, in as many pieces."""
    packer = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS)
    for piece in write():
        yield packer.compress(piece)
    yield packer.flush()

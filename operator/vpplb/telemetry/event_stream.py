"""The stream of events: everybody hears of everything, and nobody waits for anybody.

Events are kept in one bounded ring. A subscriber is no more than a place in it, so a slow one
costs nothing and blocks nobody; it catches up when it reads again, and of each object it is then
told only the newest. One that has fallen out of the ring, or asks to continue from a place that
is not there (another process, too long ago), is told so: it gets `reset` first, which means
"read the lists again", and then what the ring still holds. So the last state is never missed
silently. What is told of an object is made when it is read: the ring holds no old states.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

RING = 4096

RESET = "reset"
OLDEST = "oldest"
"""In place of an id: behind which comes all that is still held."""

Data = Mapping[str, object] | Callable[[], Mapping[str, object]]
"""What an event says, in JSON's types; or what makes it when a subscriber comes to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """An event. `id` names its place for `Last-Event-ID`; `about` is whose state it tells."""

    number: int
    id: str
    type: str
    source: Data
    about: str | None = None

    @property
    def data(self) -> Mapping[str, object]:
        """What the event says, as of now if it is made when it is read."""
        return self.source() if callable(self.source) else self.source


@dataclass(slots=True)
class EventStream:
    """A ring of the newest events of this process. For the loop that publishes."""

    size: int = RING
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    _ring: deque[StreamEvent] = field(default_factory=deque)
    _newest: dict[tuple[str, str], int] = field(default_factory=dict)
    _last: int = 0
    _closed: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def last_id(self) -> str:
        """The place from which a subscription hears only what is yet to come."""
        return f"{self.run}-{self._last}"

    def publish(self, type: str, data: Data, *, object: str | None = None) -> None:
        """Tell everybody; returns at once.

        With `object` (such as `default/web`) the event tells the state of that object, and
        replaces earlier ones of its type and object for whoever has not read them yet; without,
        it stands for itself.
        """
        self._last += 1
        event = StreamEvent(
            number=self._last, id=self.last_id, type=type, source=data, about=object
        )
        self._ring.append(event)
        if object is not None:
            self._newest[type, object] = self._last
        if len(self._ring) > self.size:
            self._forget_newest(self._ring.popleft())
        self._wake_subscribers()

    def close(self) -> None:
        self._closed = True
        self._wake_subscribers()

    async def subscribe(self, last_id: str | None = None) -> AsyncGenerator[StreamEvent, None]:
        """Give events as they come, after `last_id` or, without it, from now on."""
        place = self._last if last_id is None else self._find_place(last_id)
        while not self._closed:
            oldest = self._ring[0].number if self._ring else self._last + 1
            if place is None or place < oldest - 1:
                place = oldest - 1
                yield self._make_reset(place)
            elif place == self._last:
                await self._news.wait()
            else:
                event = self._ring[place + 1 - oldest]
                place = event.number
                if self._is_newest(event):
                    yield event

    def _find_place(self, id: str) -> int | None:
        """Find the place that an id names; None when it is none of this ring."""
        if id == OLDEST:
            return self._ring[0].number - 1 if self._ring else self._last
        run, _, number = id.rpartition("-")
        if run != self.run or not number.isdecimal() or int(number) > self._last:
            return None
        return int(number)

    def _make_reset(self, place: int) -> StreamEvent:
        return StreamEvent(number=place, id=f"{self.run}-{place}", type=RESET, source={})

    def _is_newest(self, event: StreamEvent) -> bool:
        if event.about is None:
            return True
        return self._newest[event.type, event.about] == event.number

    def _forget_newest(self, event: StreamEvent) -> None:
        if event.about is not None and self._is_newest(event):
            del self._newest[event.type, event.about]

    def _wake_subscribers(self) -> None:
        """Wake whoever waits now; whoever comes later waits for the next."""
        self._news.set()
        self._news = asyncio.Event()

"""epoll with a handler a descriptor."""

import logging
import select
from collections.abc import Callable

_log = logging.getLogger(__name__)

BATCH = 1024
"""Events taken in one call; a full batch means that there may be more."""


class EventPoller:
    """Descriptors and who is told of their events.

    A closed descriptor leaves epoll by itself; `clear_handler` before, so that an event of the
    same batch finds nobody. One that is forgotten but not closed can be told of again.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}

    def add_descriptor(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        """Tell `handler` of these events (EPOLLIN, …) from now on."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def set_handler(self, descriptor: int, handler: Callable[[int], None]) -> None:
        """Tell this handler instead, or again: the descriptor has been watched before."""
        self._handlers[descriptor] = handler

    def set_events(self, descriptor: int, events: int) -> None:
        self._epoll.modify(descriptor, events)

    def clear_handler(self, descriptor: int) -> None:
        """Tell nobody any more; nothing if nobody was told."""
        self._handlers.pop(descriptor, None)

    def wait_for_events(self, seconds: float) -> list[tuple[int, int]]:
        """Return what happened, at the latest after that time (rounded up to milliseconds)."""
        return self._epoll.poll(seconds, BATCH)

    def dispatch_events(self, ready: list[tuple[int, int]]) -> None:
        """Call the handlers. One that raises is logged, and hinders no other."""
        handlers = self._handlers
        for descriptor, events in ready:
            handler = handlers.get(descriptor)
            if handler is None:
                continue
            try:
                handler(events)
            except Exception:
                _log.exception("a handler of socket events failed")

    def fileno(self) -> int:
        """Return the descriptor that is ready when there are events, for another loop to watch."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close epoll; the descriptors are others'."""
        self._handlers.clear()
        self._epoll.close()

"""Whether the API server is well, judged by what becomes of writes; and when to ask it again.

It is not when it cannot be reached, or says so (429, 503), or when it fails for one object after
the other with no success in between. Then everybody waits for a moment, the longer the longer it
lasts, but never for more than ten seconds, so that all goes on that soon after it is back.
"""

import asyncio
import logging
import random
from collections.abc import Hashable
from dataclasses import dataclass, field

from vpplb.kube.errors import ApiError, KubeError
from vpplb.model.backoff import backoff_seconds

log = logging.getLogger(__name__)

BACKOFF = (0.1, 5.0)
"""First and longest wait, in seconds; each failure doubles it."""
LONGEST_RETRY_AFTER = 10.0
"""Seconds for which a server is left alone that asks for it: it may be well long before."""
AILING = 8
"""So many objects that fail with nothing written in between are the server's failure."""


def _opened() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Gate:
    """Open while the server is well, and at times when it may be again."""

    _open: asyncio.Event = field(default_factory=_opened)
    _troubles: int = 0
    _ailing: set[Hashable] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether writes may begin."""
        return self._open.is_set()

    async def opened(self) -> None:
        """Wait until writes may begin."""
        await self._open.wait()

    def server_failed(self, error: KubeError) -> None:
        """Close for a moment; failures that come in while it is closed do not prolong that."""
        if not self.is_open:
            return
        self._open.clear()
        self._troubles += 1
        delay = backoff_seconds(self._troubles, *BACKOFF, jitter=random.random())
        if isinstance(error, ApiError) and error.retry_after:
            delay = max(delay, min(error.retry_after, LONGEST_RETRY_AFTER))
        if self._troubles == 1:
            log.warning("status writes wait for the API server: %s", error)
        asyncio.get_running_loop().call_later(delay, self._open.set)

    def object_failed(self, key: Hashable, error: KubeError) -> None:
        """Take note of a failure that may be the object's own."""
        self._ailing.add(key)
        if len(self._ailing) >= AILING:
            self.server_failed(error)

    def succeeded(self) -> None:
        """Take note that the server is well."""
        self._ailing.clear()
        if self._troubles:
            log.info("the API server takes status writes again")
            self._troubles = 0

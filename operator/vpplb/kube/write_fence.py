"""`WriteFence`: every write of a program that must hold a lease passes through here.

It is open until a moment that each renewal of the lease moves on. Nothing begins after that
moment, and what is under way when it comes is cut off; whoever asked sees a server that does not
answer, and tries again. So nobody above has to know about leases.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from vpplb.kube.api_resources import JsonObject
from vpplb.kube.client import Body, KubeClient
from vpplb.kube.errors import ApiUnreachable

T = TypeVar("T")


class WriteFenced(ApiUnreachable):
    """The lease is not ours (any longer): the write was not made, or cut off on its way."""


@dataclass(slots=True)
class WriteFence:
    """Lets writes through until a time of the loop's clock; at first, and when closed, none."""

    open_until: float = -math.inf
    _under_way: set[asyncio.Timeout] = field(default_factory=set)

    def extend_until(self, time: float) -> None:
        """Let writes through until then, also those under way; an earlier time cuts them off."""
        self.open_until = time
        for scope in self._under_way:
            if not scope.expired():
                scope.reschedule(time)

    def close(self) -> None:
        """Let nothing through any more; what is under way is cut off when the loop runs next."""
        self.extend_until(-math.inf)

    async def run_write(self, write: Callable[[], Awaitable[T]]) -> T:
        """Make a write if the fence is open, and for as long as it is; else WriteFenced.

        The clock is read here, right before the request, and not trusted to a timer: a process
        that was stopped for a minute goes on in the middle of whatever it was about to do.
        """
        if asyncio.get_running_loop().time() >= self.open_until:
            raise WriteFenced("this operator does not hold the lease, and so writes nothing")
        scope = asyncio.timeout_at(self.open_until)
        try:
            async with scope:
                self._under_way.add(scope)
                return await write()
        except TimeoutError as error:
            raise WriteFenced("the lease ran out before the API server answered") from error
        finally:
            self._under_way.discard(scope)


class FencedClient(KubeClient):
    """A client that reads at any time and writes while `fence` is open, by another's session."""

    def __init__(self, client: KubeClient, fence: WriteFence) -> None:
        self._client, self._fence = client, fence
        self.health = client.health

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        request = partial(
            self._client._request, method, path, query=query, body=body, timeout=timeout
        )
        return await (request() if method == "GET" else self._fence.run_write(request))

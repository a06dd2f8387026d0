"""The permit to write: every write of a program that must hold a lease passes through here.

A permit lasts until a moment that each renewal of the lease moves on. Nothing begins after that
moment, and what is under way when it comes is cut off; whoever asked sees a server that does not
answer, and tries again. So nobody above has to know about leases.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from vpplb.kube.api_resources import JsonObject
from vpplb.kube.client import Listing
from vpplb.kube.errors import ApiUnreachable
from vpplb.model.names import ObjectKey, ObjectKind

T = TypeVar("T")


class NotPermitted(ApiUnreachable):
    """The lease is not ours (any longer): the write was not made, or cut off on its way."""


@dataclass(slots=True)
class Permit:
    """Allows writes until a time of the loop's clock; at first, and when revoked, none."""

    until: float = -math.inf
    _under_way: set[asyncio.Timeout] = field(default_factory=set)

    def extend(self, until: float) -> None:
        """Allow writes until then, those under way included; an earlier time cuts them off."""
        self.until = until
        for scope in self._under_way:
            if not scope.expired():
                scope.reschedule(until)

    def revoke(self) -> None:
        """Allow nothing any more; what is under way is cut off when the loop runs next."""
        self.extend(-math.inf)

    async def use(self, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request if it is allowed, and for as long as it is; else NotPermitted.

        The clock is read here, right before the request, and not trusted to a timer: a process
        that was stopped for a minute goes on in the middle of whatever it was about to do.
        """
        if asyncio.get_running_loop().time() >= self.until:
            raise NotPermitted("this operator does not hold the lease, and so writes nothing")
        scope = asyncio.timeout_at(self.until)
        try:
            async with scope:
                self._under_way.add(scope)
                return await request()
        except TimeoutError as error:
            raise NotPermitted("the lease ran out before the API server answered") from error
        finally:
            self._under_way.discard(scope)


class WriteClient(Protocol):
    """What `PermittedClient` needs of `KubeClient`."""

    async def list(self, kind: ObjectKind, namespace: str | None = None) -> Listing:
        """Read all objects of a kind."""
        ...

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        """Read one object."""
        ...

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        """Write a whole status."""
        ...

    async def patch_status(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Merge into the status."""
        ...

    async def create_event(self, body: Mapping[str, object]) -> None:
        """Create an event."""
        ...


@dataclass(frozen=True, slots=True)
class PermittedClient:
    """A client that reads at any time and writes by permit; errors are those of `KubeClient`."""

    client: WriteClient
    permit: Permit

    async def list(self, kind: ObjectKind, namespace: str | None = None) -> Listing:
        """Read all objects of a kind."""
        return await self.client.list(kind, namespace)

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        """Read one object."""
        return await self.client.get(kind, key)

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        """Write a whole status."""
        return await self.permit.use(lambda: self.client.replace_status(kind, key, version, status))

    async def patch_status(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Merge into the status."""
        return await self.permit.use(lambda: self.client.patch_status(kind, key, body))

    async def create_event(self, body: Mapping[str, object]) -> None:
        """Create an event."""
        await self.permit.use(lambda: self.client.create_event(body))

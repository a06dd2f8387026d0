"""A status writer at work on an API server in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.hooks import WriterHooks
from vpplb.kube.status import StatusWriter
from vpplb.model.names import ObjectKind


class Told:
    """What the writer told its hooks."""

    def __init__(self) -> None:
        self.results: list[tuple[str, str]] = []
        self.delays: list[float] = []
        self.answers: list[tuple[ObjectKind, JsonObject]] = []
        self.hooks = WriterHooks(
            on_write=lambda kind, result: self.results.append((kind, result)),
            on_delay=self.delays.append,
            on_answer=lambda kind, answer: self.answers.append((kind, answer)),
        )


@asynccontextmanager
async def running(
    server: FakeApiServer, told: Told | None = None, parallel: int = 8
) -> AsyncIterator[StatusWriter]:
    writer = StatusWriter(server, (told or Told()).hooks, parallel)
    task = asyncio.create_task(writer.run())
    yield writer
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def see(
    writer: StatusWriter,
    server: FakeApiServer,
    names: Iterable[str],
    kind: ObjectKind = ObjectKind.BACKEND,
) -> None:
    """Have objects on the server, and let the writer see them as a watch would show them."""
    for name in names:
        made = server.add(kind, key(name), {"state": "unknown"})
        writer.known(kind, key(name), made)

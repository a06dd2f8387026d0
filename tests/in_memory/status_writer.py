"""A status writer at work on an API server in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from vpplb.kube.api_types import JsonObject
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject


class ToldAnswers:
    """What the writer told: an `ObjectHandler` to whom the answers are changes of what is there."""

    def __init__(self) -> None:
        self.results: list[tuple[str, str]] = []
        self.delays: list[float] = []
        self.answers: list[tuple[ObjectKind, JsonObject]] = []

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        if old is not None:
            self.answers.append((kind, new.raw))

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        raise AssertionError("nothing is deleted here")


@asynccontextmanager
async def running(
    server: FakeApiServer,
    told: ToldAnswers | None = None,
    parallel: int = 8,
    per_second: float = 0.0,
) -> AsyncIterator[StatusWriter]:
    told = told or ToldAnswers()
    writer = StatusWriter(
        server,
        ObjectCache([told]),
        on_write=lambda kind, result: told.results.append((kind, result)),
        on_delay=told.delays.append,
        parallel=parallel,
        per_second=per_second,
    )
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
        writer.cache.apply_event(kind, None, made)

"""How far a change goes through the operator before something comes of it."""

import asyncio
import re
import sys
import threading
from asyncio import BaseEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import kopf
import pytest

import vpplb
from data.manifests import backend, frontend
from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.operator import LocalOperator
from vpplb.kube.object_watch import ObjectWatch
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.names import ObjectKind
from vpplb.plan.desired import desired_vip
from vpplb.reconcile.object_store import ObjectStore

pytestmark = pytest.mark.looptime

PRODUCT = Path(vpplb.__file__).parent
PAGE = PRODUCT.parents[1] / "docs" / "architecture.md"
SERVER = FakeApiServer.replace_status.__code__
TO_DECISION = (
    BaseEventLoop.call_soon_threadsafe.__code__,  # by which kopf's thread hands over; no stop
    ObjectStore.put_frontend.__code__,
    desired_vip.__code__,
)
TO_STATUS = (*TO_DECISION, StatusWriter.submit_status.__code__, SERVER)

KopfHandler = Callable[..., Awaitable[None]]


class WalkStop(NamedTuple):
    """A function of the product, and the module in which it stands."""

    module: str
    function: str


class Walk:
    """The functions of the product that were on the way to some others, once they were called."""

    def __init__(self) -> None:
        self.ways: dict[CodeType, list[WalkStop]] = {}

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in TO_STATUS and frame.f_code not in self.ways:
            self.ways[frame.f_code] = stops = []
            at: FrameType | None = frame
            while at is not None:
                stops += _find_stop(at.f_code)
                at = at.f_back

    def list_stops(self, *ends: CodeType) -> list[WalkStop]:
        """Return the stops on the ways to these ends, each once, in the order of the walk."""
        return list(dict.fromkeys(stop for end in ends for stop in reversed(self.ways[end])))


def _find_stop(code: CodeType) -> list[WalkStop]:
    """Return the stop that a function is; none for one that is not of the product."""
    if code is SERVER:  # which stands for the client
        return [WalkStop("kube.client", "KubeClient.replace_status")]
    path = Path(code.co_filename)
    if not path.is_relative_to(PRODUCT):
        return []
    module = ".".join(path.relative_to(PRODUCT).with_suffix("").parts)
    return [WalkStop(module, code.co_qualname)]


def _read_page() -> list[WalkStop]:
    """Return the stops of a Frontend's walk as the page tells them."""
    walk = PAGE.read_text().split("**A Frontend changes**")[1].split("**A backend dies**")[0]
    rows = re.findall(r"^\| \d+ \| `([\w.]+)` \| `([\w.]+)` \|", walk, re.M)
    return [WalkStop(*row) for row in rows]


@pytest.fixture
async def on_event(
    operator: LocalOperator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KopfHandler]:
    """Give what the operator's watch has kopf call for each event of a Frontend."""
    handlers: list[Any] = []

    async def instead_of_kopf(
        *, registry: kopf.OperatorRegistry, stop_flag: threading.Event, **_: object
    ) -> None:
        handlers.extend(registry._watching._handlers)
        assert stop_flag.wait(10)

    monkeypatch.setattr(kopf, "operator", instead_of_kopf)
    watch = ObjectWatch((ObjectKind.FRONTEND,), operator.cache, (), lambda: None)
    watching = asyncio.create_task(watch.run())
    while not handlers:  # noqa: ASYNC110 (another thread tells)
        await asyncio.sleep(0)
    yield handlers[0].fn
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_changed_frontend_is_decided_on_in_ten_stops_and_written_in_sixteen(
    operator: LocalOperator, on_event: KopfHandler
) -> None:
    """A stop is a function of the product that has the data in hand when it gets to the next place.

    That is each one on the stack of the call that puts it there: into the inbox of the other
    thread, into the store, into the decision, into the queue, and to the server. Who is asked on
    the way and answers is none, nor are asyncio and kopf.
    """
    operator.apply(backend(), frontend())
    await operator.settle()
    operator.store(frontend(pools=[{"name": "other", "backends": [{"name": "a"}]}]))
    changed = deepcopy(operator.server.objects[ObjectKind.FRONTEND, key("web")])
    walk = Walk()
    sys.setprofile(walk.note)
    try:
        await on_event(event={"type": "MODIFIED", "object": changed}, name="web")
        await operator.settle()
    finally:
        sys.setprofile(None)
    assert len(walk.list_stops(*TO_DECISION)) <= 10
    assert len(walk.list_stops(*TO_STATUS)) <= 16
    assert _read_page() == walk.list_stops(*TO_STATUS), "docs/architecture.md tells another walk"

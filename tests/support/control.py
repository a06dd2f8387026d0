"""The operator without processes, sockets and kopf: a fake API server, a fake prober, all else real."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from fakes.clock import FakeClock
from fakes.prober import FakeProber
from support.fake_apiserver import FakeApiServer
from support.manifests import Raw
from vpplb.controller.intake import Intake
from vpplb.controller.nodes import Nodes
from vpplb.controller.reporter import Reporter
from vpplb.engine.reconciler import Reconciler
from vpplb.kube.events import EventRecorder
from vpplb.kube.kinds import BACKEND, DATAPLANE, FRONTEND, HEALTH_CHECK, JsonObject, Kind
from vpplb.kube.status import StatusWriter
from vpplb.model.health import ProbeCode
from vpplb.model.names import ObjectKey
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.board import Board
from vpplb.telemetry.metrics import OperatorMetrics, Registry
from vpplb.telemetry.stream import EventStream

KINDS = {kind.kind: kind for kind in (BACKEND, DATAPLANE, FRONTEND, HEALTH_CHECK)}


class ApiObjects:
    """A user at the API server: objects get uid, generation and version as it gives them."""

    def __init__(self) -> None:
        self.server = FakeApiServer()
        self._uids = 0

    def apply(self, manifest: Raw, status: Mapping[str, object] | None = None) -> JsonObject:
        """Create an object, or change its spec; its status stays unless one is given."""
        kind, key = named(manifest)
        before = self.server.objects.get((kind, key))
        shown = status if status is not None else (before or {}).get("status") or {}
        made = self.server.add(kind, key, shown)
        if before is None:
            self._uids += 1
            born = {"uid": f"uid-{self._uids}", "generation": 1}
        else:
            changed = before["spec"] != manifest["spec"]
            old = before["metadata"]
            born = {"uid": old["uid"], "generation": old["generation"] + changed}
        given = manifest["metadata"]
        assert isinstance(given, Mapping)
        made["metadata"] = {**given, **made["metadata"], **born}
        made.update(_top(manifest))
        return made

    def delete(self, manifest: Raw) -> tuple[Kind, ObjectKey]:
        """Delete an object."""
        kind, key = named(manifest)
        del self.server.objects[kind, key]
        return kind, key

    def status(self, kind: str, name: str) -> Mapping[str, object]:
        """Return the status of an object of the namespace `default`."""
        return self.server.status(KINDS[kind], ObjectKey("default", name))


class Operator:
    """One operator's process."""

    def __init__(self, api: ApiObjects, clock: FakeClock | None = None) -> None:
        self.api, self.clock, self.prober = api, clock or FakeClock(), FakeProber()
        self.writer = StatusWriter(api.server)
        self.recorder = EventRecorder(api.server, "operator", "here")
        self.stream, registry = EventStream(), Registry()
        reporter = Reporter(self.writer, self.recorder, self.clock)
        self.reconciler = Reconciler(self.prober, reporter, self.clock)
        self.nodes = Nodes()
        renderer = StatusRenderer(self.reconciler, self.nodes.report, self.clock.now)
        self.board = Board(self.reconciler, renderer.render, self.stream)
        reporter.attach(
            self.reconciler, renderer, self.board, OperatorMetrics(registry, self.board)
        )
        self.intake = Intake(self.reconciler, reporter, self.nodes)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Operator"]:
        """Take everything in that is there, then decide and write."""
        tasks = [
            asyncio.create_task(work) for work in (self.writer.run(), self.recorder.run())
        ]
        await self.prober.start(self.reconciler.on_verdict, lambda _: None)
        for (kind, key), raw in list(self.api.server.objects.items()):
            self.intake.seen(kind, key, raw)
        self.reconciler.set_synced()
        await self.settle()
        try:
            yield self
        finally:
            self.reconciler.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def apply(self, *manifests: Raw) -> None:
        """Have a user apply these; the watch tells."""
        for manifest in manifests:
            self.intake.seen(*named(manifest), self.api.apply(manifest))
        await self.settle()

    async def delete(self, manifest: Raw) -> None:
        """Have a user delete it; the watch tells."""
        self.intake.gone(*self.api.delete(manifest))
        await self.settle()

    async def answer(self, name: str, *, up: bool) -> None:
        """Let a backend answer so from now on."""
        code = ProbeCode.L4OK if up else ProbeCode.L4CON
        detail = "" if up else "connection refused"
        self.prober.answer(ObjectKey("default", name), up=up, code=code, detail=detail)
        await self.settle()

    async def echo(self) -> None:
        """Have the watch tell every object as it is now."""
        for (kind, key), raw in list(self.api.server.objects.items()):
            self.intake.seen(kind, key, raw)
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(20):
            await asyncio.sleep(0)
        assert await self.writer.drain(1) == 0
        for _ in range(20):
            await asyncio.sleep(0)

    def events(self) -> list[tuple[object, ...]]:
        """Return (type, reason, object, note) of the events since the last call."""
        events = self.api.server.events
        said = [(one["type"], one["reason"], _about(one), one["note"]) for one in events]
        events.clear()
        return said

    def writes(self) -> list[str]:
        """Return whose status was written since the last call, in order."""
        requests = self.api.server.requests
        written = [key.name for verb, key, _ in requests if verb == "patch_status"]
        requests.clear()
        return written


def named(manifest: Raw) -> tuple[Kind, ObjectKey]:
    """Return kind and key of a manifest."""
    kind, metadata = KINDS[str(manifest["kind"])], manifest["metadata"]
    assert isinstance(metadata, Mapping)
    namespace = metadata.get("namespace", "default") if kind.namespaced else ""
    return kind, ObjectKey(namespace, metadata["name"])


def _top(manifest: Raw) -> Raw:
    return {name: manifest[name] for name in ("apiVersion", "kind", "spec")}


def _about(event: Mapping[str, object]) -> str:
    regarding = event["regarding"]
    assert isinstance(regarding, Mapping)
    return f"{regarding['kind']}/{regarding['name']}"

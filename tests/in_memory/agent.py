"""An agent on an API server and a VPP in memory: all but the watch and the HTTP endpoints."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from data.kept_memory import HERE, kept_state
from data.manifests import Raw, frontend
from data.objects import key, vip
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from fakes.load_balancer import FakeLoadBalancer
from vpplb.agent.intake import Intake
from vpplb.agent.reporter import SPACING, DataplaneReporter
from vpplb.files.owned_state_store import OwnedStateStore, read_owned
from vpplb.kube.api_resources import JsonObject, cluster_key
from vpplb.kube.object_cache import CachedObject, ObjectCache
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipSettings
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.dataplane_codec import dump_dataplane
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import OwnedState, VipState
from vpplb.telemetry.metrics import AgentMetrics, Registry

NODE = cluster_key("n1")
WEB, API = vip("192.0.2.1/32"), vip("192.0.2.2/32")


def decided(
    on: VipId,
    weight: int = 10,
    table_length: int = 1024,
    selector: Mapping[str, str] | None = None,
    **extra: object,
) -> Raw:
    """Return a Frontend's status that wants a VIP with one server, decided for these nodes."""
    servers = {ip_address("10.0.0.1"): AppServer(weight=weight)}
    settings = VipSettings(encap=Encap.GRE4, table_length=table_length)
    wanted = Vip(settings=settings, servers=servers)
    return {"dataplane": dump_dataplane(on, wanted, (selector or {}).items()), **extra}


class _ReporterFeed:
    """Tells the reporter of its Dataplane, as the agent's listener does."""

    def __init__(self, reporter: DataplaneReporter) -> None:
        self._reporter = reporter

    def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
        self._reporter.seen(old, new)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._reporter.gone()

    def on_history_reset(self) -> None:
        pass


class LocalAgent:
    """The agent of node n1. `settle` lets it program and write what is due."""

    def __init__(
        self,
        server: FakeApiServer | None = None,
        lb: FakeLoadBalancer | None = None,
        *,
        memory: Path | None = None,
        labels: Mapping[str, str] | None = None,
        default: DesiredSettings | None = None,
        lapsed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.server, self.lb = server or FakeApiServer(), lb or FakeLoadBalancer()
        self.clock, self.registry = FakeClock(), Registry()
        self.cache = ObjectCache()
        self.writer = StatusWriter(self.server, self.cache)
        self._tasks: list[asyncio.Task[None]] = []
        self.announced: list[tuple[ObjectKey, str]] = []
        dataplane = self.server.objects.get((ObjectKind.DATAPLANE, NODE)) or self.store_dataplane()
        state = (memory and kept_state(memory)) or read_owned(dataplane) or OwnedState()
        vips = VipState(state)
        self.store = OwnedStateStore(memory, lambda: vips.owned_state, HERE)
        self.store.load()
        self.reporter = DataplaneReporter(
            self.writer,
            AgentMetrics(self.registry),
            NODE.name,
            self.clock,
            selected=lambda: self.intake.selected,
            vips=vips,
            store=self.store,
            lapsed=lapsed,
            announce=lambda frontend, note: self.announced.append((frontend, note)),
        )
        self.syncer = VppSyncer(self.lb, vips, listener=self.reporter)
        self.reporter.resume(dataplane)
        self.intake = Intake(
            self.syncer,
            NODE.name,
            default or DesiredSettings(),
            state.owned,
            self.reporter.unreadable,
        )
        self.intake.labels_changed(labels or {})
        self.cache.add_handler(_ReporterFeed(self.reporter))

    # --- what happens -----------------------------------------------------------------------

    def store_dataplane(
        self, uid: str = "uid-n1", generation: int = 1, **spec: object
    ) -> JsonObject:
        """Store the Dataplane with this spec and the status that it has."""
        before = self.server.objects.get((ObjectKind.DATAPLANE, NODE)) or {}
        made = self.server.add(ObjectKind.DATAPLANE, NODE, before.get("status") or {})
        made["metadata"] |= {"uid": uid, "generation": generation}
        return made | {"spec": spec}

    def see_dataplane(self, raw: JsonObject | None = None) -> None:
        """Let the agent see its Dataplane as it is, or as given."""
        seen = raw or self.server.objects[ObjectKind.DATAPLANE, NODE]
        self.cache.apply_event(ObjectKind.DATAPLANE, None, seen)
        self.intake.seen(ObjectKind.DATAPLANE, NODE, {"kind": "Dataplane", **seen})

    def see(self, name: str, status: Raw | None = None, **spec: object) -> None:
        """Let the agent see a Frontend."""
        self.intake.seen(
            ObjectKind.FRONTEND, key(name), frontend(name, **spec) | {"status": status}
        )

    async def __aenter__(self) -> "LocalAgent":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> "LocalAgent":
        """Run: the Dataplane and all Frontends seen so far are all there are."""
        self._tasks = [
            asyncio.create_task(self.writer.run()),
            asyncio.create_task(self.syncer.run()),
            asyncio.create_task(self.store.run()),
        ]
        self.see_dataplane()
        self.syncer.set_synced()
        self.reporter.begin()
        await self.settle()
        return self

    async def settle(self) -> None:
        """Let everything be programmed and written; time passes, but costs nothing."""
        await asyncio.sleep(SPACING + 0.1)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- what comes of it -------------------------------------------------------------------

    @property
    def status(self) -> Mapping[str, object]:
        return self.server.status(ObjectKind.DATAPLANE, NODE)

    def condition(self, of_type: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition."""
        conditions = self.status["conditions"]
        assert isinstance(conditions, list)
        [found] = [one for one in conditions if one["type"] == of_type]
        return found["status"], found["reason"], found["message"]

    def since(self, of_type: str) -> str:
        """Return the time of a condition's last transition."""
        conditions = self.status["conditions"]
        assert isinstance(conditions, list)
        [found] = [one for one in conditions if one["type"] == of_type]
        return str(found["lastTransitionTime"])

"""An agent on an API server and a VPP in memory: all but the watch and the HTTP endpoints."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from data.kept_memory import HERE, kept_state
from data.manifests import Raw, frontend
from data.objects import vip
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from fakes.load_balancer import FakeLoadBalancer
from fakes.operator_connections import FakeConnections
from vpplb.agent.dataplane_reporter import SPACING, DataplaneReporter
from vpplb.agent.direct_road import DirectRoad, MakeConnections
from vpplb.agent.frontend_outcomes import FrontendOutcomes
from vpplb.agent.frontend_selector import FrontendSelector, SelectedFrontends
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.agent.vips_answers import VipsAnswers
from vpplb.direct.messages import DecisionEntry
from vpplb.files.owned_state_store import OwnedStateStore, read_owned
from vpplb.kube.api_types import JsonObject, cluster_key
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.decision_order import DecisionOrder
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipSettings
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.dataplane_codec import dump_dataplane
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import OwnedState, VipState
from vpplb.telemetry.failover_traces import FailoverTraces
from vpplb.telemetry.http import PageUnavailable
from vpplb.telemetry.metrics import AgentMetrics, MetricsRegistry

NODE = cluster_key("n1")
WEB, API = vip("192.0.2.1/32"), vip("192.0.2.2/32")
WRITTEN_WITHIN = 1.0
"""Real seconds that a write of the agent's memory is waited for."""


def decided(
    on: VipId,
    weight: int = 10,
    table_length: int = 1024,
    selector: Mapping[str, str] | None = None,
    order: tuple[int, int] = (0, 0),
    **extra: object,
) -> Raw:
    """Return a Frontend's status that wants a VIP with one server, decided for these nodes."""
    servers = {ip_address("10.0.0.1"): AppServer(weight=weight)}
    settings = VipSettings(encap=Encap.GRE4, table_length=table_length)
    wanted = Vip(settings=settings, servers=servers)
    shown = dump_dataplane(on, wanted, (selector or {}).items())
    if any(order):
        shown |= dict(zip(("term", "sequence"), order, strict=True))
    return {"dataplane": shown, **extra}


def entry(
    name: str,
    on: VipId | None,
    order: tuple[int, int],
    *,
    uid: str = "",
    holding: bool = False,
    gone: bool = False,
    **decided_as: Any,
) -> DecisionEntry:
    """Return what a leader sends of a Frontend; without a VIP, that it must have none."""
    content = decided(on, **decided_as)["dataplane"] if on else None
    assert content is None or isinstance(content, dict)
    return DecisionEntry(
        frontend=ObjectKey("default", name),
        uid=uid,
        order=DecisionOrder(*order),
        dataplane=content,
        holding=holding,
        gone=gone,
    )


class NotedEvents(EventRecorder):
    """Notes the events instead of sending them."""

    def __init__(self, server: FakeApiServer) -> None:
        super().__init__(server, "agent", "n1")
        self.events: list[ObjectEvent] = []

    def emit_event(self, event: ObjectEvent) -> None:
        self.events.append(event)


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
        traces: FailoverTraces | None = None,
        connections: MakeConnections = FakeConnections,
    ) -> None:
        self.server, self.lb = server or FakeApiServer(), lb or FakeLoadBalancer()
        self.clock, self.registry = FakeClock(), MetricsRegistry("agent")
        self.cache = ObjectCache()
        self.writer = StatusWriter(self.server, self.cache)
        self._tasks: list[asyncio.Task[None]] = []
        self.recorder = NotedEvents(self.server)
        self.selected = SelectedFrontends()
        self.outcomes = FrontendOutcomes(self.selected)
        self._versions = itertools.count(1_000_000)
        dataplane = self.server.objects.get((ObjectKind.DATAPLANE, NODE)) or self.store_dataplane()
        state = (memory and kept_state(memory)) or read_owned(dataplane) or OwnedState()
        vips = VipState(state)
        self.decisions = NewestDecisions()
        self.store = OwnedStateStore(
            memory,
            lambda: vips.owned_state,
            HERE,
            lambda: self.decisions.marks,
            lambda: self.outcomes.carried,
        )
        stored = self.store.load()
        marks = stored.marks if stored else {}
        self.reporter = DataplaneReporter(
            self.writer,
            AgentMetrics(self.registry),
            self.recorder,
            NODE.name,
            self.clock,
            outcomes=self.outcomes,
            vips=vips,
            store=self.store,
            lapsed=lapsed,
            on_read=lambda: self.selector.note_observed(vips.observed),
        )
        traced = traces.wrap_vpp(self.lb, lambda: vips.owned_state.owned) if traces else self.lb
        self.syncer = VppSyncer(traced, vips, listener=self.reporter)
        self.reporter.resume(dataplane, stored.programmed if stored else None)
        self.selector = FrontendSelector(
            self.syncer,
            self.cache,
            self.decisions,
            NODE.name,
            default or DesiredSettings(),
            self.selected,
            self.reporter.on_unreadable,
        )
        self.selector.resume(state.owned, marks)
        self.selector.set_labels(labels or {})
        lease = ObjectKey("kube-system", "vpplb-operator")
        self.road = DirectRoad(
            connections,
            (),
            decisions=self.decisions,
            selector=self.selector,
            outcomes=self.outcomes,
            reporter=self.reporter,
            store=self.store,
            lookup=OperatorLookup(
                client=self.server, lease=lease, release=ReleaseIdentity("default")
            ),
            answers=VipsAnswers(self._read_vips),
            on_trace=traces.put_parent if traces else None,
        )
        self.cache.add_handlers(self.reporter, self.selector)

    async def _read_vips(self, frontend: ObjectKey | None) -> Mapping[str, object]:
        raise PageUnavailable("nobody asks this agent")

    # --- what happens -----------------------------------------------------------------------

    def store_dataplane(
        self, uid: str = "uid-n1", generation: int = 1, **spec: object
    ) -> JsonObject:
        """Store the Dataplane with this spec and the status that it has."""
        before = self.server.objects.get((ObjectKind.DATAPLANE, NODE)) or {}
        made = self.server.add(ObjectKind.DATAPLANE, NODE, before.get("status") or {})
        made["metadata"] |= {"uid": uid, "generation": generation}
        made |= {"kind": "Dataplane", "spec": spec}
        return made

    def see_dataplane(self, raw: JsonObject | None = None) -> None:
        """Let the agent see its Dataplane as it is, or as given."""
        seen = raw or self.server.objects[ObjectKind.DATAPLANE, NODE]
        self.cache.apply_event(ObjectKind.DATAPLANE, None, seen)

    def see(self, name: str, status: Raw | None = None, **spec: object) -> None:
        """Let the agent see a Frontend."""
        self.see_frontend(frontend(name, **spec) | {"status": status})

    def see_frontend(self, raw: Raw) -> None:
        """Let the agent see a Frontend as given, newer than all before."""
        self.cache.apply_event(ObjectKind.FRONTEND, None, self._renew(raw))

    def delete(self, name: str) -> None:
        """Let the agent see that a Frontend is deleted."""
        self.cache.apply_event(ObjectKind.FRONTEND, "DELETED", self._renew(frontend(name)))

    def _renew(self, raw: Raw) -> JsonObject:
        assert isinstance(raw["metadata"], dict)
        version = {"resourceVersion": str(next(self._versions))}
        return {**raw, "metadata": {"namespace": "default", **raw["metadata"], **version}}

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
            asyncio.create_task(self.road.send_reports()),
            asyncio.create_task(self.road.warn_outdated()),
        ]
        self.see_dataplane()
        self.selector.begin_list()()
        self.syncer.set_synced()
        self.outcomes.begin()
        self.reporter.begin()
        await self.settle()
        return self

    async def settle(self) -> None:
        """Let everything be programmed and written; time passes, but costs nothing."""
        await asyncio.sleep(SPACING + 0.1)
        # Its thread takes real time, of which the loop's knows nothing; a disk may refuse for ever.
        given_up = time.monotonic() + WRITTEN_WITHIN
        while self.store.is_behind and time.monotonic() < given_up:
            await asyncio.to_thread(time.sleep, 0.001)
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def operators(self) -> FakeConnections:
        """The operators' ends of the direct road."""
        assert isinstance(self.road.connections, FakeConnections)
        return self.road.connections

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

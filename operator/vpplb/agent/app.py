"""The agent: its parts put together, started in order and stopped in order."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vpplb.agent.announcer import Announcer
from vpplb.agent.identity import agent_identity, outranking, rivalry
from vpplb.agent.intake import KINDS, Intake
from vpplb.agent.node import Node
from vpplb.agent.reporter import DataplaneReporter
from vpplb.agent.vips import VipsPage
from vpplb.files.owned_state_store import (
    OwnedStateStore,
    VppIdentity,
    read_owned,
)
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.client import KubeClient
from vpplb.kube.errors import KubeError
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.kube.lease_heartbeat import Heartbeat
from vpplb.kube.object_cache import CachedObject, ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.packet_meter import PacketMeter
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import OwnedState, VipState
from vpplb.telemetry.http import HttpServer, Unavailable
from vpplb.telemetry.metrics import AgentMetrics, PacketCount, Registry, packet_counts
from vpplb.telemetry.process_health import ProcessHealth
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.lock import VppLock
from vpplb.vpp.stale_clients import StaleClients
from vpplb.vpp.stats import PapiVipCounters

log = logging.getLogger(__name__)

_CHECKS = ("node", "objects", "watch", "vpp", "lease", "writes")
DRAIN_TIMEOUT = 3.0
RESIGN_TIMEOUT = 1.0
"""Seconds to write what is still due when the agent is told to stop, and to give its lease up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What the command line says. `sync_interval` is in seconds.

    `state_file` None: no memory; `vpp_stats_socket` None: packets are not counted.
    """

    node: str
    vpp_api_socket: Path
    vpp_stats_socket: Path | None = None
    state_file: Path | None = None
    namespaces: tuple[str, ...] = ()
    http_address: str = ":9091"
    http_hosts: tuple[str, ...] = ()
    sync_interval: float = 30.0
    own_all: bool = False
    conf: DesiredSettings = field(default_factory=DesiredSettings)
    lease_namespace: str = "default"


async def run(options: AgentOptions, stop: asyncio.Event) -> None:
    """Run the agent until `stop` is set.

    ConfigError when no cluster is configured, CannotListen when the HTTP address is taken,
    Replaced when another agent of this node's name has taken its lease. A
    cluster or a VPP that cannot be reached is no error: it is tried again and shown in
    readiness. VPP goes on forwarding when the agent stops.
    """
    async with await KubeClient.from_config() as client:
        agent = Agent(options, client)
        async with agent.http:
            running = asyncio.create_task(agent.run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not running.done():
                await agent.wind_down()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            agent.keep()
            if not running.cancelled() and (error := running.exception()) is not None:
                raise _first(error)


class Agent:
    """The parts, and the order in which they start.

    The syncer comes last to be made, since it must know which VIPs are its own.
    """

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self._options, self._client = options, client
        self._clock, registry = SystemClock(), Registry()
        self._meter: PacketMeter | None = None
        self._syncer: VppSyncer | None = None
        self._vips_page: VipsPage | None = None
        self._reporter: DataplaneReporter | None = None
        self._heartbeat: Heartbeat | None = None
        self._metrics = AgentMetrics(registry, self._packet_counts)
        vips = VipState(own_all=options.own_all)
        identity = VppIdentity.of_socket(options.node, options.vpp_api_socket)
        self._vips = vips
        self._store = OwnedStateStore(options.state_file, lambda: vips.owned_state, identity)
        self._node = Node(client, options.node, self._store, self._labels_changed)
        self._lock = VppLock(options.vpp_api_socket)
        self._unusable = ""
        self._intake: Intake | None = None
        self._troubles: dict[str, Callable[[], str]] = {"node": lambda: "not introduced yet"}
        self._cache = ObjectCache()
        self.writer = StatusWriter(client, self._cache)
        self._recorder = EventRecorder(client, "agent", options.node)
        self._informer = informer = ObjectInformer(client, KINDS, self._cache, options.namespaces)
        self._health = ProcessHealth(
            watch_ages=informer.watch_ages,
            api_age=client.health.age,
            api_trouble=lambda: client.health.trouble,
            writes_due=lambda: self.writer.pending,
        )
        registry.register(self._health)
        self.http = HttpServer(
            address=options.http_address,
            metrics=registry.pieces,
            hosts=options.http_hosts,
            alive={"watch": lambda: informer.watch.beyond_repair or None},
            figures=self._health.list_figures,
            facts={"memory": lambda: self._unusable or "in use"},
            checks={
                "api": self._health.check_api,
                **{one: partial(self._trouble, one) for one in _CHECKS},
            },
            pages={f"dataplanes/{options.node}/vips": self._show_vips},
        )

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._health.lag.run())
            group.create_task(self.writer.run())
            group.create_task(self._recorder.run())
            await self._lock.wait_acquired(self._wait)
            loaded = self._store.load()
            self._unusable = loaded.trouble
            dataplane = await self._node.introduce()
            self._heartbeat = heartbeat = self._make_heartbeat()
            self._troubles["node"] = lambda: rivalry(heartbeat)
            await heartbeat.claim()
            del self._troubles["node"]
            group.create_task(heartbeat.run())
            state = loaded.stored.state if loaded.stored else read_owned(dataplane)
            self._vips.restore(state or OwnedState())
            await self._program(group, dataplane, heartbeat)

    def _wait(self, why: str) -> None:
        log.warning("%s", why)
        self._troubles["node"] = lambda: why

    async def wind_down(self) -> None:
        """Write what is still due, and give the node's lease up."""
        if self._reporter is not None:
            self._reporter.flush()
        await self.writer.drain(DRAIN_TIMEOUT)
        if self._heartbeat is not None:
            with suppress(KubeError, TimeoutError):
                async with asyncio.timeout(RESIGN_TIMEOUT):
                    await self._heartbeat.resign()

    def keep(self) -> None:
        """Keep what the next start has to know; for the end, when nothing changes any more."""
        self._store.close()
        self._lock.release()

    async def _program(
        self,
        group: asyncio.TaskGroup,
        dataplane: JsonObject,
        heartbeat: Heartbeat,
    ) -> None:
        options = self._options
        vips = self._vips
        self._reporter = reporter = DataplaneReporter(
            self.writer,
            self._metrics,
            options.node,
            self._clock,
            selected=lambda: intake.selected,
            vips=vips,
            store=self._store,
            lapsed=heartbeat.lapsed,
            announce=Announcer(self._recorder, options.node, self._clock, self._uid).recreated,
        )
        leftovers = StaleClients(self._metrics.set_leftovers)
        lb = PapiLoadBalancer(
            options.vpp_api_socket,
            on_call=self._metrics.record_call,
            lock=self._lock,
            on_leftovers=leftovers.on_count,
        )
        syncer = VppSyncer(lb, vips, listener=reporter, sync_interval=options.sync_interval)
        socket = options.vpp_stats_socket
        counters = PapiVipCounters(socket) if socket else None
        if counters is not None:
            self._syncer, self._meter = syncer, PacketMeter(counters, lb.vip_indexes)
            group.create_task(self._meter.run())
        self._vips_page = VipsPage(
            options.node,
            lb.read_with_indexes,
            counters,
            lambda: vips.owned_state.owned,
            self._clock,
        )
        reporter.resume(dataplane)
        self._intake = intake = Intake(
            syncer, options.node, options.conf, vips.owned_state.owned, reporter.unreadable
        )
        intake.labels_changed(self._node.labels)
        intake.seen(
            ObjectKind.DATAPLANE, self._node.key, dataplane
        )  # should it go before it is listed
        self._cache.add_handler(_Listener(intake, reporter, self._node))
        informer = self._informer
        heartbeat.on_beat = reporter.beat
        self._troubles |= {
            "lease": lambda: heartbeat.trouble,
            "writes": lambda: self.writer.trouble,
            "objects": lambda: informer.trouble,
            "watch": lambda: informer.watch.trouble,
            "vpp": lambda: reporter.trouble or leftovers.alarm_text,
        }
        group.create_task(self._store.run())
        group.create_task(syncer.run())
        group.create_task(self._node.run())
        await informer.list_all()
        syncer.set_synced()
        reporter.begin()
        group.create_task(informer.run())

    def _trouble(self, name: str) -> str | None:
        """Say why a part is not ready; parts that are still to come wait for the node."""
        said = self._troubles.get(name) or self._troubles.get("node")
        return (said() or None) if said else None

    async def _show_vips(self) -> Mapping[str, object]:
        if self._vips_page is None:
            raise Unavailable(self._trouble("node") or "not started yet")
        return await self._vips_page()

    def _packet_counts(self) -> Iterable[PacketCount]:
        if self._meter is None or self._syncer is None:
            return ()
        return packet_counts(self._meter.packets, self._syncer.vips.owned_state.owned)

    def _labels_changed(self, labels: Mapping[str, str]) -> None:
        if self._intake is not None:
            self._intake.labels_changed(labels)

    def _uid(self, frontend: ObjectKey) -> str:
        return self._intake.uid(frontend) if self._intake is not None else ""

    def _make_heartbeat(self) -> Heartbeat:
        options = self._options
        return Heartbeat(
            client=self._client,
            key=ObjectKey(options.lease_namespace, options.node),
            holder=agent_identity(options.node, options.vpp_api_socket),
            clock=self._clock,
            owners=lambda: self._node.owners,
            outranks=outranking(lambda: self._node.boot_id),
        )


def _first(error: BaseException) -> BaseException:
    """Take the first of several errors that ended the program together."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


class _Listener:
    """Tells the intake everything, and the reporter what concerns its Dataplane."""

    def __init__(self, intake: Intake, reporter: DataplaneReporter, node: Node) -> None:
        self._intake, self._reporter, self._node = intake, reporter, node

    def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
        """Implement `kube.object_cache.ObjectHandler`."""
        if kind == ObjectKind.DATAPLANE and new.key == self._node.key:
            self._reporter.seen(old, new)
            self._node.seen(new.raw)
        self._intake.seen(kind, new.key, new.raw)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Implement `kube.object_cache.ObjectHandler`."""
        if kind == ObjectKind.DATAPLANE and key == self._node.key:
            self._reporter.gone()
            self._node.deleted()
        self._intake.gone(kind, key)

    def on_history_reset(self) -> None:
        """Each object comes back, and is compared with what the cache had of it."""

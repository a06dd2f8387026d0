"""The agent: its parts put together, started in order and stopped in order."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vpplb.agent.dataplane_reporter import DataplaneReporter
from vpplb.agent.frontend_selector import KINDS, FrontendSelector, SelectedFrontends
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.agent.node_registration import NodeRegistration, agent_identity, outranks_holder
from vpplb.agent.vips_page import VipsPage
from vpplb.files.owned_state_store import OwnedStateStore, VppIdentity, read_owned
from vpplb.kube.agent_lease import LeaseHeartbeat
from vpplb.kube.api_types import JsonObject, KubeError
from vpplb.kube.client import KubeClient
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.clock import Clock, SystemClock
from vpplb.model.names import ObjectKey
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import OwnedState, VipState
from vpplb.telemetry.http import HttpServer, PageUnavailable
from vpplb.telemetry.metrics import AgentMetrics, MetricsRegistry, register_packets
from vpplb.telemetry.process_health import ProcessHealth
from vpplb.vpp.access import VppAccess

log = logging.getLogger(__name__)

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
            agent.close()
            if not running.cancelled() and (error := running.exception()) is not None:
                raise _first_error(error)


class KubeParts:
    """What is known of the API server's objects, and what is written there."""

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self.cache = ObjectCache()
        self.informer = ObjectInformer(client, KINDS, self.cache, options.namespaces)
        self.writer = StatusWriter(client, self.cache)
        self.recorder = EventRecorder(client, "agent", options.node)
        self.health = ProcessHealth(
            watch_ages=self.informer.watch_ages,
            api_age=client.health.age,
            api_trouble=lambda: client.health.trouble,
            writes_due=lambda: self.writer.pending,
        )


class Agent:
    """The parts, and the order in which they start.

    All are made at once, but nothing is asked of VPP and nothing written before this agent has the
    VPP (`VppLock`) and the node (`LeaseHeartbeat`) for itself; until then `_waits_for` says what
    it waits for.
    """

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self._options, clock, registry = options, SystemClock(), MetricsRegistry()
        metrics = AgentMetrics(registry)
        self._vpp, self._kube = _open_vpp(options, metrics), KubeParts(options, client)
        self._vips = VipState(own_all=options.own_all)
        self._store = _make_store(options, self._vips)
        self._node = NodeRegistration(client, options.node, self._store)
        self._heartbeat = _make_heartbeat(options, client, self._node, clock)
        self._selected, self._decisions = SelectedFrontends(), NewestDecisions()
        self._reporter = self._make_reporter(metrics, clock)
        interval = options.sync_interval
        self._syncer = VppSyncer(
            self._vpp.lb, self._vips, listener=self._reporter, sync_interval=interval
        )
        self._selector = self._make_selector()
        for handler in (self._reporter, self._node, self._selector):
            self._kube.cache.add_handler(handler)
        self._page = VipsPage(
            options.node, self._vpp.lb.read_with_indexes, self._vpp.counters, self._vips, clock
        )
        self._waits_for: Callable[[], str] = lambda: "not introduced yet"
        meter, vips = self._vpp.meter, self._vips
        register_packets(
            registry, lambda: meter.packets if meter else {}, lambda: vips.owned_state.owned
        )
        registry.register(self._kube.health)
        self.http = self._make_http(registry)

    async def run(self) -> None:
        kube = self._kube
        async with asyncio.TaskGroup() as group:
            for early in (kube.health.lag.run(), kube.writer.run(), kube.recorder.run()):
                group.create_task(early)
            await self._vpp.lock.wait_acquired(self._wait_for_lock)
            dataplane = await self._claim_node()
            group.create_task(self._heartbeat.run(self._reporter.on_beat))
            self._resume(dataplane)
            if self._vpp.meter is not None:
                group.create_task(self._vpp.meter.run())
            group.create_task(self._store.run())
            group.create_task(self._syncer.run())
            group.create_task(self._node.run(self._selector.set_labels))
            # Nothing is removed from VPP before all frontends are known.
            await kube.informer.list_all()
            self._selector.note_listed({})
            self._syncer.set_synced()
            self._reporter.begin()
            group.create_task(kube.informer.run())

    async def wind_down(self) -> None:
        """Write what is still due, and give the node's lease up."""
        self._reporter.flush()
        await self._kube.writer.drain(DRAIN_TIMEOUT)
        with suppress(KubeError, TimeoutError):
            async with asyncio.timeout(RESIGN_TIMEOUT):
                await self._heartbeat.resign_lease()

    def close(self) -> None:
        """Keep what the next start has to know; for the end, when nothing changes any more."""
        self._store.close()
        self._vpp.lock.release()

    # --- starting ----------------------------------------------------------------------------

    def _wait_for_lock(self, why: str) -> None:
        log.warning("%s", why)
        self._waits_for = lambda: why

    async def _claim_node(self) -> JsonObject:
        """Find out what is ours, and wait until no other agent has the node; return its Dataplane.

        What is ours is what the state file says, else what the Dataplane's status does.
        """
        stored = self._store.load()
        dataplane = await self._node.register_node()
        self._waits_for = partial(_explain_rivalry, self._heartbeat)
        await self._heartbeat.claim_lease()
        self._waits_for = str
        state = stored.state if stored else read_owned(dataplane)
        self._vips.restore(state or OwnedState())
        return dataplane

    def _resume(self, dataplane: JsonObject) -> None:
        """Go on from what the last agent did."""
        self._reporter.resume(dataplane)
        self._selector.resume(self._vips.owned_state.owned)
        self._selector.set_labels(self._node.labels)
        # Should it be deleted before it is listed, what it says counts all the same.
        self._selector.set_dataplane(dataplane)

    # --- making ------------------------------------------------------------------------------

    def _make_reporter(self, metrics: AgentMetrics, clock: Clock) -> DataplaneReporter:
        return DataplaneReporter(
            self._kube.writer,
            metrics,
            self._kube.recorder,
            self._options.node,
            clock,
            selected=self._selected,
            vips=self._vips,
            store=self._store,
            lapsed=self._heartbeat.has_lapsed,
        )

    def _make_selector(self) -> FrontendSelector:
        return FrontendSelector(
            self._syncer,
            self._kube.cache,
            self._decisions,
            self._options.node,
            self._options.conf,
            self._selected,
            self._reporter.on_unreadable,
        )

    def _make_http(self, registry: MetricsRegistry) -> HttpServer:
        kube, options = self._kube, self._options
        parts: Mapping[str, Callable[[], str]] = {
            "node": str,
            "objects": lambda: kube.informer.trouble,
            "watch": lambda: kube.informer.watch.trouble,
            "vpp": lambda: self._reporter.trouble or self._vpp.stale_clients.alarm_text,
            "lease": lambda: self._heartbeat.trouble,
            "writes": lambda: kube.writer.trouble,
        }
        checks = {name: partial(self._check_part, trouble) for name, trouble in parts.items()}
        return HttpServer(
            address=options.http_address,
            metrics=registry.render_pieces,
            hosts=options.http_hosts,
            alive={"watch": lambda: kube.informer.watch.beyond_repair or None},
            figures=kube.health.list_figures,
            facts={"memory": lambda: self._store.trouble or "in use"},
            checks={"api": kube.health.check_api, **checks},
            pages={f"dataplanes/{options.node}/vips": self._show_vips},
        )

    def _check_part(self, trouble: Callable[[], str]) -> str | None:
        """Say why a part is not ready; all of them wait for the node."""
        return self._waits_for() or trouble() or None

    async def _show_vips(self) -> Mapping[str, object]:
        if why := self._waits_for():
            raise PageUnavailable(why)
        return await self._page()


def _open_vpp(options: AgentOptions, metrics: AgentMetrics) -> VppAccess:
    return VppAccess(
        options.vpp_api_socket,
        options.vpp_stats_socket,
        on_call=metrics.record_call,
        on_stale_clients=metrics.set_leftovers,
    )


def _make_store(options: AgentOptions, vips: VipState) -> OwnedStateStore:
    identity = VppIdentity.of_socket(options.node, options.vpp_api_socket)
    return OwnedStateStore(options.state_file, lambda: vips.owned_state, identity)


def _make_heartbeat(
    options: AgentOptions, client: KubeClient, node: NodeRegistration, clock: Clock
) -> LeaseHeartbeat:
    return LeaseHeartbeat(
        client=client,
        key=ObjectKey(options.lease_namespace, options.node),
        holder=agent_identity(options.node, options.vpp_api_socket),
        clock=clock,
        owners=lambda: node.owners,
        outranks=lambda holder: outranks_holder(node.boot_id, holder),
    )


def _explain_rivalry(heartbeat: LeaseHeartbeat) -> str:
    """Say that another agent has this node's name; until then the lease is being looked at."""
    if not heartbeat.rival:
        return f"the lease {heartbeat.key} is not claimed yet"
    return (
        f"another agent of this node's name is at work ({heartbeat.rival}; this one is"
        f" {heartbeat.holder}): hands off until its lease {heartbeat.key} has run out"
    )


def _first_error(error: BaseException) -> BaseException:
    """Take the first of several errors that ended the program together."""
    return _first_error(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error

"""The agent: its parts put together, started in order and stopped in order."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vpplb.agent.dataplane_reporter import DataplaneReporter
from vpplb.agent.direct_road import DirectRoad
from vpplb.agent.frontend_outcomes import FrontendOutcomes
from vpplb.agent.frontend_selector import KINDS, FrontendSelector, SelectedFrontends
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.agent.node_registration import NodeRegistration, agent_identity, outranks_holder
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.agent.vips_page import VipsPage
from vpplb.direct.client import OperatorConnections
from vpplb.files.owned_state_store import OwnedStateStore, StoredState, VppIdentity, read_owned
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
PATIENCE = 2.0
"""Seconds for which an agent that starts waits for the API server, and then for a leader that may
be ahead of the statuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What the command line says. `sync_interval` is in seconds.

    `state_file` None: no memory; `vpp_stats_socket` None: packets are not counted. `direct_token`
    is the file of the token that operators are shown, None where the direct road is off; they are
    found in the Lease `lease_name` of the election.
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
    direct_token: Path | None = None
    election_namespace: str = "kube-system"
    lease_name: str = "vpplb-operator"


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
    it waits for. Where the API server does not answer, what is on the disk about this very VPP will
    do in place of the lease, and a leader's whole state in place of the lists.
    """

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self._options, clock, registry = options, SystemClock(), MetricsRegistry()
        metrics = AgentMetrics(registry)
        self._vpp, self._kube = _open_vpp(options, metrics), KubeParts(options, client)
        self._vips, self._decisions = VipState(own_all=options.own_all), NewestDecisions()
        self._store = _make_store(options, self._vips, self._decisions)
        self._node = NodeRegistration(client, options.node, self._store)
        self._heartbeat = _make_heartbeat(options, client, self._node, clock)
        self._outcomes = FrontendOutcomes(SelectedFrontends())
        self._reporter = self._make_reporter(metrics, clock)
        interval = options.sync_interval
        self._syncer = VppSyncer(
            self._vpp.lb, self._vips, listener=self._reporter, sync_interval=interval
        )
        self._selector = self._make_selector()
        self._road = self._make_road(client)
        for handler in (self._reporter, self._node, self._selector):
            self._kube.cache.add_handler(handler)
        self._page = VipsPage(
            options.node, self._vpp.lb.read_with_indexes, self._vpp.counters, self._vips, clock
        )
        self._waits_for: Callable[[], str] = lambda: "not introduced yet"
        self._registered, self._listed = asyncio.Event(), asyncio.Event()
        self._alone = False
        """Whether it has begun though the API server does not answer."""
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
            stored = self._store.load()
            claiming = group.create_task(self._claim_node())
            dataplane = await self._wait_node(claiming, stored)
            self._take_over(stored, dataplane)
            following = group.create_task(self._follow_cluster(group, claiming))
            if self._vpp.meter is not None:
                group.create_task(self._vpp.meter.run())
            group.create_task(self._store.run())
            group.create_task(self._syncer.run())
            if self._road is not None:
                group.create_task(self._road.run())
            # Nothing is changed in VPP before it is known what it shall have.
            await self._wait_known()
            self._syncer.set_synced()
            self._outcomes.begin()
            await following

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
        """Wait until no other agent has the node; return its Dataplane."""
        dataplane = await self._node.register_node()
        self._registered.set()
        if not self._alone:
            self._waits_for = partial(_explain_rivalry, self._heartbeat)
        await self._heartbeat.claim_lease(waits=lambda: not self._alone)
        self._waits_for = str
        return dataplane

    async def _wait_node(
        self, claiming: asyncio.Task[JsonObject], stored: StoredState | None
    ) -> JsonObject | None:
        """Wait until the node is ours, and return its Dataplane.

        None where the API server does not answer, and the disk knows enough to begin all the same.
        """
        if self._road is not None and stored is not None and _is_enough(stored):
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._registered.wait()
            if not self._registered.is_set():
                log.warning("the API server does not answer: decisions come from a leader alone")
                self._alone, self._waits_for = True, str
                return None
        return await claiming

    def _take_over(self, stored: StoredState | None, dataplane: JsonObject | None) -> None:
        """Go on from what the last agent had: what its file says, else what its Dataplane does."""
        state = stored.state if stored else read_owned(dataplane or {})
        owned = (state or OwnedState()).owned
        self._vips.restore(state or OwnedState())
        if stored is not None:
            ours = set(owned.values())
            marks = {key: mark for key, mark in stored.marks.items() if key in ours}
            self._decisions.restore_marks(marks)
        self._selector.resume(owned)
        if dataplane is None and stored is not None:
            self._selector.set_labels(stored.labels or {})
            self._selector.set_dataplane(
                {"metadata": {"name": self._options.node}, "spec": stored.spec}
            )

    async def _follow_cluster(
        self, group: asyncio.TaskGroup, claiming: asyncio.Task[JsonObject]
    ) -> None:
        """Once the node is ours, do all that needs the API server."""
        dataplane, kube = await claiming, self._kube
        group.create_task(self._heartbeat.run(self._reporter.on_beat))
        kept = {key: mark.revision for key, mark in self._decisions.marks.items()}
        self._reporter.resume(dataplane, kept)
        self._selector.set_labels(self._node.labels)
        # Should it be deleted before it is listed, what it says counts all the same.
        self._selector.set_dataplane(dataplane)
        group.create_task(self._node.run(self._selector.set_labels))
        unlisted = self._decisions.unlisted
        await kube.informer.list_all()
        self._selector.note_listed(unlisted)
        self._listed.set()
        self._reporter.begin()
        await kube.informer.run()

    async def _wait_known(self) -> None:
        """Wait for the lists or a leader's whole state; where there are lists, not for long."""
        if self._road is None:
            await self._listed.wait()
            return
        known = [asyncio.create_task(one.wait()) for one in (self._listed, self._road.whole)]
        try:
            await asyncio.wait(known, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in known:
                task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._road.wait_whole()

    # --- making ------------------------------------------------------------------------------

    def _make_reporter(self, metrics: AgentMetrics, clock: Clock) -> DataplaneReporter:
        return DataplaneReporter(
            self._kube.writer,
            metrics,
            self._kube.recorder,
            self._options.node,
            clock,
            outcomes=self._outcomes,
            vips=self._vips,
            store=self._store,
            lapsed=self._heartbeat.has_lapsed,
            on_read=lambda: self._selector.note_observed(self._vips.observed),
        )

    def _make_selector(self) -> FrontendSelector:
        return FrontendSelector(
            self._syncer,
            self._kube.cache,
            self._decisions,
            self._options.node,
            self._options.conf,
            self._outcomes.selected,
            self._reporter.on_unreadable,
        )

    def _make_road(self, client: KubeClient) -> DirectRoad | None:
        options = self._options
        if options.direct_token is None:
            return None
        if not options.direct_token.exists():
            log.info("decisions come by the API server alone: no token %s", options.direct_token)
            return None
        return DirectRoad(
            partial(OperatorConnections, options.node, options.direct_token),
            options.namespaces,
            decisions=self._decisions,
            selector=self._selector,
            outcomes=self._outcomes,
            reporter=self._reporter,
            store=self._store,
            lookup=OperatorLookup(
                client=client,
                lease=ObjectKey(options.election_namespace, options.lease_name),
                namespace=options.lease_namespace,
            ),
        )

    def _explain_road(self) -> str:
        if self._road is not None:
            return self._road.explain_road()
        token = self._options.direct_token
        why = f"there is no token {token}" if token else "--no-direct"
        return f"by the API server alone: {why}"

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
            facts={
                "memory": lambda: self._store.trouble or "in use",
                "decisions": self._explain_road,
            },
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


def _make_store(
    options: AgentOptions, vips: VipState, decisions: NewestDecisions
) -> OwnedStateStore:
    identity = VppIdentity.of_socket(options.node, options.vpp_api_socket)
    return OwnedStateStore(
        options.state_file, lambda: vips.owned_state, identity, lambda: decisions.marks
    )


def _is_enough(stored: StoredState) -> bool:
    """Whether a memory of this VPP says what an agent has to know of its node, and of operators."""
    known = stored.labels is not None and stored.spec is not None
    return known and bool(stored.operators)


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

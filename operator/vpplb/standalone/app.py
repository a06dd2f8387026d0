"""Operator and agent in one process: a folder of manifests in, one VPP programmed, no cluster."""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vpplb.files.manifests import LoadedManifests
from vpplb.files.owned_state_store import OwnedStateStore, VppIdentity
from vpplb.files.state_file import StateFile, name_beside
from vpplb.files.state_lock import lock_state
from vpplb.kube.user_api.control_server import ControlServer
from vpplb.model.clock import Clock, SystemClock
from vpplb.model.health import HealthTransition
from vpplb.model.names import ObjectKind
from vpplb.model.vip import VipId
from vpplb.plan.decisions import DecidedState
from vpplb.plan.settings import DesiredSettings
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import Prober
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.renderer import StatusRenderer
from vpplb.standalone.control_objects import ControlObjects
from vpplb.standalone.decision_handler import DecisionHandler
from vpplb.standalone.hand_changes import HandChanges
from vpplb.standalone.local_statuses import LocalObjects, LocalStatuses
from vpplb.standalone.local_view import LocalStateView
from vpplb.standalone.local_vpp import NODE, LocalVpp, ProgrammedFrontends
from vpplb.standalone.manifest_folder import ManifestFolder
from vpplb.standalone.taken_manifests import TakenManifests
from vpplb.sync.packet_meter import Indexes, PacketMeter
from vpplb.sync.ports import LoadBalancer, ObservedVpp, VipCounters
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.decision_log import DecisionLog
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import AgentMetrics, DecisionMetrics, MetricsRegistry
from vpplb.telemetry.process_health import ProcessHealth, complain_late
from vpplb.telemetry.scraped_metrics import register_packets, register_unprogrammed
from vpplb.telemetry.service_manager import ServiceManager
from vpplb.telemetry.start_log import log_start
from vpplb.telemetry.state_view import DecidedStateView
from vpplb.telemetry.vips_page import VipsPage
from vpplb.vpp.access import StaleClients, VppAccess

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneOptions:
    """What the command line says. `sync_interval` is in seconds.

    `vpp_stats_socket` None: packets are not counted. `control_socket` None: there is none.
    """

    folder: Path
    vpp_api_socket: Path
    state_file: Path
    vpp_stats_socket: Path | None = None
    control_socket: Path | None = None
    http_address: str = "127.0.0.1:9091"
    http_hosts: tuple[str, ...] = ()
    netns: str = ""
    transition_history: int = 5
    probe_workers: int = 0
    blind_guard: bool = True
    allowed: AddressAllowances = NOTHING
    sync_interval: float = 30.0
    own_all: bool = False
    conf: DesiredSettings = field(default_factory=DesiredSettings)


class StandaloneApp:
    """The parts, and the order in which they start and stop.

    `lb` takes the place of the VPP behind the socket, `prober` of the processes that probe;
    `on_transition` is told each transition. With an `lb`, packets are counted only where
    `indexes` tells where the counters of its VIPs are.
    """

    def __init__(
        self,
        options: StandaloneOptions,
        lb: LoadBalancer | None = None,
        prober: Prober | None = None,
        on_transition: Callable[[HealthTransition], None] = lambda _: None,
        indexes: Indexes | None = None,
    ) -> None:
        self._options, clock = options, SystemClock()
        self._state_file = StateFile(options.state_file)
        self._prober = prober or WorkerPool(options.probe_workers, options.netns)
        registry, stream = MetricsRegistry("standalone"), EventStream()
        objects, decided, programmed = LocalObjects(), DecidedState(), ProgrammedFrontends()
        renderer = StatusRenderer(objects, decided, programmed.report_frontend, clock.now)
        view = DecidedStateView(objects, decided, renderer.render, stream, renderer.judgements)
        self._metrics = DecisionMetrics(registry, view)
        self._statuses = LocalStatuses(objects, renderer, view, self._state_file)
        self.reconciler = _make_reconciler(options, self._prober, clock)
        vpp_metrics = AgentMetrics(registry)
        access = _make_access(options, vpp_metrics)
        self._lock = access.lock if lb is None else None
        indexes = indexes or (access.lb.vip_indexes if lb is None else None)
        self._packet_meter = meter = _make_packet_meter(access.counters, indexes)
        vips = VipState(own_all=options.own_all)
        register_packets(
            registry, lambda: meter.packets if meter else {}, lambda: vips.owned_state.owned
        )
        self._store = _make_store(options, vips)
        register_unprogrammed(registry, partial(_count_unprogrammed, decided, programmed))
        refresh = partial(self._statuses.refresh_status, ObjectKind.FRONTEND)
        self.vpp = LocalVpp(programmed, refresh, self._store, vpp_metrics)
        self.syncer = VppSyncer(
            lb or access.lb, vips, listener=self.vpp, sync_interval=options.sync_interval
        )
        self.syncer.set_settings(options.conf)
        self._decisions = DecisionHandler(
            decided=decided,
            syncer=self.syncer,
            statuses=self._statuses,
            decision_log=DecisionLog(self._metrics, view, clock),
            on_transition=on_transition,
        )
        self._manager = ServiceManager.from_environment()
        self._folder = ManifestFolder(
            options.folder,
            self.reconciler,
            self._statuses.on_upsert,
            self._statuses.on_delete,
            self._set_settings,
            changes := HandChanges(
                name_beside(options.state_file, "changes.json"), clock.now, options.allowed
            ),
            TakenManifests(name_beside(options.state_file, "manifests.json"), options.folder),
            options.allowed,
            self._manager.announce_reload,
        )
        self._changes = changes
        shown = LocalStateView(view, self.vpp)
        self._control = ControlServer(
            options.control_socket,
            ControlObjects(objects, shown, stream, self._folder, changes),
        )
        self._health = ProcessHealth(
            processes=self._prober.count_processes,
            lateness=self._prober.list_lateness,
            prober=self._prober.find_trouble,
            reload=lambda: (not self._folder.refused, self._folder.taken_at),
        )
        registry.register(self._health)
        self._alive = complain_late(self._health.check_any_prober)
        page = VipsPage(
            NODE, partial(_read_vpp, lb or access.lb, indexes), access.counters, vips, clock
        )
        self._http = self._make_http(registry, shown, page, stream, access.stale_clients)
        registry.register(self._http.readers)

    def _make_http(
        self,
        registry: MetricsRegistry,
        view: LocalStateView,
        page: VipsPage,
        stream: EventStream,
        stale_clients: StaleClients,
    ) -> HttpServer:
        return HttpServer(
            address=self._options.http_address,
            metrics=registry.render_pieces,
            hosts=self._options.http_hosts,
            alive={"probers": self._alive},
            figures=self._health.list_figures,
            facts={
                "memory": lambda: self._store.trouble or "in use",
                "control": lambda: self._control.trouble or f"at {self._options.control_socket}",
                "lock": lambda: self._lock.describe_state() if self._lock else "none",
                "states": lambda: self._state_file.trouble or "in use",
                "changesByHand": self._describe_changes,
            },
            checks={
                "vpp": lambda: self.vpp.trouble or stale_clients.alarm_text or None,
                "probers": self._health.check_probers,
                "manifests": lambda: self._folder.refused or None,
            },
            view=view,
            pages={f"dataplanes/{NODE}/vips": page},
            stream=stream,
            dashboard=True,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set.

        BadManifests when the manifests are wrong at the first start, CannotListen when the HTTP
        address is taken, StateInUse when another program has the state file.
        """
        with lock_state(self._options.state_file):
            async with self._http:
                log_start(
                    "standalone",
                    objects=f"of {self._options.folder}",
                    http=self._http.listen_address,
                    vpp=self._options.vpp_api_socket,
                )
                await self._run_parts(stop)

    async def _run_parts(self, stop: asyncio.Event) -> None:
        self._folder.start(self._state_file)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._folder.reload.set)
        reconciler = self.reconciler
        await self._prober.start(
            reconciler.on_verdict,
            self._metrics.record_stats,
            reconciler.on_response_change,
            reconciler.on_reason,
        )
        # There is no lease, and nobody to be newer than but an earlier run.
        reconciler.set_synced(int(SystemClock().now().timestamp() * 1e6))
        # All VIPs are wanted before the syncer may remove any.
        self._decisions.handle_decisions(reconciler.reconcile())
        self.syncer.set_synced()
        await self._control.start()
        tasks = [
            asyncio.create_task(work)
            for work in (
                reconciler.run(self._decisions.handle_decisions),
                self._run_syncer(),
                self._folder.run(),
                self._statuses.run(),
                self._store.run(),
                self._health.lag.run(),
                self._manager.run(self._describe_state, self._alive),
                stop.wait(),
            )
        ]
        if self._packet_meter is not None:
            tasks.append(asyncio.create_task(self._packet_meter.run()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._manager.announce_stop()
        await self._control.stop()
        self.reconciler.close()
        await self._prober.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._statuses.save_statuses()
        self._store.close()
        if self._lock is not None:
            self._lock.release()
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _describe_state(self) -> str:
        """Say in a line how much of what is wanted VPP has, and what is wrong."""
        has, wanted = self.vpp.count_programmed(), len(self.reconciler.store.frontends)
        parts = (self._changes, self._state_file, self._store, self._lock)
        wrongs = (*self._http.list_wrongs(), *(one.trouble for one in parts if one and one.trouble))
        return "; ".join((f"VPP has {has} of {wanted} frontends", *wrongs))

    def _describe_changes(self) -> str:
        return "; ".join(filter(None, (str(self._changes.count), self._changes.trouble)))

    async def _run_syncer(self) -> None:
        """Program VPP, when no other one does, from where the last one has left it."""
        if self._lock is not None:
            await self._lock.wait_acquired(self.vpp.on_disconnected)
        if stored := self._store.load():
            self.syncer.vips.restore(stored.state)
        await self.syncer.run()

    def _set_settings(self, loaded: LoadedManifests) -> None:
        """Take the settings of VPP from the Dataplane of the folder, if there is one."""
        default = self._options.conf
        dataplane = loaded.dataplanes.get(NODE) or next(iter(loaded.dataplanes.values()), None)
        self.syncer.set_settings(dataplane.spec.merge_settings(default) if dataplane else default)
        self.syncer.set_paused(dataplane.spec.paused if dataplane else False)


def _make_reconciler(options: StandaloneOptions, prober: Prober, clock: Clock) -> Reconciler:
    return Reconciler(
        prober,
        clock,
        reach=options.allowed.reach,
        transition_history=options.transition_history,
        blind_guard=options.blind_guard,
    )


def _make_access(options: StandaloneOptions, metrics: AgentMetrics) -> VppAccess:
    return VppAccess(
        options.vpp_api_socket,
        options.vpp_stats_socket,
        on_call=metrics.record_call,
        on_stale_clients=metrics.set_leftovers,
    )


def _make_store(options: StandaloneOptions, vips: VipState) -> OwnedStateStore:
    return OwnedStateStore(
        name_beside(options.state_file, "vpp.json"),
        lambda: vips.owned_state,
        VppIdentity.of_socket(NODE, options.vpp_api_socket),
    )


def _count_unprogrammed(decided: DecidedState, programmed: ProgrammedFrontends) -> int:
    """Count the frontends whose VIP is wanted, and which VPP has not as it is."""
    wanted = {key for key, view in decided.views() if view.desired is not None}
    return len(wanted - programmed.revisions.keys())


async def _read_vpp(
    lb: LoadBalancer, indexes: Indexes | None
) -> tuple[ObservedVpp, Mapping[VipId, int]]:
    """Read VPP, and where each VIP's counters are (`telemetry.vips_page.Look`)."""
    return await lb.read(), await indexes() if indexes else {}


def _make_packet_meter(counters: VipCounters | None, indexes: Indexes | None) -> PacketMeter | None:
    return PacketMeter(counters, indexes) if counters and indexes else None

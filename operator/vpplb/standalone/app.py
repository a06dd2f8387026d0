"""Operator and agent in one process: a folder of manifests in, one VPP programmed, no cluster."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vpplb.files.manifests import Loaded
from vpplb.files.owned_state_store import (
    OwnedStateStore,
    VppIdentity,
)
from vpplb.files.state import StateFile
from vpplb.model.clock import SystemClock
from vpplb.model.health import Transition
from vpplb.model.names import ObjectKey
from vpplb.plan.settings import DesiredSettings
from vpplb.probers.pool import WorkerPool
from vpplb.reconcile.ports import Prober
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, Allowances
from vpplb.resources.renderer import StatusRenderer
from vpplb.standalone.folder import Folder
from vpplb.standalone.sink import LocalSink
from vpplb.standalone.vpp import NODE, LocalVpp
from vpplb.sync.packet_meter import Indexes, PacketMeter
from vpplb.sync.ports import LoadBalancer
from vpplb.sync.syncer import Syncer
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.board import Board
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import (
    AgentMetrics,
    OperatorMetrics,
    PacketCount,
    Registry,
    packet_counts,
)
from vpplb.telemetry.stream import EventStream
from vpplb.telemetry.vitals import Vitals, lasting
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.leftovers import Leftovers
from vpplb.vpp.lock import VppLock
from vpplb.vpp.stats import PapiVipCounters

log = logging.getLogger(__name__)

SAVE_PAUSE = 0.05
"""Seconds between two writings of the state file; what changes meanwhile is gathered.

A crash within that time resumes from the state before, so it must be short.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneOptions:
    """What the command line says. `sync_interval` is in seconds.

    `vpp_stats_socket` None: packets are not counted.
    """

    folder: Path
    vpp_api_socket: Path
    state_file: Path
    vpp_stats_socket: Path | None = None
    http_address: str = ":9091"
    http_hosts: tuple[str, ...] = ()
    netns: str = ""
    transition_history: int = 5
    probe_workers: int = 0
    blind_guard: bool = True
    allowed: Allowances = NOTHING
    sync_interval: float = 30.0
    own_all: bool = False
    conf: DesiredSettings = field(default_factory=DesiredSettings)


class Standalone:
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
        on_transition: Callable[[Transition], None] = lambda _: None,
        indexes: Indexes | None = None,
    ) -> None:
        self._options = options
        clock = SystemClock()
        self._state = StateFile(options.state_file)
        vips = VipState(own_all=options.own_all)
        self._store = OwnedStateStore(
            options.state_file.with_suffix(".vpp.json"),
            lambda: vips.owned_state,
            VppIdentity.of_socket(NODE, options.vpp_api_socket),
        )
        self._unusable = ""
        self._lock = VppLock(options.vpp_api_socket) if lb is None else None
        self._dirty = asyncio.Event()
        registry, stream = Registry(), EventStream()
        vpp_metrics = AgentMetrics(registry, self._packet_counts)
        self.vpp = LocalVpp(self._reported, self._store, vpp_metrics)
        leftovers = Leftovers(vpp_metrics.set_leftovers)
        papi = PapiLoadBalancer(
            options.vpp_api_socket,
            on_call=vpp_metrics.record_call,
            lock=self._lock,
            on_leftovers=leftovers.counted,
        )
        self._meter: PacketMeter | None = None
        indexes = indexes or (papi.vip_indexes if lb is None else None)
        if options.vpp_stats_socket is not None and indexes is not None:
            self._meter = PacketMeter(PapiVipCounters(options.vpp_stats_socket), indexes)
        self.syncer = Syncer(
            lb or papi, vips, listener=self.vpp, sync_interval=options.sync_interval
        )
        self.syncer.set_settings(options.conf)
        sink = LocalSink(
            self._changed,
            self._transition,
            self._suspected,
        )
        self._prober = prober or WorkerPool(options.probe_workers, options.netns)
        self.reconciler = Reconciler(
            self._prober,
            sink,
            clock,
            transition_history=options.transition_history,
            blind_guard=options.blind_guard,
        )
        self._renderer = StatusRenderer(self.reconciler, self.vpp.node_report, clock.now)
        self._board = Board(self.reconciler, self._renderer.render, stream)
        sink.attach(self.reconciler, self.syncer, self._board)
        self._metrics = OperatorMetrics(registry, self._board)
        self._on_transition = on_transition
        self._folder = Folder(
            options.folder,
            self.reconciler,
            self._seen,
            self._gone,
            self._loaded,
            options.allowed,
        )
        self._statuses: dict[str, dict[ObjectKey, dict[str, object]]] = {}
        self._vitals = vitals = Vitals(
            processes=self._prober.processes, prober=self._prober.trouble
        )
        registry.register(vitals)
        self._http = HttpServer(
            address=options.http_address,
            metrics=registry.pieces,
            hosts=options.http_hosts,
            alive={"probers": lasting(vitals.no_prober)},
            figures=vitals.figures,
            facts={"memory": lambda: self._unusable or "in use"},
            checks={
                "vpp": lambda: self.vpp.trouble or leftovers.trouble or None,
                "probers": vitals.probers,
            },
            view=self._board,
            stream=stream,
            dashboard=True,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set.

        BadManifests when the manifests are wrong at the start, CannotListen when the HTTP
        address is taken.
        """
        async with self._http:
            await self._run(stop)

    async def _run(self, stop: asyncio.Event) -> None:
        self._folder.start(self._state)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._folder.reload.set)
        reconciler = self.reconciler
        await self._prober.start(
            reconciler.on_verdict,
            self._metrics.record_stats,
            reconciler.on_turn,
            reconciler.on_reason,
        )
        self.reconciler.synced = True
        self.reconciler.reconcile()  # so that all VIPs are wanted before the syncer may remove any
        self.syncer.set_synced()
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._sync(),
                self._folder.run(),
                self._save(),
                self._store.run(),
                self._vitals.lag.run(),
                stop.wait(),
            )
        ]
        if self._meter is not None:
            tasks.append(asyncio.create_task(self._meter.run()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self.reconciler.close()
        await self._prober.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._write()
        self._store.close()
        if self._lock is not None:
            self._lock.release()
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _sync(self) -> None:
        """Program VPP, when no other one does, from where the last one has left it."""
        if self._lock is not None:
            await self._lock.wait(self.vpp.on_disconnected)
        loaded = self._store.load()
        self._unusable = loaded.trouble
        if loaded.stored is not None:
            self.syncer.vips.restore(loaded.stored.state)
        await self.syncer.run()

    def _loaded(self, loaded: Loaded) -> None:
        """Take the settings of VPP from the Dataplane of the folder, if there is one."""
        default = self._options.conf
        dataplane = loaded.dataplanes.get(NODE) or next(iter(loaded.dataplanes.values()), None)
        self.syncer.set_settings(dataplane.spec.merge_settings(default) if dataplane else default)
        self.syncer.set_paused(dataplane.spec.paused if dataplane else False)

    def _seen(self, kind: str, key: ObjectKey, raw: Mapping[str, object]) -> None:
        self._renderer.seen(kind, key, raw)
        self._board.seen(kind, key, raw)

    def _gone(self, kind: str, key: ObjectKey) -> None:
        self._renderer.gone(kind, key)
        self._board.gone(kind, key)

    def _transition(self, transition: Transition) -> None:
        self._metrics.record_transition(transition)
        self._on_transition(transition)

    def _suspected(self, suspected: bool) -> None:
        self._metrics.set_prober_suspect(suspected)

    def _reported(self, frontend: ObjectKey) -> None:
        self._changed("Frontend", frontend)

    def _changed(self, kind: str, key: ObjectKey) -> None:
        self._board.changed(kind, key)
        status = self._renderer.render(kind, key)
        if status is None:
            self._statuses.get(kind, {}).pop(key, None)
        else:
            self._statuses.setdefault(kind, {})[key] = status
        self._dirty.set()

    async def _save(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._write()
            await asyncio.sleep(SAVE_PAUSE)

    async def _write(self) -> None:
        statuses = {kind: dict(of_kind) for kind, of_kind in self._statuses.items()}
        try:
            await asyncio.to_thread(self._state.save, statuses)
        except OSError as error:
            log.error("the state cannot be written to %s: %s", self._options.state_file, error)

    def _packet_counts(self) -> Iterable[PacketCount]:
        if self._meter is None:
            return ()
        return packet_counts(self._meter.packets, self.syncer.vips.owned_state.owned)

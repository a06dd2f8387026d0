"""Operator and agent in one process: a folder of manifests in, one VPP programmed, no cluster."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Mapping

from vpplb.files.state_file import name_beside
from vpplb.files.state_lock import lock_state
from vpplb.kube.user_api.control_server import ControlServer
from vpplb.model.clock import SystemClock
from vpplb.model.health import HealthTransition
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import Prober
from vpplb.standalone.control_objects import ControlObjects
from vpplb.standalone.dashboard_people import make_people
from vpplb.standalone.decision_handler import DecisionHandler
from vpplb.standalone.hand_changes import HandChanges
from vpplb.standalone.local_view import LocalStateView
from vpplb.standalone.local_vpp import NODE
from vpplb.standalone.manifest_folder import ManifestFolder
from vpplb.standalone.standalone_parts import DecisionParts, StandaloneOptions, VppParts
from vpplb.standalone.taken_manifests import TakenManifests
from vpplb.sync.packet_meter import Indexes
from vpplb.sync.ports import LoadBalancer
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import MetricsRegistry
from vpplb.telemetry.operator_state import STANDALONE, OperatorState
from vpplb.telemetry.process_health import ProcessHealth, complain_late
from vpplb.telemetry.service_manager import ServiceManager
from vpplb.telemetry.start_log import log_start

log = logging.getLogger(__name__)


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
        self._options, clock, registry = options, SystemClock(), MetricsRegistry("standalone")
        self._clock, self._begun_at = clock, clock.now()
        self._prober = prober or WorkerPool(options.probe_workers, options.netns)
        self._decided = DecisionParts(options, self._prober, clock, registry)
        self._vpp = VppParts(options, self._decided, clock, registry, lb, indexes)
        self.reconciler, self.syncer = self._decided.reconciler, self._vpp.syncer
        self.vpp = self._vpp.reports
        self._shown = LocalStateView(self._decided.view, self.vpp)
        self._decisions = DecisionHandler(
            decided=self._decided.decided,
            syncer=self.syncer,
            statuses=self._decided.statuses,
            decision_log=self._decided.log,
            on_transition=on_transition,
        )
        self._manager = ServiceManager.from_environment()
        self._changes = HandChanges(
            name_beside(options.state_file, "changes.json"), clock.now, options.allowed
        )
        self._folder = self._make_folder()
        self._objects = self._make_objects()
        self._control = ControlServer(options.control_socket, self._objects)
        self._health = ProcessHealth(
            processes=self._prober.count_processes,
            lateness=self._prober.list_lateness,
            prober=self._prober.find_trouble,
            reload=lambda: (not self._folder.refused, self._folder.taken_at),
        )
        registry.register(self._health)
        self._alive = complain_late(self._health.check_any_prober)
        self._http = self._make_http(registry)
        registry.register(self._http.readers)

    def _make_folder(self) -> ManifestFolder:
        options, statuses = self._options, self._decided.statuses
        return ManifestFolder(
            options.folder,
            self.reconciler,
            statuses.on_upsert,
            statuses.on_delete,
            self._vpp.take_settings,
            self._changes,
            TakenManifests(name_beside(options.state_file, "manifests.json"), options.folder),
            options.allowed,
            self._manager.announce_reload,
        )

    def _make_objects(self) -> ControlObjects:
        decided = self._decided
        return ControlObjects(
            decided.objects, self._shown, decided.stream, self._folder, self._changes
        )

    def _make_http(self, registry: MetricsRegistry) -> HttpServer:
        decided, vpp, options = self._decided, self._vpp, self._options
        return HttpServer(
            address=options.http_address,
            metrics=registry.render_pieces,
            hosts=options.http_hosts,
            alive={"probers": self._alive},
            figures=self._health.list_figures,
            facts={
                "memory": lambda: vpp.store.trouble or "in use",
                "control": lambda: self._control.trouble or f"at {self._options.control_socket}",
                "lock": lambda: vpp.lock.describe_state() if vpp.lock else "none",
                "states": lambda: decided.state_file.trouble or "in use",
                "changesByHand": self._describe_changes,
            },
            checks={
                "vpp": lambda: self.vpp.trouble or vpp.stale_clients.alarm_text or None,
                "probers": self._health.check_probers,
                "manifests": lambda: self._folder.refused or None,
            },
            view=self._shown,
            operator=self._show_operator,
            find_node=lambda node: vpp.page.read_page if node == NODE else None,
            stream=decided.stream,
            histories=self._prober.read_histories,
            dashboard=True,
            people=make_people(options, decided, self._objects, SystemClock()),
            tls=options.http_access.tls,
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
                    traces=self._options.traces.place if self._options.traces else None,
                )
                await self._run_parts(stop)

    async def _run_parts(self, stop: asyncio.Event) -> None:
        self._folder.start(self._decided.state_file)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._folder.reload.set)
        reconciler, traces = self.reconciler, self._options.traces
        tracing = [traces.trace_decisions] if traces is not None else []
        on_verdict = reconciler.on_verdict
        await self._prober.start(
            traces.follow_verdicts(on_verdict) if traces is not None else on_verdict,
            self._decided.metrics.record_stats,
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
                reconciler.run(*tracing, self._decisions.handle_decisions),
                self._vpp.run_syncer(),
                self._folder.run(),
                self._decided.statuses.run(),
                self._vpp.store.run(),
                self._health.lag.run(),
                self._manager.run(self._describe_state, self._alive),
                stop.wait(),
            )
        ]
        if self._vpp.packet_meter is not None:
            tasks.append(asyncio.create_task(self._vpp.packet_meter.run()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._manager.announce_stop()
        await self._control.stop()
        self.reconciler.close()
        await self._prober.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._decided.statuses.save_statuses()
        self._vpp.close()
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _show_operator(self) -> Mapping[str, object]:
        name, begun = socket.gethostname(), self.reconciler.synced
        return OperatorState(
            identity=name,
            run=self._decided.stream.run,
            role=STANDALONE,
            leader=name,
            leader_since=self._begun_at,
            term=self.reconciler.term,
            standbys=(),
            probing=begun,
            silent_since=None if begun else self._begun_at,
        ).dump_json(now=self._clock.now(), decided_at=self._decided.metrics.decided_at)

    def _describe_state(self) -> str:
        """Say in a line how much of what is wanted VPP has, and what is wrong."""
        has, wanted = self.vpp.count_programmed(), len(self.reconciler.store.frontends)
        parts = (self._changes, self._decided.state_file, self._vpp.store, self._vpp.lock)
        wrongs = (*self._http.list_wrongs(), *(one.trouble for one in parts if one and one.trouble))
        return "; ".join((f"VPP has {has} of {wanted} frontends", *wrongs))

    def _describe_changes(self) -> str:
        return "; ".join(filter(None, (str(self._changes.count), self._changes.trouble)))

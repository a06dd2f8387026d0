"""The two halves of a router that stands alone, put together: what decides, and the one VPP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vpplb.files.manifests import LoadedManifests
from vpplb.files.owned_state_store import OwnedStateStore, VppIdentity
from vpplb.files.state_file import StateFile, name_beside
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKind
from vpplb.model.vip import VipId
from vpplb.plan.decisions import DecidedState
from vpplb.plan.settings import DesiredSettings
from vpplb.reconcile.ports import Prober
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.renderer import StatusRenderer
from vpplb.standalone.local_statuses import LocalObjects, LocalStatuses
from vpplb.standalone.local_vpp import NODE, LocalVpp, ProgrammedFrontends
from vpplb.sync.packet_meter import Indexes, PacketMeter
from vpplb.sync.ports import LoadBalancer, ObservedVpp, VipCounters
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.decision_log import DecisionLog
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http_access import HttpAccess
from vpplb.telemetry.metrics import AgentMetrics, DecisionMetrics, MetricsRegistry
from vpplb.telemetry.scraped_metrics import register_packets, register_unprogrammed
from vpplb.telemetry.state_view import DecidedStateView
from vpplb.telemetry.vips_page import VipsPage
from vpplb.vpp.access import VppAccess

if TYPE_CHECKING:
    from vpplb.telemetry.failover_traces import FailoverTraces


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneOptions:
    """What the command line says. `sync_interval` is in seconds.

    `vpp_stats_socket` None: packets are not counted. `control_socket` None: there is none. `traces`
    None: nothing is traced.
    """

    folder: Path
    vpp_api_socket: Path
    state_file: Path
    vpp_stats_socket: Path | None = None
    control_socket: Path | None = None
    http_address: str = "127.0.0.1:9091"
    http_hosts: tuple[str, ...] = ()
    http_access: HttpAccess = field(default_factory=HttpAccess)
    netns: str = ""
    transition_history: int = 5
    probe_workers: int = 0
    blind_guard: bool = True
    allowed: AddressAllowances = NOTHING
    sync_interval: float = 30.0
    own_all: bool = False
    conf: DesiredSettings = field(default_factory=DesiredSettings)
    traces: "FailoverTraces | None" = None


class DecisionParts:
    """What decides on the objects of the folder, and what shows and logs that."""

    def __init__(
        self, options: StandaloneOptions, prober: Prober, clock: Clock, registry: MetricsRegistry
    ) -> None:
        self.objects, self.decided = LocalObjects(), DecidedState()
        self.programmed, self.stream = ProgrammedFrontends(), EventStream()
        renderer = StatusRenderer(
            self.objects, self.decided, self.programmed.report_frontend, clock.now
        )
        self.view = DecidedStateView(
            self.objects, self.decided, renderer.render, self.stream, renderer.judgements
        )
        self.metrics = DecisionMetrics(registry, self.view)
        self.log = DecisionLog(self.metrics, self.view, clock)
        self.state_file = StateFile(options.state_file)
        self.statuses = LocalStatuses(self.objects, renderer, self.view, self.state_file)
        self.reconciler = Reconciler(
            prober,
            clock,
            reach=options.allowed.reach,
            transition_history=options.transition_history,
            blind_guard=options.blind_guard,
        )
        register_unprogrammed(registry, self._count_unprogrammed)

    def _count_unprogrammed(self) -> int:
        """Count the frontends whose VIP is wanted, and which VPP has not as it is."""
        wanted = {key for key, view in self.decided.views() if view.desired is not None}
        return len(wanted - self.programmed.revisions.keys())


class VppParts:
    """The one VPP: what reaches it, what programs it, and what is kept of it on the disk.

    What has come of `decisions` goes there as well. For `lb` and `indexes` see `StandaloneApp`.
    """

    def __init__(
        self,
        options: StandaloneOptions,
        decisions: DecisionParts,
        clock: Clock,
        registry: MetricsRegistry,
        lb: LoadBalancer | None,
        indexes: Indexes | None,
    ) -> None:
        metrics, vips = AgentMetrics(registry), VipState(own_all=options.own_all)
        access = VppAccess(
            options.vpp_api_socket,
            options.vpp_stats_socket,
            on_call=metrics.record_call,
            on_stale_clients=metrics.set_leftovers,
        )
        self.stale_clients = access.stale_clients
        self.lock = access.lock if lb is None else None
        indexes = indexes or (access.lb.vip_indexes if lb is None else None)
        self.packet_meter = _make_packet_meter(access.counters, indexes)
        self._register_packets(registry, vips)
        self.store = OwnedStateStore(
            name_beside(options.state_file, "vpp.json"),
            lambda: vips.owned_state,
            VppIdentity.of_socket(NODE, options.vpp_api_socket),
        )
        refresh = partial(decisions.statuses.refresh_status, ObjectKind.FRONTEND)
        self.reports = LocalVpp(decisions.programmed, refresh, self.store, metrics)
        vpp: LoadBalancer = lb or access.lb
        read = partial(_read_vpp, vpp, indexes)
        if options.traces is not None:
            vpp = options.traces.wrap_vpp(vpp, lambda: vips.owned_state.owned)
        self.syncer = VppSyncer(
            vpp, vips, listener=self.reports, sync_interval=options.sync_interval
        )
        self.page = VipsPage(NODE, read, access.counters, vips, self.reports, clock)
        self._conf = options.conf
        self.syncer.set_settings(options.conf)

    def _register_packets(self, registry: MetricsRegistry, vips: VipState) -> None:
        counting = self.packet_meter
        register_packets(
            registry, lambda: counting.packets if counting else {}, lambda: vips.owned_state.owned
        )

    def take_settings(self, loaded: LoadedManifests) -> None:
        """Take the settings of VPP from the Dataplane of the folder, if there is one."""
        default = self._conf
        dataplane = loaded.dataplanes.get(NODE) or next(iter(loaded.dataplanes.values()), None)
        self.syncer.set_settings(dataplane.spec.merge_settings(default) if dataplane else default)
        self.syncer.set_paused(dataplane.spec.paused if dataplane else False)

    async def run_syncer(self) -> None:
        """Program VPP, when no other one does, from where the last one has left it."""
        if self.lock is not None:
            await self.lock.wait_acquired(self.reports.on_disconnected)
        if stored := self.store.load():
            self.syncer.vips.restore(stored.state)
        await self.syncer.run()

    def close(self) -> None:
        """Keep what has been done, and let another one program VPP."""
        self.store.close()
        if self.lock is not None:
            self.lock.release()


async def _read_vpp(
    lb: LoadBalancer, indexes: Indexes | None
) -> tuple[ObservedVpp, Mapping[VipId, int]]:
    """Read VPP, and where each VIP's counters are (`telemetry.vips_page.Look`)."""
    return await lb.read(), await indexes() if indexes else {}


def _make_packet_meter(counters: VipCounters | None, indexes: Indexes | None) -> PacketMeter | None:
    return PacketMeter(counters, indexes) if counters and indexes else None

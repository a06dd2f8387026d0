"""The agent's options, and its parts put together."""

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vpplb.agent.dataplane_reporter import DataplaneReporter
from vpplb.agent.direct_road import DirectRoad
from vpplb.agent.frontend_outcomes import FrontendOutcomes
from vpplb.agent.frontend_selector import KINDS, FrontendSelector, SelectedFrontends
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.agent.node_guard import NodeGuard
from vpplb.agent.node_registration import NodeRegistration, agent_identity, outranks_holder
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.agent.operator_observer import OperatorObserver
from vpplb.agent.release_handover import ReleaseHandover
from vpplb.agent.silence_marker import SilenceMarker
from vpplb.agent.vips_answers import VipsAnswers
from vpplb.direct.client import OperatorConnections
from vpplb.direct.own_token import read_lifetime
from vpplb.files.owned_state_store import OwnedStateStore, VppIdentity
from vpplb.kube.client import KubeClient
from vpplb.kube.crd_check import CrdCheck
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.kube.leases.agent_lease import LeaseHeartbeat
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.clock import Clock, SystemClock
from vpplb.model.names import ObjectKey
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.crd import make_schemas
from vpplb.sync.ports import LoadBalancer
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.http_access import HttpAccess
from vpplb.telemetry.metrics import AgentMetrics, MetricsRegistry
from vpplb.telemetry.process_health import ProcessHealth
from vpplb.telemetry.scraped_metrics import (
    KnowledgeFigures,
    register_knowledge,
    register_operators,
    register_packets,
    register_unprogrammed,
)
from vpplb.telemetry.vips_page import VipsPage
from vpplb.vpp.access import VppAccess

if TYPE_CHECKING:
    from vpplb.telemetry.failover_traces import FailoverTraces

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What the command line says. `sync_interval` is in seconds.

    `state_file` None: no memory; `vpp_stats_socket` None: packets are not counted. `direct_token`
    is the file of the token that operators are shown, None where the direct road is off; they are
    found in the Lease `lease_name` of the election. `release` is this agent's, empty for none.
    `traces` None: nothing is traced. `mark_stale`: it may let statuses say that nobody probes.
    """

    node: str
    vpp_api_socket: Path
    vpp_stats_socket: Path | None = None
    state_file: Path | None = None
    namespaces: tuple[str, ...] = ()
    http_address: str = ":9091"
    http_hosts: tuple[str, ...] = ()
    http_access: HttpAccess = field(default_factory=HttpAccess)
    sync_interval: float = 30.0
    own_all: bool = False
    conf: DesiredSettings = field(default_factory=DesiredSettings)
    lease_namespace: str = "default"
    direct_token: Path | None = None
    election_namespace: str = "kube-system"
    lease_name: str = "vpplb-operator"
    release: str = ""
    mark_stale: bool = True
    traces: "FailoverTraces | None" = None


class KubeParts:
    """What is known of the API server's objects, and what is written there."""

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self.cache = ObjectCache()
        self.writer = StatusWriter(client, self.cache)
        self.recorder = EventRecorder(client, "agent", options.node)


class AgentParts:
    """All parts of an agent, made at once; none of them does anything before it is run."""

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self._options, clock, registry = options, SystemClock(), MetricsRegistry("agent")
        metrics = AgentMetrics(registry)
        self.vpp = _open_vpp(options, metrics)
        self.crds = CrdCheck(client=client, needed=make_schemas(KINDS))
        self.kube = KubeParts(options, client)
        self.vips, self.decisions = VipState(own_all=options.own_all), NewestDecisions()
        self.outcomes = FrontendOutcomes(SelectedFrontends())
        self.store = _make_store(options, self.vips, self.decisions, self.outcomes)
        self.node = NodeRegistration(client, options.node, self.store, options.release)
        self.handover = ReleaseHandover(
            client, options.node, options.release, self.vpp.lock, self.store
        )
        self.heartbeat = _make_heartbeat(options, client, self.node, clock)
        self.guard = NodeGuard(client, self.heartbeat.key)
        self.reporter = self._make_reporter(metrics, clock)
        self.syncer = VppSyncer(
            self._trace_vpp(),
            self.vips,
            listener=self.reporter,
            sync_interval=options.sync_interval,
        )
        self.selector: FrontendSelector = self._make_selector()
        self.informer = ObjectInformer(
            client,
            KINDS,
            self.kube.cache,
            options.namespaces,
            on_list=self.selector.begin_list,
        )
        self.health = self._measure_health(client)
        self.kube.cache.add_handlers(self.reporter, self.node, self.selector)
        self.page = self._make_page(clock)
        self.road = self._make_road(client)
        self.observer = self._make_observer(client)
        self.silence_marker = self._make_silence_marker(client, clock)
        self.registry = registry
        self._register_metrics()

    def _measure_health(self, client: KubeClient) -> ProcessHealth:
        return ProcessHealth(
            watch_ages=self.informer.watch_ages,
            api_age=client.health.age,
            api_trouble=lambda: client.health.trouble,
            writes_due=lambda: self.kube.writer.pending,
        )

    def _register_metrics(self) -> None:
        meter, vips, road = self.vpp.packet_meter, self.vips, self.road
        register_packets(
            self.registry, lambda: meter.packets if meter else {}, lambda: vips.owned_state.owned
        )
        if road is not None:
            register_operators(self.registry, road.list_figures)
        register_unprogrammed(self.registry, self.outcomes.count_missing)
        register_knowledge(self.registry, self._measure_knowledge)
        self.registry.register(self.health)

    def _measure_knowledge(self) -> KnowledgeFigures:
        token = self._options.direct_token
        life = read_lifetime(token) if token is not None else None
        return KnowledgeFigures(
            decision_taken=self.decisions.taken_at,
            token_issued=life.issued if life else None,
            token_expiry=life.expiry if life else None,
            operator_heard=self.observer.is_heard,
        )

    def _make_reporter(self, metrics: AgentMetrics, clock: Clock) -> DataplaneReporter:
        return DataplaneReporter(
            self.kube.writer,
            metrics,
            self.kube.recorder,
            self._options.node,
            clock,
            outcomes=self.outcomes,
            vips=self.vips,
            store=self.store,
            lapsed=self.heartbeat.has_lapsed,
            # The one way back: what VPP was found to have is for whoever says what it shall have.
            on_read=lambda: self.selector.note_observed(self.vips.observed),
        )

    def _trace_vpp(self) -> LoadBalancer:
        traces, vips = self._options.traces, self.vips
        if traces is None:
            return self.vpp.lb
        return traces.wrap_vpp(self.vpp.lb, lambda: vips.owned_state.owned)

    def _make_selector(self) -> FrontendSelector:
        return FrontendSelector(
            self.syncer,
            self.kube.cache,
            self.decisions,
            self._options.node,
            self._options.conf,
            self.outcomes.selected,
            self.reporter.on_unreadable,
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
            decisions=self.decisions,
            selector=self.selector,
            outcomes=self.outcomes,
            reporter=self.reporter,
            store=self.store,
            on_trace=options.traces.put_parent if options.traces else None,
            lookup=OperatorLookup(
                client=client,
                lease=ObjectKey(options.election_namespace, options.lease_name),
                release=ReleaseIdentity(options.lease_namespace, options.release),
            ),
            answers=VipsAnswers(self.page.read_page),
        )

    def _make_observer(self, client: KubeClient) -> OperatorObserver:
        options, road = self._options, self.road
        return OperatorObserver(
            client=client,
            lease=ObjectKey(options.election_namespace, options.lease_name),
            namespaces=options.namespaces,
            has_road=road is not None,
            is_led=lambda: road is not None and road.is_led,
            tell=self.reporter.set_operator_heard,
        )

    def _make_page(self, clock: Clock) -> VipsPage:
        look, counters = self.vpp.lb.read_with_indexes, self.vpp.counters
        return VipsPage(self._options.node, look, counters, self.vips, self.reporter, clock)

    def _make_silence_marker(self, client: KubeClient, clock: Clock) -> SilenceMarker | None:
        if not self._options.mark_stale:
            return None
        return SilenceMarker(
            client=client,
            observer=self.observer,
            cache=self.kube.cache,
            list_carried=lambda: self.outcomes.selected.keys,
            clock=clock,
        )


def _open_vpp(options: AgentOptions, metrics: AgentMetrics) -> VppAccess:
    return VppAccess(
        options.vpp_api_socket,
        options.vpp_stats_socket,
        on_call=metrics.record_call,
        on_stale_clients=metrics.set_leftovers,
    )


def _make_store(
    options: AgentOptions, vips: VipState, decisions: NewestDecisions, outcomes: FrontendOutcomes
) -> OwnedStateStore:
    identity = VppIdentity.of_socket(options.node, options.vpp_api_socket)
    return OwnedStateStore(
        options.state_file,
        lambda: vips.owned_state,
        identity,
        lambda: decisions.marks,
        lambda: outcomes.carried,
        options.release,
    )


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

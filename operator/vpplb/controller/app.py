"""The operator: its parts put together, started in order and stopped in order.

Of several operators one leads. The others stand by: they watch, and keep what they would go on
from, which is the newest of what the leader has written; they decide, probe and write nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from vpplb.controller.agent_heartbeats import AgentHeartbeats
from vpplb.controller.direct_service import DirectOptions, DirectService
from vpplb.controller.election_news import ElectionNews
from vpplb.controller.election_view import ElectionView
from vpplb.controller.operator_core import OperatorCore
from vpplb.controller.operator_people import OperatorPeople
from vpplb.controller.process_identity import claim_identity
from vpplb.controller.secret_reader import SecretReader
from vpplb.controller.stale_marker import StaleMarker
from vpplb.controller.store_handler import StoreHandler
from vpplb.kube.api_types import cluster_key
from vpplb.kube.client import KubeClient
from vpplb.kube.crd_check import CrdCheck
from vpplb.kube.leases.leader_election import FencedClient, LeaderElector, WriteFence
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.model.clock import Clock, SystemClock
from vpplb.model.names import OWN_KINDS, ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import Prober
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.crd import make_schemas
from vpplb.telemetry.http import HttpServer, ReadVips
from vpplb.telemetry.http_access import HttpAccess
from vpplb.telemetry.listen_address import ListenAddress
from vpplb.telemetry.process_health import ProcessHealth, complain_late
from vpplb.telemetry.scraped_metrics import register_agents, register_direct
from vpplb.telemetry.start_log import describe_source, log_start
from vpplb.telemetry.state_view import DecidedStateView

if TYPE_CHECKING:
    from vpplb.telemetry.failover_traces import FailoverTraces

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """What the command line says. `namespaces` empty: all. `netns` empty: the probes' own.

    All operators of a cluster share the lease `lease_name` in `election_namespace`, which lasts
    `lease_duration` seconds; `identity` names this one there, with a suffix of its process. The
    agents' leases are in `lease_namespace`. `release` is this operator's: nodes of others do not
    count. `direct` None: no agent is served directly. `traces` None: nothing is traced.
    """

    namespaces: Sequence[str] = ()
    http_address: str = ":9091"
    http_hosts: tuple[str, ...] = ()
    http_access: HttpAccess = field(default_factory=HttpAccess)
    netns: str = ""
    transition_history: int = 5
    probe_workers: int = 0
    status_writes_per_second: int = 250
    blind_guard: bool = True
    allowed: AddressAllowances = NOTHING
    lease_namespace: str = "default"
    election_namespace: str = "kube-system"
    lease_name: str = "vpplb-operator"
    lease_duration: float = 15.0
    identity: str
    release: str = ""
    direct: DirectOptions | None = None
    traces: "FailoverTraces | None" = None

    @property
    def lease(self) -> ObjectKey:
        """The lease of the election."""
        return ObjectKey(self.election_namespace, self.lease_name)


async def run(options: OperatorOptions, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set.

    ConfigError when no cluster is configured, CannotListen when an address is taken,
    LeadershipLost when it led and another operator leads now. A cluster that cannot be reached
    is no error: it is tried again and shown in readiness.
    """
    async with await KubeClient.from_config() as client:
        operator = Operator(options, client)
        async with operator.serving():
            log_start(
                "operator",
                objects=describe_source(client.server_url, options.namespaces),
                http=operator.http_address,
                agents=options.direct.listen if options.direct else "by the API server alone",
                traces=options.traces.place if options.traces else None,
            )
            await operator.run(stop)


class Operator:
    """The parts, and the order in which they start and stop."""

    def __init__(self, options: OperatorOptions, client: KubeClient) -> None:
        clock, cache, fence = SystemClock(), ObjectCache(), WriteFence()
        self._identity = claim_identity(options.identity)
        self._prober = WorkerPool(options.probe_workers, options.netns)
        self._crds = CrdCheck(client=client, needed=make_schemas(OWN_KINDS))
        self._informer = ObjectInformer(client, OWN_KINDS, cache, options.namespaces)
        release = ReleaseIdentity(options.lease_namespace, options.release)
        writing = FencedClient(client, fence)
        reconciler = _make_reconciler(options, self._prober, clock, fence)
        self._secrets = SecretReader(client, reconciler)
        self._core = OperatorCore(
            identity=self._identity.name,
            release=release,
            cache=cache,
            writing=writing,
            reconciler=reconciler,
            store=StoreHandler(reconciler, options.allowed, self._secrets.request_secrets),
            clock=clock,
            status_writes_per_second=options.status_writes_per_second,
            traces=options.traces,
        )
        on_verdict, traces = reconciler.on_verdict, options.traces
        self._on_verdict = traces.follow_verdicts(on_verdict) if traces else on_verdict
        list_agents = self._core.nodes.list_agents
        register_agents(self._core.registry, list_agents)
        self._heartbeats = AgentHeartbeats(writing, options.lease_namespace, list_agents, clock)
        self._direct = self._make_direct(options, client, release, clock)
        self._elector = self._make_elector(options, client, fence, clock)
        self._news = ElectionNews(self._elector, release, self._core.publisher)
        self._election_view = self._make_election_view(clock)
        self._health = self._measure_health(client)
        self._people = OperatorPeople(
            client, cache, self._core, self._identity.name, clock,
            options.http_access, options.namespaces, options.allowed,
        )  # fmt: skip
        self._http = self._make_http(options)
        self._core.registry.register(self._http.readers)
        announce = self._core.reports.events.announce_unserved
        self._marker = StaleMarker(writing, clock, announce)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve whoever asks, and agents, while this is entered (CannotListen)."""
        async with AsyncExitStack() as stack:
            if self._direct is not None:
                await stack.enter_async_context(self._direct)
            await stack.enter_async_context(self._http)
            yield

    @property
    def http_address(self) -> ListenAddress | None:
        """Where it is served, None where it is not."""
        return self._http.listen_address

    def _make_direct(
        self, options: OperatorOptions, client: KubeClient, release: ReleaseIdentity, clock: Clock
    ) -> DirectService | None:
        if options.direct is None:
            return None
        direct = DirectService(
            options.direct,
            client=client,
            identity=self._identity.name,
            lease=options.lease,
            release=release,
            clock=clock,
            handler=self._core.publisher,
            on_operators=self._core.publisher.set_operators,
        )
        register_direct(self._core.registry, direct.list_figures)
        return direct

    def _make_elector(
        self, options: OperatorOptions, client: KubeClient, fence: WriteFence, clock: Clock
    ) -> LeaderElector:
        direct = self._direct
        return LeaderElector(
            client=client,
            key=options.lease,
            identity=self._identity.name,
            scope=ServedScope.of_list(options.namespaces),
            duration=options.lease_duration,
            fence=fence,
            clock=clock,
            on_role=self._core.on_role,
            on_lease=direct.observe_lease if direct is not None else lambda lease: None,
        )

    def _make_election_view(self, clock: Clock) -> ElectionView:
        core, direct = self._core, self._direct
        return ElectionView(
            self._elector,
            self._news,
            core.reconciler,
            core.stream,
            clock,
            list_operators=direct.list_operators if direct is not None else None,
            decided_at=lambda: core.decision_metrics.decided_at,
        )

    def _measure_health(self, client: KubeClient) -> ProcessHealth:
        health = ProcessHealth(
            watch_ages=self._informer.watch_ages,
            api_age=client.health.age,
            api_trouble=lambda: client.health.trouble,
            writes_due=lambda: self._core.reports.writer.pending,
            write_tokens=lambda: self._core.reports.writer.tokens,
            processes=self._prober.count_processes,
            lateness=self._prober.list_lateness,
            prober=self._prober.find_trouble,
        )
        self._core.registry.register(health)
        return health

    def _make_http(self, options: OperatorOptions) -> HttpServer:
        core, health, direct = self._core, self._health, self._direct
        return HttpServer(
            address=options.http_address,
            metrics=core.registry.render_pieces,
            hosts=options.http_hosts,
            alive={
                "watch": lambda: self._informer.watch.beyond_repair or None,
                "probers": complain_late(health.check_any_prober),
            },
            figures=health.list_figures,
            checks={
                "api": health.check_api,
                "crds": lambda: self._crds.trouble or None,
                "objects": lambda: self._informer.trouble or None,
                "watch": lambda: self._informer.watch.trouble or None,
                "probers": health.check_probers,
                "lease": lambda: self._news.explain_standby() or None,
                "writes": lambda: core.reports.writer.trouble or None,
                "agents": lambda: self._heartbeats.trouble or None,
            }
            | ({"direct": direct.find_trouble} if direct is not None else {}),
            facts={"role": lambda: self._elector.role, "leader": lambda: self._elector.holder},
            view=core.view,
            operator=self._election_view.show,
            find_node=partial(_find_node, core.view, direct) if direct is not None else None,
            stream=core.stream,
            histories=self._prober.read_histories,
            dashboard=True,
            people=self._people.routes,
            tls=options.http_access.tls,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, or raise what made that impossible (LeadershipLost)."""
        working = asyncio.create_task(self._work())
        electing = asyncio.create_task(self._elect())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, electing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self._core.reconciler.close()
        await self._prober.stop()
        if stop.is_set() and self._elector.role is LeaderRole.LEADING:
            await self._core.reports.drain()
        for task in (stopping, electing):
            task.cancel()
        await asyncio.wait({electing})
        await self._elector.resign_lease()
        working.cancel()
        for outcome in await asyncio.gather(electing, working, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _elect(self) -> None:
        """Take part in the election, once nothing would be lost by our leading.

        A field that is not kept is less harm than nobody who leads, as where the last leader was
        restarted by definitions that had been older all along.
        """
        if not await self._crds.wait_new_enough(self._elector.is_deserted) and self._crds.trouble:
            log.error("nobody else leads, so this operator takes part all the same")
        await self._elector.run()

    async def _work(self) -> None:
        """Do all but electing, until cancelled."""
        core, reconciler = self._core, self._core.reconciler
        await self._prober.start(
            self._on_verdict,
            core.decision_metrics.record_stats,
            reconciler.on_response_change,
            reconciler.on_reason,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._health.lag.run())
            group.create_task(core.run())
            group.create_task(self._news.run())
            group.create_task(self._people.run())
            group.create_task(self._election_view.run())
            if self._direct is not None:
                group.create_task(self._direct.run())
            await self._elector.wait_until_looked()
            group.create_task(self._crds.run())
            stood_by = self._elector.role is LeaderRole.STANDBY
            await self._informer.list_all()
            group.create_task(self._informer.run())
            if stood_by:
                await self._elector.wait_until_leading()
                # The watch may lag behind what the last leader wrote in its last moments.
                await self._informer.list_all()
            await self._secrets.read_first()
            log.info("all objects are listed, reconciling begins")
            reconciler.set_synced(self._elector.term)
            group.create_task(self._secrets.run())
            group.create_task(self._heartbeats.run())
            if self._elector.scope.namespaces:
                await self._marker.mark_unserved(self._elector.key)


def _find_node(view: DecidedStateView, direct: DirectService, node: str) -> ReadVips | None:
    """Give what asks the agent of a node for its VIPs; None for a node without a Dataplane."""
    known = view.show_object(ObjectKind.DATAPLANE, cluster_key(node)) is not None
    return partial(direct.read_vips, node) if known else None


def _make_reconciler(
    options: OperatorOptions, prober: Prober, clock: Clock, fence: WriteFence
) -> Reconciler:
    return Reconciler(
        prober,
        clock,
        reach=options.allowed.reach,
        transition_history=options.transition_history,
        blind_guard=options.blind_guard,
        holds_lease=lambda: fence.is_open,
    )

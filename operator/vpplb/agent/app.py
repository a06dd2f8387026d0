"""The agent: its parts started in order and stopped in order."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from vpplb.agent.agent_parts import AgentOptions, AgentParts
from vpplb.files.owned_state_store import StoredState, read_owned
from vpplb.kube.api_types import JsonObject, KubeError
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.agent_lease import LeaseHeartbeat
from vpplb.kube.user_api.cluster_people import ClusterPeople
from vpplb.kube.user_api.person_client import PersonClient, check_server
from vpplb.model.names import ObjectKey
from vpplb.sync.vip_state import OwnedState
from vpplb.telemetry.http import HttpServer, PageUnavailable
from vpplb.telemetry.people_routes import PeopleRoutes
from vpplb.telemetry.start_log import describe_source, log_start

log = logging.getLogger(__name__)

DRAIN_TIMEOUT = 3.0
RESIGN_TIMEOUT = 1.0
"""Seconds to write what is still due when the agent is told to stop, and to give its lease up."""
PATIENCE = 2.0
"""Seconds for which an agent that starts waits for the API server, and then for a leader that may
be ahead of the statuses."""


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
            log_start(
                "agent",
                node=options.node,
                objects=describe_source(client.server_url, options.namespaces),
                http=agent.http.listen_address,
                vpp=options.vpp_api_socket,
                traces=options.traces.place if options.traces else None,
            )
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


class Agent:
    """The parts, and the order in which they start.

    All are made at once, but nothing is asked of VPP and nothing written before this agent has the
    VPP (`VppLock`) and the node (`LeaseHeartbeat`) for itself; until then `_waits_for` says what
    it waits for. Where the API server does not answer, what is on the disk about this very VPP will
    do in place of the lease, and a leader's whole state in place of the lists.
    """

    def __init__(self, options: AgentOptions, client: KubeClient) -> None:
        self._options, self._parts = options, AgentParts(options, client)
        self._waits_for: Callable[[], str] = lambda: "not introduced yet"
        self._registered, self._listed = asyncio.Event(), asyncio.Event()
        self._without_api = False
        """Whether it has begun though the API server does not answer."""
        self.http = self._make_http(client)
        self._parts.registry.register(self.http.readers)

    async def run(self) -> None:
        parts, kube = self._parts, self._parts.kube
        async with asyncio.TaskGroup() as group:
            for early in (parts.health.lag.run(), kube.writer.run(), kube.recorder.run()):
                group.create_task(early)
            group.create_task(parts.crds.run())
            await self._take_vpp()
            stored = parts.store.load()
            claiming = group.create_task(self._claim_node())
            self._take_over(stored, await self._wait_node(claiming, stored))
            kept = stored.programmed if stored else None
            group.create_task(self._follow_cluster(group, claiming, kept))
            for late in (parts.vpp.packet_meter, parts.store, parts.syncer, parts.road):
                if late is not None:
                    group.create_task(late.run())
            # Nothing is changed in VPP before it is known what it shall have.
            await self._wait_decisions()
            parts.syncer.set_synced()
            parts.outcomes.begin()
            await self._listed.wait()
            parts.reporter.begin()

    async def wind_down(self) -> None:
        """Write what is still due, and give the node's lease up."""
        self._parts.reporter.flush()
        await self._parts.kube.writer.drain(DRAIN_TIMEOUT)
        with suppress(KubeError, TimeoutError):
            async with asyncio.timeout(RESIGN_TIMEOUT):
                await self._parts.heartbeat.resign_lease()

    def close(self) -> None:
        """Keep what the next start has to know; for the end, when nothing changes any more."""
        self._parts.store.close()
        self._parts.vpp.lock.release()

    # --- starting ----------------------------------------------------------------------------

    async def _take_vpp(self) -> None:
        """Wait until no other agent has the VPP, and no other release the node."""
        handover, introduced = self._parts.handover, self._waits_for
        self._waits_for = lambda: handover.why or introduced()
        await handover.wait_ours()

    async def _claim_node(self) -> JsonObject:
        """Wait until no other agent has the node; return its Dataplane."""
        dataplane = await self._parts.node.register_node()
        self._registered.set()
        if not self._without_api:
            self._waits_for = partial(_explain_rivalry, self._parts.heartbeat)
        await self._parts.heartbeat.claim_lease(waits=lambda: not self._without_api)
        self._waits_for = str
        return dataplane

    async def _wait_node(
        self, claiming: asyncio.Task[JsonObject], stored: StoredState | None
    ) -> JsonObject | None:
        """Wait until the node is ours, and return its Dataplane.

        None where the API server does not answer, and the disk knows enough to begin all the same.
        """
        if self._parts.road is not None and stored is not None and _is_enough(stored):
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._registered.wait()
            if not self._registered.is_set():
                log.warning("the API server does not answer: decisions come from a leader alone")
                self._without_api, self._waits_for = True, str
                return None
        return await claiming

    def _take_over(self, stored: StoredState | None, dataplane: JsonObject | None) -> None:
        """Go on from what the last agent had: what its file says, else what its Dataplane does."""
        parts = self._parts
        state = (stored.state if stored else read_owned(dataplane or {})) or OwnedState()
        parts.vips.restore(state)
        parts.selector.resume(state.owned, stored.marks if stored else {})
        if stored is not None and dataplane is None:
            metadata = {"name": self._options.node}
            parts.selector.set_labels(stored.labels or {})
            parts.selector.set_dataplane({"metadata": metadata, "spec": stored.spec})

    async def _follow_cluster(
        self,
        group: asyncio.TaskGroup,
        claiming: asyncio.Task[JsonObject],
        kept: Mapping[ObjectKey, str] | None,
    ) -> None:
        """Once the node is ours, do all that needs the API server.

        `kept` is what VPP had by the last agent's file, None where that does not say.
        """
        dataplane, parts = await claiming, self._parts
        group.create_task(parts.heartbeat.run(parts.reporter.on_beat))
        parts.reporter.resume(dataplane, kept)
        parts.selector.set_labels(parts.node.labels)
        # Should it be deleted before it is listed, what it says counts all the same.
        parts.selector.set_dataplane(dataplane)
        group.create_task(parts.node.run(parts.selector.set_labels))
        group.create_task(parts.guard.run())
        group.create_task(parts.observer.run())
        await parts.informer.list_all()
        self._listed.set()
        if parts.silence_marker is not None:
            group.create_task(parts.silence_marker.run())
        await parts.informer.run()

    async def _wait_decisions(self) -> None:
        """Wait for the lists, or for a leader's whole state where the API server does not answer.

        A leader is silent about a frontend on which nothing is decided, whose VIP only a list
        protects where every VIP counts as ours: with `own_all` the lists are waited for always.
        After the lists a leader is waited for a moment, since it may know newer decisions.
        """
        road = self._parts.road
        if road is None:
            await self._listed.wait()
            return
        enough = [self._listed, road.whole] if self._may_begin_without_api else [self._listed]
        known = [asyncio.create_task(one.wait()) for one in enough]
        try:
            await asyncio.wait(known, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in known:
                task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await road.wait_whole()

    @property
    def _may_begin_without_api(self) -> bool:
        return self._without_api and not self._options.own_all

    # --- what is to be seen ------------------------------------------------------------------

    def _explain_road(self) -> str:
        if (road := self._parts.road) is not None:
            return road.explain_road()
        token = self._options.direct_token
        why = f"there is no token {token}" if token else "--no-direct"
        return f"by the API server alone: {why}"

    def _make_http(self, client: KubeClient) -> HttpServer:
        made, options = self._parts, self._options
        parts: Mapping[str, Callable[[], str]] = {
            "node": str,
            "crds": lambda: self._parts.crds.trouble,
            "objects": lambda: made.informer.trouble,
            "watch": lambda: made.informer.watch.trouble,
            "vpp": lambda: self._parts.reporter.trouble or self._parts.vpp.stale_clients.alarm_text,
            "lease": lambda: self._parts.heartbeat.trouble,
            "writes": lambda: made.kube.writer.trouble,
        }
        checks = {name: partial(self._check_part, trouble) for name, trouble in parts.items()}
        return HttpServer(
            address=options.http_address,
            metrics=self._parts.registry.render_pieces,
            hosts=options.http_hosts,
            alive={"watch": lambda: made.informer.watch.beyond_repair or None},
            figures=made.health.list_figures,
            facts={
                "memory": lambda: self._parts.store.trouble or "in use",
                "lock": self._parts.vpp.lock.describe_state,
                "decisions": self._explain_road,
                "rights": lambda: self._parts.guard.said,
            },
            checks={"api": made.health.check_api, **checks},
            find_node=lambda node: self._read_vips if node == options.node else None,
            people=_guard_reading(options, client),
            tls=options.http_access.tls,
        )

    def _check_part(self, trouble: Callable[[], str]) -> str | None:
        """Say why a part is not ready; all of them wait for the node."""
        return self._waits_for() or trouble() or None

    async def _read_vips(self, frontend: ObjectKey | None) -> Mapping[str, object]:
        if why := self._waits_for():
            raise PageUnavailable(why)
        return await self._parts.page.read_page(frontend)


def _guard_reading(options: AgentOptions, client: KubeClient) -> PeopleRoutes:
    """Have everybody read, or whom the cluster lets (ConfigError)."""
    if not options.http_access.signed_in_only:
        return PeopleRoutes()
    check_server(client.server_url)
    asking = PersonClient(lambda: client.access)
    access = ClusterPeople(client=asking, namespaces=options.namespaces)
    return PeopleRoutes(access=access, guards_reading=True)


def _is_enough(stored: StoredState) -> bool:
    """Whether a memory of this VPP says what an agent has to know of its node, and of operators."""
    known = stored.labels is not None and stored.spec is not None
    return known and bool(stored.operators)


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

"""`DirectRoad`: the agent's part in the direct road (`direct.client` has the connections).

What the leader sends goes into the selector, as statuses do; what VPP has goes back at once. Where
no operator is connected, the Lease of the election says where they are, and what is known is kept
on the node's disk. All of it may fail: then decisions come by the API server alone.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict

from vpplb import __version__
from vpplb.agent.dataplane_reporter import DataplaneReporter
from vpplb.agent.frontend_outcomes import FrontendOutcomes
from vpplb.agent.frontend_selector import FrontendSelector
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.agent.vips_answers import VipsAnswers
from vpplb.direct.client import (
    ConnectedLeader,
    OperatorConnection,
    OperatorConnections,
    OperatorListener,
)
from vpplb.direct.messages import AgentHello, DecisionBatch, OperatorAddress, VipsRequest
from vpplb.files.owned_state_store import OwnedStateStore
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey
from vpplb.telemetry.scraped_metrics import OperatorFigures

log = logging.getLogger(__name__)

LOOKUP = (0.5, 120.0)
"""Seconds between looks at the Lease while no operator is connected, doubled from first to last.
Where operators have the direct road off, a thousand agents ask for it eleven times a second."""
UNLED = (40.0, 120.0)
"""Seconds between such looks while operators are connected of which none leads: the first is longer
than it takes to elect another. What they know of each other may be out of date."""
HELLO_AGAIN = 10.0
"""Seconds before a leader of an outdated term is told so again."""
SEND_RETRY = 0.1
"""Seconds after which a report is made anew that could not be sent."""


MakeConnections = Callable[[OperatorListener, Callable[[], AgentHello]], OperatorConnections]


class DirectRoad:
    """Implements `direct.client.OperatorListener`, and takes what VPP has to the leader.

    `namespaces` are those of the frontends that are this agent's to serve, none: all. `on_trace` is
    told the `traceparent` of each decision that is sent, empty where it has none.
    """

    def __init__(
        self,
        make_connections: MakeConnections,
        namespaces: Sequence[str],
        *,
        decisions: NewestDecisions,
        selector: FrontendSelector,
        outcomes: FrontendOutcomes,
        reporter: DataplaneReporter,
        store: OwnedStateStore,
        lookup: OperatorLookup,
        answers: VipsAnswers,
        on_trace: Callable[[ObjectKey, str], None] | None = None,
    ) -> None:
        self._namespaces = frozenset(namespaces)
        self._decisions, self._selector = decisions, selector
        self._outcomes, self._reporter = outcomes, reporter
        self._store, self._lookup, self._answers = store, lookup, answers
        self._on_trace = on_trace
        self.connections = make_connections(self, self._make_hello)
        self.whole = asyncio.Event()
        """Set once a leader has sent its whole state."""
        self._leader: ConnectedLeader | None = None
        self._led, self._unled = asyncio.Event(), asyncio.Event()
        self._unled.set()
        self._looked, self._outdated = asyncio.Event(), asyncio.Event()

    # --- what is to be seen ------------------------------------------------------------------

    async def wait_whole(self) -> None:
        """Wait for a leader's whole state, unless no operator is known."""
        if not self.connections.connections:
            await self._looked.wait()
        if self.connections.connections:
            await self.whole.wait()

    @property
    def is_led(self) -> bool:
        """Whether a leader is connected."""
        return self._leader is not None

    def explain_road(self) -> str:
        """Say by which road decisions come, and why not by the direct one."""
        if self._leader is not None:
            return f"directly from {self._leader.identity}, which leads in term {self._leader.term}"
        return f"by the API server alone: {self._explain_absence()}"

    def _explain_absence(self) -> str:
        connections = self.connections.connections
        if not connections:
            return self._lookup.trouble or "no operator is known"
        for operator, one in connections.items():
            if one.role is not None:
                return (
                    f"{operator.identity} does not lead ({one.role.why or 'another has led since'})"
                )
        operator, one = next(iter(connections.items()))
        return f"{operator.identity} at {operator.address}: {one.trouble}"

    def list_figures(self) -> list[OperatorFigures]:
        """Return what there is to count, by operator."""
        now, leader = asyncio.get_running_loop().time(), self._leader
        found = {
            operator.identity: OperatorFigures(
                operator=operator.identity,
                connected=one.role is not None,
                leads=leader is not None and operator.identity == leader.identity,
                messages=one.messages,
                age=None if one.heard_at is None else now - one.heard_at,
            )
            for operator, one in self.connections.connections.items()
        }
        return list(found.values())

    # --- the tasks ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connections, and what goes over them, until cancelled."""
        self.connections.set_operators(_read_operators(self._store))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.connections.run())
            group.create_task(self._look_up())
            group.create_task(self._look_further())
            group.create_task(self.send_reports())
            group.create_task(self.warn_outdated())
            group.create_task(self._answers.run())

    async def _look_up(self) -> None:
        """Ask the API server where operators are, for as long as none is connected."""
        failures = 0
        while True:
            await self.connections.wait_disconnected()
            if operators := await self._lookup.find_operators():
                self.connections.set_operators(operators)
            self._looked.set()
            failures += 1
            await asyncio.sleep(backoff_seconds(failures, *LOOKUP, jitter=random.random()))
            if self.connections.is_connected:
                failures = 0

    async def _look_further(self) -> None:
        """Ask it as well where operators are connected, and for long none of them has led."""
        failures = 0
        while True:
            await self._unled.wait()
            failures += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    backoff_seconds(failures, *UNLED, jitter=random.random())
                ):
                    await self._led.wait()
                    failures = 0
            if failures and self.connections.is_connected:
                self.connections.add_operators(await self._lookup.find_operators())

    async def send_reports(self) -> None:
        """Tell whoever leads what VPP has, and each change of it, until cancelled."""
        while True:
            await self._led.wait()
            await self._outcomes.news.wait()
            report = self._outcomes.take_report()
            if report is not None and not await self.connections.send_report(report):
                self._outcomes.begin_whole()
                await asyncio.sleep(SEND_RETRY)

    async def warn_outdated(self) -> None:
        """Tell the leader that a later term was heard of than its own, until cancelled.

        If it holds the lease it raises its term; else another leads, and will be connected.
        """
        while True:
            await self._outdated.wait()
            await self.connections.send_hello()
            await asyncio.sleep(HELLO_AGAIN)

    # --- OperatorListener --------------------------------------------------------------------

    def on_term(self, term: int) -> None:
        self._decisions.hear_term(term)
        self.on_leader(self.connections.leader)

    def on_leader(self, leader: ConnectedLeader | None) -> None:
        if leader is not None and leader.term < self._decisions.newest_term:
            leader = None  # another has led since, so it is not listened to
            self._outdated.set()
        else:
            self._outdated.clear()
        if leader == self._leader:
            return
        self._leader = leader
        self._selector.set_leader(leader.term if leader else None)
        self._reporter.set_direct(leader.identity if leader else None)
        if leader is None:
            self._led.clear()
            self._unled.set()
        else:
            self._outcomes.begin_whole()
            self._led.set()
            self._unled.clear()

    def on_batch(self, batch: DecisionBatch) -> None:
        self.on_leader(self.connections.leader)  # a status may have told of a later term
        for entry in batch.entries:
            if not self._namespaces or entry.frontend.namespace in self._namespaces:
                try:
                    if self._on_trace is not None:
                        self._on_trace(entry.frontend, entry.traceparent)
                    self._selector.put_entry(batch.term, entry)
                except Exception:  # a bug, which must not cost us the others
                    log.exception("what is decided on %s could not be taken in", entry.frontend)
        self._store.save_soon()  # the orders, also where they say of nothing else than before
        if batch.whole and batch.term >= self._decisions.newest_term:
            self.whole.set()

    def on_request(self, request: VipsRequest, connection: OperatorConnection) -> None:
        self._answers.put_request(request, connection)

    def on_operators(self, operators: Sequence[OperatorAddress]) -> None:
        self._store.set_operators(asdict(one) for one in operators)

    def _make_hello(self) -> AgentHello:
        return AgentHello(version=__version__, newest_term=self._decisions.newest_term)


def _read_operators(store: OwnedStateStore) -> list[OperatorAddress]:
    """Return the operators that were known before; what makes no sense is left out."""
    names = ("identity", "address", "fingerprint")
    return [
        OperatorAddress(**{name: one[name] for name in names})
        for one in store.operators
        if all(name in one for name in names)
    ]

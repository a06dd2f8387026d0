"""Which decisions go to which agent by the direct road, and what agents report there.

An agent is sent the frontends that select its node by its labels; and of others those that it
carries still, or was sent until now, so that it learns that it is selected no more. A node that is
selected is never told to let go. One that is not goes on (`holding`) until those that are have the
VIP, so it alone is told when that changes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from vpplb.controller.decision_records import DecisionRecord, DecisionRecords
from vpplb.controller.node_registry import NodeRegistry, is_selected
from vpplb.direct.agent_connection import AgentConnection
from vpplb.direct.messages import (
    AgentHello,
    OperatorAddress,
    OperatorRole,
    ProgrammedReport,
    dump_role,
)
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.decisions import Decisions
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.stored_objects import StoredObject

log = logging.getLogger(__name__)

GATHER = 0.05
"""Seconds in which news of nodes gather before it is looked who may let go."""
MOST_AHEAD = timedelta(days=365)
"""How far a clock may have been ahead that made a term: terms are times."""
RAISE_EVERY = 5.0
"""Seconds from one term that an agent's word has raised to the next."""
_UNKNOWN = "it does not know the objects yet"


@dataclass(slots=True)
class _ConnectedAgent:
    """A connection, and the labels by which its node was told what it carries."""

    connection: AgentConnection
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionState:
    """What the election says: `why` this operator does not lead, where it does not."""

    role: LeaderRole = LeaderRole.STANDBY
    why: str = "nobody is known to lead yet"


class DirectPublisher:
    """Implements `direct.agent_connection.AgentHandler` and `kube.object_cache.ObjectHandler`.

    `on_reported` is told of which frontends nodes have said something new, None for any.
    """

    def __init__(
        self,
        identity: str,
        records: DecisionRecords,
        nodes: NodeRegistry,
        reconciler: Reconciler,
        clock: Clock,
        on_reported: Callable[[Iterable[ObjectKey] | None], None],
    ) -> None:
        self._records, self._nodes, self._reconciler = records, nodes, reconciler
        self._clock, self._on_reported = clock, on_reported
        self._election, self._operators = ElectionState(), tuple[OperatorAddress, ...]()
        self._role = OperatorRole(identity=identity, leads=False, why=self._election.why)
        self._agents: dict[str, _ConnectedAgent] = {}
        self._leaving: dict[ObjectKey, bool] = {}
        """The frontends that nodes were sent which shall not carry them, and what `holding` was."""
        self._reported: dict[ObjectKey, None] = {}
        """The frontends of which nodes have said something new that nobody was told yet."""
        self._news = asyncio.Event()
        self._behind: dict[str, None] = {}
        """The nodes that are still to be sent the state of this term, one after the other."""
        self._begins = asyncio.Event()
        self._raised_at = -RAISE_EVERY

    # --- who leads ---------------------------------------------------------------------------

    def set_election(self, election: ElectionState) -> None:
        """Take what the election says now, and tell agents where that is news."""
        self._election = election
        self._update_role()

    def set_operators(self, operators: tuple[OperatorAddress, ...]) -> None:
        """Take which operators there are, and tell agents where that is news."""
        self._operators = operators
        self._update_role()

    @property
    def term(self) -> int:
        return self._role.term

    def _update_role(self) -> None:
        """Tell agents whether this operator leads; if so anew, all that it stands by."""
        led = self._election.role in (LeaderRole.LEADING, LeaderRole.SUSPENDED)
        leads = led and self._records.begun
        role = OperatorRole(
            identity=self._role.identity,
            leads=leads,
            term=self._reconciler.term if leads else 0,
            why="" if leads else _UNKNOWN if led else self._election.why,
            operators=self._operators,
        )
        if role == self._role:
            return
        before, self._role = self._role, role
        begins = (before.leads, before.term) != (role.leads, role.term)
        if begins and leads:
            differing = self._nodes.find_differing(self._records.list_revisions())
            self._records.renew_contradicted(differing)
        said = dump_role(role)
        for agent in self._agents.values():
            agent.connection.set_role(said)
            if begins and not leads:
                agent.connection.drop_state()
            agent.connection.flush()
        if begins:
            self._behind = dict.fromkeys(self._agents if leads else ())
            self._begins.set()

    # --- what is decided ---------------------------------------------------------------------

    def publish_decisions(self, decisions: Decisions) -> None:
        """Send what was decided to whom it concerns, all of it in this tick."""
        changed = self._records.put_decisions(decisions)
        for record in changed:
            self._leaving.pop(record.key, None)  # what is held is another revision now
        if not self._role.leads or self._role.term != self._reconciler.term:
            self._update_role()
            return
        told: dict[str, AgentConnection] = {}
        for record in changed:
            for name in self._list_concerned(record):
                if agent := self._agents.get(name):
                    agent.connection.add_due(record.key)
                    told[name] = agent.connection
        for connection in told.values():
            connection.flush()

    def render_entry(self, node: str, key: ObjectKey) -> str | None:
        record = self._records.get(key)
        if record is None:
            return None
        try:
            return self._write_entry(node, key, record)
        except Exception:  # a bug about one frontend must not cost agents all the others
            log.exception("the decision on frontend %s cannot be sent to %s", key, node)
            return None

    def _write_entry(self, node: str, key: ObjectKey, record: DecisionRecord) -> str | None:
        if node in self._nodes.select_nodes(record.selector) or record.gone:
            return record.write_entry(holding=True)
        if key not in self._leaving:
            self._leaving[key] = self._is_holding(record)
        return record.write_entry(holding=self._leaving[key])

    def _is_leaving(self, node: str, key: ObjectKey) -> bool:
        """Whether a node that carries a frontend shall not."""
        record = self._records.get(key)
        if record is None:
            return False
        return record.gone or node not in self._nodes.select_nodes(record.selector)

    def _list_concerned(self, record: DecisionRecord) -> Iterator[str]:
        """Give the nodes that carry a frontend, shall carry it, or should until now."""
        yield from self._nodes.select_nodes(record.selector)
        yield from self._nodes.list_leaving(record.key, record.selector)
        if record.before is not None:
            yield from self._nodes.select_nodes(record.before)

    def _is_holding(self, record: DecisionRecord) -> bool:
        report = self._nodes.report_frontend(record.key, record.selector, record.revision)
        return report.is_holding

    # --- connections -------------------------------------------------------------------------

    def on_connect(self, connection: AgentConnection) -> None:
        node = connection.node
        agent = _ConnectedAgent(connection, self._nodes.labels_of(node))
        self._agents[node] = agent
        self._behind.pop(node, None)
        self._nodes.set_connected(node, True)
        connection.set_role(dump_role(self._role))
        self._begin_state(agent)
        connection.flush()

    def on_disconnect(self, connection: AgentConnection) -> None:
        del self._agents[connection.node]
        self._behind.pop(connection.node, None)
        self._nodes.set_connected(connection.node, False)

    def _begin_state(self, agent: _ConnectedAgent) -> None:
        """Have an agent sent all that its node carries, or shall carry; nothing if we don't lead.

        Of what was deleted it hears as well, if it still carries that.
        """
        if not self._role.leads:
            agent.connection.drop_state()
            return
        node, labels = agent.connection.node, agent.labels
        carried = self._nodes.list_carried(node)
        agent.connection.begin_state(
            record.key
            for record in self._records.list_records()
            if str(record.key) in carried
            or (not record.gone and is_selected(record.selector, labels))
        )

    def on_message(
        self, connection: AgentConnection, message: AgentHello | ProgrammedReport
    ) -> None:
        match message:
            case AgentHello():
                self._heed_term(connection.node, message.newest_term)
            case ProgrammedReport():
                if self._role.leads:
                    self._take_report(connection, message)

    def _heed_term(self, node: str, term: int) -> None:
        """Outbid a later term than ours that an agent has heard of, now or once we lead.

        One that no clock explains is not believed: no node shall be able to use terms up.
        """
        if term > (self._clock.now() + MOST_AHEAD).timestamp() * 1e6:
            log.error("the agent of %s has heard of a term of no time: %d", node, term)
            return
        if self._role.leads and term > self._role.term:
            # Each time all that is decided is sent to all: agents say it again, so it may wait.
            now = asyncio.get_running_loop().time()
            if now < self._raised_at + RAISE_EVERY:
                return
            self._raised_at = now
            log.warning("the agent of %s has heard of a later term: %d", node, term)
        self._reconciler.raise_term(term)
        self._update_role()

    def _take_report(self, connection: AgentConnection, report: ProgrammedReport) -> None:
        changed = self._nodes.put_report(connection.node, report)
        if changed is None:
            self._on_reported(None)
        elif changed:
            self._note_reported(changed)
        for key in report.programmed:
            if self._is_leaving(connection.node, key):  # which we may not have known
                connection.add_due(key)
        connection.flush()
        if self._leaving:
            self._news.set()

    def _note_reported(self, frontends: Iterable[ObjectKey]) -> None:
        """Have it told once for all that is read now: a thousand nodes answer at one moment."""
        if not self._reported:
            asyncio.get_running_loop().call_soon(self._tell_reported)
        self._reported.update(dict.fromkeys(frontends))

    def _tell_reported(self) -> None:
        reported, self._reported = self._reported, {}
        self._on_reported(reported)

    # --- what changes where something is carried ---------------------------------------------

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        """Take note of a node's labels: another one may carry something from now on."""
        if kind != ObjectKind.DATAPLANE:
            return
        if self._leaving:
            self._news.set()
        agent, labels = self._agents.get(new.key.name), self._nodes.labels_of(new.key.name)
        if agent is None or (old is not None and agent.labels == labels):
            return
        before, agent.labels = agent.labels, labels
        if old is None:  # until now decisions passed it by
            self._begin_state(agent)
        for record in self._records.list_records() if self._role.leads else ():
            selector = record.selector
            if is_selected(selector, before) != is_selected(selector, labels):
                agent.connection.add_due(record.key)
        agent.connection.flush()

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Take note that a node is gone; of frontends the decisions tell."""
        if kind == ObjectKind.DATAPLANE and self._leaving:
            self._news.set()  # it may have been the one that was waited for

    async def run(self) -> None:
        """Send whole states when a term begins, and tell nodes when they may let go."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_states())
            group.create_task(self._release_nodes())

    async def _send_states(self) -> None:
        """Begin the state of one node a turn: what is decided meanwhile goes to all at once."""
        while True:
            await self._begins.wait()
            self._begins.clear()
            while self._behind:
                agent = self._agents[self._behind.popitem()[0]]
                self._begin_state(agent)
                agent.connection.flush()
                await asyncio.sleep(0)

    async def _release_nodes(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER)
            self._news.clear()
            began = loop.time()
            self._tell_holding()
            # Where much moves at a time, looking takes no more than a tenth of our time.
            await asyncio.sleep(9 * (loop.time() - began))

    def _tell_holding(self) -> None:
        news: dict[str, AgentConnection] = {}
        for key, held in list(self._leaving.items()):
            record = self._records.get(key)
            leaving = self._nodes.list_leaving(key, record.selector) if record else []
            told = {name: self._agents[name].connection for name in leaving if name in self._agents}
            if record is None or not told:
                del self._leaving[key]
                continue
            holding = self._is_holding(record)
            if holding != held:
                self._leaving[key] = holding
                for connection in told.values():
                    connection.add_due(key)
                news |= told
        for connection in news.values():
            connection.flush()

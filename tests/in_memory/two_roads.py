"""Operators and agents with two roads between them, on a time that is a number.

The rules of the election, the operators' decisions and what nodes take of them are the real ones;
requests and connections are made here. What `DirectRoad` and `OperatorConnections` conclude from
operators' roles is said again in a few lines (`ModelAgent.take_role`).

A node is asked at each change whether what it took is older than what it had. That is not judged by
terms, which the tests are about, but by who led when: each leader has a number in the order in
which they won, and each of its decisions one in that order.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from data.objects import NOON, backend, frontend, health_check, key, pool, vip
from fakes.lease_line import KEY, LeaseStore
from in_memory.world import World
from lab.direct_operator import dump_batch
from vpplb.agent.frontend_selector import read_decision
from vpplb.agent.newest_decisions import FrontendDecision, NewestDecisions
from vpplb.direct.messages import (
    AgentHello,
    DecisionBatch,
    DecisionEntry,
    Message,
    OperatorRole,
    dump_role,
    load_message,
)
from vpplb.kube.leases.leader_rules import LeaderRole, LeaseCandidate
from vpplb.model.decision_order import DecisionOrder
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.desired import FrontendView
from vpplb.resources.dataplane_codec import load_order
from vpplb.resources.node_report import NodeReport
from vpplb.resources.previous_decision import load_previous
from vpplb.resources.statuses import frontend_dataplane, render_frontend
from vpplb.resources.stored_objects import StoredObject

DURATION, STEP = 15.0, 1.5
"""Seconds that a lease lasts, and between two looks at everything."""
OBJECTS = (
    health_check(),
    backend("a", "10.0.0.1"),
    backend("b", "10.0.0.2"),
    frontend("web", pool("p", a=10), pool("s", b=10)),
    frontend("api", pool("p", b=10), on=vip("192.0.2.11/32")),
)
FRONTENDS = (key("web"), key("api"))

Status = Mapping[str, object]


class Rank(NamedTuple):
    """Which leader decided, counted in the order in which they won; and which of its decisions."""

    leader: int = 0
    number: int = 0


@dataclass(slots=True)
class ModelServer:
    """The API server: the lease, and what statuses were and are."""

    leases: LeaseStore = field(default_factory=LeaseStore)
    statuses: dict[ObjectKey, Status] = field(default_factory=dict)
    history: list[tuple[ObjectKey, Status]] = field(default_factory=list)

    def write_status(self, name: ObjectKey, status: Status) -> None:
        self.statuses[name] = status
        self.history.append((name, status))

    def restore_statuses(self, back: int) -> None:
        """Have the statuses that there were so many writes ago."""
        for name, status in dict(self.history[: len(self.history) - back]).items():
            if self.statuses[name] != status:
                self.write_status(name, status)


@dataclass(slots=True)
class DecisionLedger:
    """What each order stands for. No two decisions may have the same."""

    ranks: dict[DecisionOrder, Rank] = field(default_factory=lambda: {DecisionOrder(): Rank()})
    _said: dict[DecisionOrder, tuple[ObjectKey, str]] = field(default_factory=dict)
    leaders: int = 0

    def note_order(self, order: DecisionOrder, rank: Rank, said: tuple[ObjectKey, str]) -> bool:
        """Take note of a decision; return whether nobody made it before."""
        assert self._said.setdefault(order, said) == said, "two decisions have one order"
        new = order not in self.ranks
        if new:
            self.ranks[order] = rank
        return new


class DirectLink:
    """What lies between an operator and an agent: messages wait while it is not `open`."""

    def __init__(self, operator: "ModelOperator", agent: "ModelAgent") -> None:
        self.operator, self.agent = operator, agent
        self.connected, self.open = False, True
        self._waiting: list[str] = []
        self._sent: dict[ObjectKey, DecisionOrder] = {}
        self._role: OperatorRole | None = None

    def connect(self) -> None:
        if not self.connected:
            self.connected, self._role = True, None
            self.operator.take_hello(self.agent.hello())

    def cut(self) -> None:
        """End the connection: what is on its way is lost, and the agent sees it."""
        self.connected, self.open, self._role = False, True, None
        self._waiting.clear()
        self.agent.take_role(self.operator.number, None)

    def send_news(self) -> None:
        """Send role and decisions, where they are news to the agent."""
        if not self.connected:
            return
        role = self.operator.role
        if role != self._role:
            self._waiting.append(dump_role(role))
            if (role.leads, role.term) != (self._role and (self._role.leads, self._role.term)):
                self._sent.clear()
            self._role = role
        entries = tuple(
            make_entry(name, view)
            for name, view in (self.operator.views if role.leads else {}).items()
            if self._sent.get(name) != view.order
        )
        if entries:
            self._sent |= {one.frontend: one.order for one in entries}
            self._waiting.append(dump_batch(DecisionBatch(term=role.term, entries=entries)))

    def deliver(self) -> None:
        """Let what waits arrive; whoever leads in an outdated term is told so."""
        if self.connected and self.open and self.agent.finds_outdated(self.operator.number):
            self.operator.take_hello(self.agent.hello())
        while self.open and self._waiting:
            message = load_message(self._waiting.pop(0))
            assert message is not None
            self.agent.take_message(self.operator.number, message)


def make_entry(name: ObjectKey, view: FrontendView) -> DecisionEntry:
    return DecisionEntry(
        frontend=name, uid=name.name, order=view.order, dataplane=frontend_dataplane(view)
    )


class ModelOperator:
    """One process after another of an operator.

    `clock_error` is by how much its clock is wrong. `reaches_api`, `writes`: whether it can read
    and renew, and whether its writes of statuses get there. `frozen`: it does nothing.
    """

    def __init__(self, roads: "TwoRoads", number: int) -> None:
        self._roads, self.number = roads, number
        self.clock_error = 0.0
        self.reaches_api = self.writes = True
        self.frozen = False
        self._lives = 0
        self._begin_life()

    def _begin_life(self) -> None:
        self._lives += 1
        self._name = f"operator-{self.number}-{self._lives}"
        self._candidate = LeaseCandidate(identity=self._name, duration=DURATION)
        self.mind = World(
            synced=False,
            blind_guard=False,
            holds_lease=lambda: self._roads.now < self._candidate.valid_until,
        )
        self._seen = 0
        self._rank: Rank | None = None
        self._term = 0

    def crash(self) -> None:
        """End without a word, and begin anew under another name."""
        for link in self._roads.links_of(self):
            link.cut()
        self.mind.close()
        self.frozen = False
        self._begin_life()

    # --- what is -----------------------------------------------------------------------------

    @property
    def views(self) -> Mapping[ObjectKey, FrontendView]:
        return self.mind.reconciler.views

    @property
    def rank(self) -> Rank:
        return self._rank or Rank()

    @property
    def leads(self) -> bool:
        return self._candidate.role_at(self._roads.now) is LeaderRole.LEADING

    @property
    def role(self) -> OperatorRole:
        leading = self._candidate.role_at(self._roads.now) in (
            LeaderRole.LEADING,
            LeaderRole.SUSPENDED,
        )
        leads = leading and bool(self.views)
        return OperatorRole(identity=self._name, leads=leads, term=self._term if leads else 0)

    # --- what happens ------------------------------------------------------------------------

    def set_reach(self, *, api: bool, writes: bool) -> None:
        self.reaches_api, self.writes = api, writes

    def turn_backend(self, name: str) -> None:
        """See a backend go down that was up, or the other way round."""
        if not self.frozen and key(name) in self.mind.prober.running:
            self.mind.verdict(name, self.mind.state(name) is not HealthState.UP)

    def take_hello(self, hello: AgentHello) -> None:
        outdated = self.role.leads and hello.newest_term > self.mind.reconciler.term
        if outdated and not self.frozen:
            self.mind.reconciler.raise_term(hello.newest_term)

    def act(self) -> None:
        """Do what is due: the election last, as one does that was stopped in its midst."""
        if self.frozen:
            return
        self.mind.wait(STEP)
        self._heed_nodes()
        self._decide()
        for link in self._roads.links_of(self):
            link.send_news()
        if self.reaches_api:
            self._read_statuses()
            if self.writes and self._roads.now < self._candidate.valid_until:
                self._write_statuses()
            self._begin_leading()
            self._take_part()

    def _decide(self) -> None:
        self.mind.reconcile()
        if self._rank is None:
            return
        ledger, reconciler = self._roads.ledger, self.mind.reconciler
        if reconciler.term != self._term:
            self._term = reconciler.term
            ledger.ranks[DecisionOrder(self._term, 0)] = self._rank
        for name, view in sorted(self.views.items(), key=lambda item: item[1].order):
            following = Rank(self._rank.leader, self._rank.number + 1)
            said = name, revision_of(view)
            if ledger.note_order(view.order, following, said):
                self._rank = following

    def _take_part(self) -> None:
        leases, now = self._roads.server.leases, self._roads.now
        self._candidate.observe_lease(deepcopy(leases.lease), now)
        if self._candidate.role_at(now) is LeaderRole.LOST:
            self.crash()
            return
        spec = self._candidate.propose_record(now, self._present())
        if spec is None:
            return
        body = self._candidate.build_patch(spec)
        if self._candidate.lease_version:
            answer = leases.merge(ObjectKind.LEASE, KEY, body)
        else:
            body["metadata"] |= {"namespace": KEY.namespace, "name": KEY.name}
            answer = leases.put_whole(ObjectKind.LEASE, KEY, body)
        self._candidate.note_written(deepcopy(answer))
        if self._rank is None:
            self._roads.ledger.leaders += 1
            self._rank = Rank(self._roads.ledger.leaders, 0)

    def _begin_leading(self) -> None:
        """List all and begin, some time after the lease was won: who knows how long."""
        reconciler = self.mind.reconciler
        if self._rank is None or reconciler.synced:
            return
        for name, status in self._roads.server.statuses.items():
            reconciler.resume_frontend(name, load_previous(name, status))
        self.mind.put(*OBJECTS)
        reconciler.set_synced(self._candidate.term)

    def _present(self) -> datetime:
        return NOON + timedelta(seconds=self._roads.now + self.clock_error)

    def _read_statuses(self) -> None:
        history = self._roads.server.history
        for name, status in history[self._seen :]:
            self.mind.reconciler.heed_order(name, load_order(status))
        self._seen = len(history)

    def _write_statuses(self) -> None:
        for name, view in self.views.items():
            status = render_status(view)
            if self._roads.server.statuses.get(name) != status:
                self._roads.server.write_status(name, status)

    def _heed_nodes(self) -> None:
        """Decide anew what nodes have otherwise, as far as they can be heard."""
        heard = [link.agent for link in self._roads.links_of(self) if link.connected]
        if self.reaches_api:
            heard += [agent for agent in self._roads.agents if agent.watches]
        for name, view in self.views.items() if self.role.leads else ():
            if any(
                one.programmed.get(name, revision_of(view)) != revision_of(view) for one in heard
            ):
                self.mind.reconciler.renew_order(name)


def render_status(view: FrontendView) -> Status:
    status, _ = render_frontend(view, lambda _: NodeReport(), 1, (), NOON)
    rendered: dict[str, Any] = status.dump_json()
    return rendered


def revision_of(view: FrontendView) -> str:
    return str((frontend_dataplane(view) or {}).get("revision", ""))


class ModelAgent:
    """A node's agent, over its restarts. `watches`: the API server tells it of statuses.

    `programmed` are the revisions that VPP has.
    """

    def __init__(self, roads: "TwoRoads") -> None:
        self._roads = roads
        self.decisions = NewestDecisions()
        self.watches = True
        self.programmed: dict[ObjectKey, str] = {}
        self._ranks: dict[ObjectKey, Rank] = {}
        self._roles: dict[int, OperatorRole] = {}
        self._seen: int | None = None  # nothing has been listed yet

    def hello(self) -> AgentHello:
        return AgentHello(version="1", newest_term=self.decisions.newest_term)

    def restart(self) -> None:
        """End without a word; the next process has what was on the disk, and the newest list."""
        for link in self._roads.links_to(self):
            link.cut()
        marks, self.decisions = self.decisions.marks, NewestDecisions()
        self.decisions.restore_marks(marks)
        self._seen = None
        self.read_statuses()

    def finds_outdated(self, operator: int) -> bool:
        role = self._roles.get(operator)
        return role is not None and role.leads and role.term < self.decisions.newest_term

    # --- what is told ------------------------------------------------------------------------

    def read_statuses(self) -> None:
        """Hear what has happened since the last time, each step of it; first of all, a list."""
        if not self.watches:
            return
        server = self._roads.server
        news = server.statuses.items() if self._seen is None else server.history[self._seen :]
        self._seen = len(server.history)
        for name, status in list(news):
            self._take_status(name, status)

    def take_message(self, operator: int, message: Message) -> None:
        match message:
            case OperatorRole():
                self.take_role(operator, message)
            case DecisionBatch():
                assert self._roles[operator].leads
                self._choose_leader()
                for entry in message.entries:
                    if self.decisions.put_entry(message.term, entry):
                        self._apply(entry.frontend)

    def take_role(self, operator: int, role: OperatorRole | None) -> None:
        """Take note of what an operator is; None: it is not connected any more."""
        self._roles.pop(operator, None)
        if role is not None:
            self._roles[operator] = role
            self.decisions.hear_term(role.term)
        self._choose_leader()

    def _choose_leader(self) -> None:
        leading = [role.term for role in self._roles.values() if role.leads]
        newest = max(leading, default=0)
        self.decisions.set_leader(newest if newest >= self.decisions.newest_term > 0 else None)

    def _take_status(self, name: ObjectKey, status: Status) -> None:
        raw = {"metadata": {"namespace": name.namespace, "name": name.name}, "status": status}
        frontend = StoredObject(key=name, raw=raw, generation=1, version=1, uid=name.name)
        if self.decisions.put_status(name, name.name, read_decision(frontend)):
            self._apply(name)
        self._choose_leader()

    def _apply(self, name: ObjectKey) -> None:
        """Have VPP as it is decided; it must not be older than what it had."""
        decision = self.decisions.get_decision(name)
        if decision is None:
            return
        rank = self._rank_of(decision)
        before = self._ranks.get(name, Rank())
        if self.programmed.get(name) != decision.revision:
            assert rank >= before, f"{name} returns to an older decision"
        self._ranks[name] = max(rank, before)
        self.programmed[name] = decision.revision

    def _rank_of(self, decision: FrontendDecision) -> Rank:
        """Return which decision it is; a leader that sends it stands by it."""
        ranks = self._roads.ledger.ranks
        made = ranks[load_order({"dataplane": decision.dataplane})]
        return max(made, ranks[decision.order]) if decision.direct else made


class TwoRoads:
    """All of them; `now` is the true time in seconds."""

    def __init__(self, operators: int, agents: int) -> None:
        self.now = 0.0
        self.server, self.ledger = ModelServer(), DecisionLedger()
        self.operators = [ModelOperator(self, number) for number in range(operators)]
        self.agents = [ModelAgent(self) for _ in range(agents)]
        self.direct_agents: list[ModelAgent] = []
        self.links = [DirectLink(one, other) for one in self.operators for other in self.agents]
        for link in self.links:
            link.connect()

    def newest_first(self) -> list[ModelOperator]:
        """Return all operators, whoever was elected last first."""
        return sorted(self.operators, key=lambda one: one.rank, reverse=True)

    def links_of(self, operator: ModelOperator) -> list[DirectLink]:
        return [link for link in self.links if link.operator is operator]

    def links_to(self, agent: ModelAgent) -> list[DirectLink]:
        return [link for link in self.links if link.agent is agent]

    def pass_time(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            each()
            for operator in self.operators:
                operator.act()
            for link in self.links:
                link.deliver()
            for agent in self.agents:
                agent.read_statuses()

    def close(self) -> None:
        for operator in self.operators:
            operator.mind.close()

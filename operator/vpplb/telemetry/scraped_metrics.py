"""Metrics that are read from their owner when somebody scrapes.

Each `register_…` shows some of them in a registry, where there is somebody who knows them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.ports import PacketTally
from vpplb.telemetry import catalog
from vpplb.telemetry.metrics import MetricsRegistry, make_gauge, make_gauges


@dataclass(slots=True, eq=False)
class _AgentCollector(Collector):
    agents: Callable[[], Mapping[str, bool]]

    def collect(self) -> Iterator[Metric]:
        yield make_gauges(catalog.AGENT_GONE, self.agents())


def register_agents(registry: MetricsRegistry, agents: Callable[[], Mapping[str, bool]]) -> None:
    """Show the agents by their nodes, and whether each is gone; `agents` is asked at scrape."""
    registry.register(_AgentCollector(agents))


class DirectFigures(NamedTuple):
    """What has happened on the direct road: messages, refusals by reason, seconds of silence.

    `behind` are the agents that have not taken yet all that they are to be sent.
    """

    agents: int
    behind: int
    sent: int
    heard: int
    refused: Mapping[str, int]
    age: float | None


@dataclass(slots=True, eq=False)
class _DirectCollector(Collector):
    figures: Callable[[], DirectFigures]

    def collect(self) -> Iterator[Metric]:
        now = self.figures()
        yield make_gauge(catalog.DIRECT_AGENTS, now.agents)
        yield make_gauge(catalog.DIRECT_BEHIND, now.behind)
        messages = catalog.DIRECT_MESSAGES.make_family()
        messages.add_metric(("out",), now.sent)
        messages.add_metric(("in",), now.heard)
        yield messages
        yield make_gauge(catalog.DIRECT_AGE, now.age)
        refused = catalog.DIRECT_REFUSED.make_family()
        for reason, count in now.refused.items():
            refused.add_metric((reason,), count)
        yield refused


def register_direct(registry: MetricsRegistry, figures: Callable[[], DirectFigures]) -> None:
    """Show what happens on the direct road; `figures` is asked at scrape time."""
    registry.register(_DirectCollector(figures))


@dataclass(slots=True, eq=False)
class _PacketCollector(Collector):
    packets: Callable[[], Mapping[VipId, PacketTally]]
    owned: Callable[[], Mapping[VipId, ObjectKey]]

    def collect(self) -> Iterator[Metric]:
        family, owned = catalog.VIP_PACKETS.make_family(), self.owned()
        for vip, counts in self.packets().items():
            if key := owned.get(vip):
                for kind, number in asdict(counts).items():
                    family.add_metric((*key, kind), number)
        yield family


def register_packets(
    registry: MetricsRegistry,
    packets: Callable[[], Mapping[VipId, PacketTally]],
    owned: Callable[[], Mapping[VipId, ObjectKey]],
) -> None:
    """Show the packets of each frontend's VIP (`owned`); both are asked at scrape time."""
    registry.register(_PacketCollector(packets, owned))


class OperatorFigures(NamedTuple):
    """An operator that an agent knows: whether it is connected, and leads; seconds of silence."""

    operator: str
    connected: bool
    leads: bool
    messages: int
    age: float | None


@dataclass(slots=True, eq=False)
class _OperatorCollector(Collector):
    figures: Callable[[], Sequence[OperatorFigures]]

    def collect(self) -> Iterator[Metric]:
        now = self.figures()
        led = make_gauge(catalog.DIRECT_LED, any(one.leads for one in now))
        connected = catalog.OPERATOR_CONNECTED.make_family()
        messages = catalog.OPERATOR_MESSAGES.make_family()
        ages = catalog.OPERATOR_AGE.make_family()
        for one in now:
            connected.add_metric((one.operator,), one.connected)
            messages.add_metric((one.operator,), one.messages)
            if one.age is not None:
                ages.add_metric((one.operator,), one.age)
        yield from (led, connected, messages, ages)


def register_operators(
    registry: MetricsRegistry, figures: Callable[[], Sequence[OperatorFigures]]
) -> None:
    """Show the operators that an agent knows by the direct road; asked at scrape time."""
    registry.register(_OperatorCollector(figures))


@dataclass(slots=True, eq=False)
class _UnprogrammedCollector(Collector):
    count: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        yield make_gauge(catalog.UNPROGRAMMED_FRONTENDS, self.count())


def register_unprogrammed(registry: MetricsRegistry, count: Callable[[], int]) -> None:
    """Show how many frontends VPP should have and has not; `count` is asked at scrape time."""
    registry.register(_UnprogrammedCollector(count))


class KnowledgeFigures(NamedTuple):
    """How new it is what an agent knows, in Unix seconds: None where there is nothing.

    When it last heard a decision that was news, and from when until when its token holds;
    `operator_heard` says whether an operator is at work.
    """

    decision_taken: float | None
    token_issued: float | None
    token_expiry: float | None
    operator_heard: bool | None = None


@dataclass(slots=True, eq=False)
class _KnowledgeCollector(Collector):
    figures: Callable[[], KnowledgeFigures]

    def collect(self) -> Iterator[Metric]:
        now = self.figures()
        yield make_gauge(catalog.LAST_DECISION_TAKEN, now.decision_taken)
        yield make_gauge(catalog.TOKEN_ISSUED, now.token_issued)
        yield make_gauge(catalog.TOKEN_EXPIRY, now.token_expiry)
        yield make_gauge(catalog.OPERATOR_HEARD, now.operator_heard)


def register_knowledge(registry: MetricsRegistry, figures: Callable[[], KnowledgeFigures]) -> None:
    """Show how new it is what an agent knows; `figures` is asked at scrape time."""
    registry.register(_KnowledgeCollector(figures))

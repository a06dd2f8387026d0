"""All metrics of all programs, in one registry."""

from fakes.object_view import FakeObjectView
from vpplb.telemetry.http_readers import HttpReaders
from vpplb.telemetry.metrics import AgentMetrics, DecisionMetrics, MetricsRegistry, OperatorMetrics
from vpplb.telemetry.monitor_metrics import register_monitor
from vpplb.telemetry.process_health import ProcessHealth
from vpplb.telemetry.scraped_metrics import (
    DirectFigures,
    KnowledgeFigures,
    register_agents,
    register_direct,
    register_knowledge,
    register_operators,
    register_packets,
    register_unprogrammed,
)


def make_whole_registry() -> MetricsRegistry:
    """Return a registry with whatever is registered anywhere."""
    registry = MetricsRegistry("test")
    DecisionMetrics(registry, FakeObjectView())
    OperatorMetrics(registry)
    AgentMetrics(registry)
    register_packets(registry, dict, dict)
    register_operators(registry, list)
    register_monitor(registry, list)
    register_agents(registry, dict)
    figures = DirectFigures(agents=1, behind=0, sent=1, heard=1, refused={}, age=1)
    register_direct(registry, lambda: figures)
    register_unprogrammed(registry, int)
    register_knowledge(registry, lambda: KnowledgeFigures(1.0, 1.0, 1.0, True))
    registry.register(HttpReaders())
    health = ProcessHealth(
        watch_ages=dict,
        api_age=float,
        writes_due=int,
        write_tokens=float,
        processes=lambda: (0, 0),
        lateness=list,
        reload=lambda: (True, 0.0),
    )
    registry.register(health)
    return registry

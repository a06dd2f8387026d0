from prometheus_client.parser import text_string_to_metric_families

from lab.scrape import scrape_metrics
from vpplb.telemetry.catalog import METRICS
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


class NoObjects:
    def iter_backends(self) -> tuple[()]:
        return ()

    def iter_frontends(self) -> tuple[()]:
        return ()


def test_the_programs_serve_exactly_what_the_catalogue_lists() -> None:
    registry = MetricsRegistry("test")
    DecisionMetrics(registry, NoObjects())
    OperatorMetrics(registry)
    AgentMetrics(registry)
    register_packets(registry, dict, dict)
    register_operators(registry, list)
    register_monitor(registry, list)
    register_agents(registry, dict)
    figures = DirectFigures(agents=1, behind=0, sent=1, heard=1, refused={}, age=1)
    register_direct(registry, lambda: figures)
    register_unprogrammed(registry, int)
    register_knowledge(registry, lambda: KnowledgeFigures(1.0, 1.0, 1.0))
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
    served = {
        (family.name, family.type, family.documentation)
        for family in text_string_to_metric_families(scrape_metrics(registry))
        if family.name.startswith("vpplb_")
    }
    listed = {(spec.name.removesuffix("_total"), spec.type, spec.help) for spec in METRICS}
    assert served == listed


def test_names_end_as_their_types_ask() -> None:
    for spec in METRICS:
        assert spec.name.endswith("_total") == (spec.type == "counter")
        assert bool(spec.buckets) == (spec.type == "histogram")

from prometheus_client.parser import text_string_to_metric_families

from vpplb.telemetry.catalog import (
    AGENT_METRICS,
    OPERATOR_METRICS,
    VITAL_METRICS,
)
from vpplb.telemetry.metrics import (
    AgentMetrics,
    DirectFigures,
    MetricsRegistry,
    OperatorMetrics,
    register_direct,
    register_operators,
    register_packets,
)
from vpplb.telemetry.process_health import ProcessHealth


class NoObjects:
    def iter_backends(self) -> tuple[()]:
        return ()

    def iter_frontends(self) -> tuple[()]:
        return ()


def test_the_programs_serve_exactly_what_the_catalogue_lists() -> None:
    registry = MetricsRegistry()
    OperatorMetrics(registry, NoObjects())
    AgentMetrics(registry)
    register_packets(registry, dict, dict)
    register_operators(registry, list)
    register_direct(registry, lambda: DirectFigures(agents=1, sent=1, heard=1, refused={}, age=1))
    health = ProcessHealth(
        watch_ages=dict,
        api_age=float,
        writes_due=int,
        write_tokens=float,
        processes=lambda: (0, 0),
        reload=lambda: (True, 0.0),
    )
    registry.register(health)
    served = {
        (family.name, family.type, family.documentation)
        for family in text_string_to_metric_families(registry.render_all().decode())
        if family.name.startswith("vpplb_")
    }
    listed = {
        (spec.name.removesuffix("_total"), spec.type, spec.help)
        for spec in (*VITAL_METRICS, *OPERATOR_METRICS, *AGENT_METRICS)
    }
    assert served == listed


def test_names_end_as_their_types_ask() -> None:
    for spec in (*VITAL_METRICS, *OPERATOR_METRICS, *AGENT_METRICS):
        assert spec.name.endswith("_total") == (spec.type == "counter")
        assert bool(spec.buckets) == (spec.type == "histogram")

from prometheus_client.parser import text_string_to_metric_families

from in_memory.whole_registry import make_whole_registry
from lab.scrape import scrape_metrics
from vpplb.telemetry.catalog import METRICS


def test_the_programs_serve_exactly_what_the_catalogue_lists() -> None:
    registry = make_whole_registry()
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

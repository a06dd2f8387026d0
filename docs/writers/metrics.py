"""The page of metrics, from their catalogue."""

from vpplb.telemetry.catalog import AGENT_METRICS, OPERATOR_METRICS, VITAL_METRICS, MetricSpec


def render_page() -> str:
    """Return docs/metrics.md."""
    return f"""# Metrics

<!-- Generated from vpplb/telemetry/catalog.py: edit that, then run `make docs`. -->

All programs serve them at `/metrics` of their `--http-address`, next to those of the
process itself (`process_…`). `vpplb standalone` serves both lists.

## Every program, as far as it applies

{_render_table(VITAL_METRICS)}

## Operator

{_render_table(OPERATOR_METRICS)}

## Agent

{_render_table(AGENT_METRICS)}
"""


def _render_table(specs: tuple[MetricSpec, ...]) -> str:
    rows = [
        f"| `{spec.name}` | {spec.type} | {', '.join(f'`{label}`' for label in spec.labels)}"
        f" | {spec.help} |"
        for spec in specs
    ]
    return "\n".join(["| Name | Type | Labels | Meaning |", "| --- | --- | --- | --- |", *rows])

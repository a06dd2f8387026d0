"""The page of metrics, from their catalogue."""

from vpplb.telemetry.catalog import (
    AGENT_METRICS,
    DECISION_METRICS,
    MONITOR_METRICS,
    OPERATOR_METRICS,
    VITAL_METRICS,
    VPP_METRICS,
    MetricSpec,
)


def render_page() -> str:
    """Return docs/metrics.md."""
    return f"""# Metrics

<!-- Generated from vpplb/telemetry/catalog.py: edit that, then run `make docs`. -->

All programs serve them at `/metrics` of their `--http-address`, next to those of the
process itself (`process_…`). Of several operators the one that leads has series of backends and
frontends; the others have none, so nothing is counted twice.

## Every program, as far as it applies

{_render_table(VITAL_METRICS)}

## Who probes and decides: operator and standalone

{_render_table(DECISION_METRICS)}

## Operator

{_render_table(OPERATOR_METRICS)}

## Who programs a VPP: agent and standalone

{_render_table(VPP_METRICS)}

## Agent

{_render_table(AGENT_METRICS)}

## Monitor

`vpplb monitor --listen` serves these, and those of its process.

{_render_table(MONITOR_METRICS)}
"""


def _render_table(specs: tuple[MetricSpec, ...]) -> str:
    rows = [
        f"| `{spec.name}` | {spec.type} | {', '.join(f'`{label}`' for label in spec.labels)}"
        f" | {spec.help} |"
        for spec in specs
    ]
    return "\n".join(["| Name | Type | Labels | Meaning |", "| --- | --- | --- | --- |", *rows])

"""The catalogue of all metrics: names, types, labels and meaning, declared once.

`docs/metrics.md` is generated from it (`python -m vpplb.telemetry.catalog`), and the metrics
are made from it, so neither can drift from the other.
"""

import sys

from vpplb.reconcile.ports import DURATION_BUCKETS, LATENESS_BUCKETS
from vpplb.telemetry.metric_spec import MetricSpec

DELAY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds for what people wait for, in seconds."""

BACKEND_STATE = MetricSpec(
    name="vpplb_backend_state",
    type="gauge",
    help="Health state of a backend: 1 for the current state, 0 for the others.",
    labels=("namespace", "backend", "state"),
)
BACKEND_TRANSITIONS = MetricSpec(
    name="vpplb_backend_transitions_total",
    type="counter",
    help="Changes of a backend's health state.",
    labels=("namespace", "backend", "from", "to"),
)
PROBES = MetricSpec(
    name="vpplb_probes_total",
    type="counter",
    help="Probes by type, by what they found, and by whether they passed (pass, fail).",
    labels=("type", "code", "result"),
)
PROBES_DISCARDED = MetricSpec(
    name="vpplb_probes_discarded_total",
    type="counter",
    help="Probes that say nothing about the backend, by what the prober itself was short of"
    " (cpu, descriptors, buffers, ports, fault), or its process ended with the probe in hand"
    " (death).",
    labels=("reason",),
)
PROBE_DURATION = MetricSpec(
    name="vpplb_probe_duration_seconds",
    type="histogram",
    help="How long probes took, from their start to their result.",
    labels=("type",),
    buckets=DURATION_BUCKETS,
)
PROBE_LATENESS = MetricSpec(
    name="vpplb_probe_lateness_seconds",
    type="histogram",
    help="How much later than scheduled probes started.",
    buckets=LATENESS_BUCKETS,
)
PROBER_SUSPECT = MetricSpec(
    name="vpplb_prober_suspect",
    type="gauge",
    help="1 while so many backends fell silent at once that the prober itself is suspected"
    " and effective weights stay as they were.",
)
FRONTEND_STATE = MetricSpec(
    name="vpplb_frontend_state",
    type="gauge",
    help="State of a frontend: 1 for the current state, 0 for the others.",
    labels=("namespace", "frontend", "state"),
)
EFFECTIVE_WEIGHT = MetricSpec(
    name="vpplb_frontend_backend_effective_weight",
    type="gauge",
    help="Weight with which a backend takes new flows of a frontend at present.",
    labels=("namespace", "frontend", "pool", "backend"),
)
STATUS_WRITES = MetricSpec(
    name="vpplb_status_writes_total",
    type="counter",
    help="Status writes by kind of object and how they ended.",
    labels=("kind", "result"),
)
STATUS_MENDED = MetricSpec(
    name="vpplb_status_mended_total",
    type="counter",
    help="Statuses that somebody else wrote and that were put right, by kind of object.",
    labels=("kind",),
)
TRANSITION_TO_STATUS = MetricSpec(
    name="vpplb_transition_to_status_seconds",
    type="histogram",
    help="Time from a change of state until the API server had the status that shows it.",
    buckets=DELAY_BUCKETS,
)
EVENTS_DROPPED = MetricSpec(
    name="vpplb_events_dropped_total",
    type="counter",
    help="Kubernetes events that were not sent: too many at once, or refused.",
)
LEADER = MetricSpec(
    name="vpplb_leader",
    type="gauge",
    help="1 while this operator is the one that probes and writes.",
)
VPP_CONNECTED = MetricSpec(
    name="vpplb_vpp_connected", type="gauge", help="1 while VPP answers on its API socket."
)
VPP_INFO = MetricSpec(
    name="vpplb_vpp_info",
    type="gauge",
    help="Always 1; its label is the version of the VPP that is connected.",
    labels=("version",),
)
VPP_API_CALLS = MetricSpec(
    name="vpplb_vpp_api_calls_total",
    type="counter",
    help="Messages sent to VPP, by name and by the value it returned (0 is success).",
    labels=("message", "retval"),
)
VPP_LEFTOVERS = MetricSpec(
    name="vpplb_vpp_leftover_clients",
    type="gauge",
    help="Connections of vpplb that VPP has beside the agent's own: left behind by agents that"
    " were killed, or a second agent's. At 16 that were left behind VPP stops forwarding.",
)
SYNC_CHANGES = MetricSpec(
    name="vpplb_sync_changes_total",
    type="counter",
    help="Changes made in VPP, by kind.",
    labels=("kind",),
)
SYNC_DURATION = MetricSpec(
    name="vpplb_sync_duration_seconds",
    type="histogram",
    help="How long it took to bring VPP to what is wanted, once something was to be done.",
    buckets=DELAY_BUCKETS,
)
DRIFT_REPAIRS = MetricSpec(
    name="vpplb_drift_repairs_total",
    type="counter",
    help="Changes that undid what somebody else had changed in VPP.",
)
PROGRAMMED_FRONTENDS = MetricSpec(
    name="vpplb_programmed_frontends",
    type="gauge",
    help="Frontends whose VIP this VPP has as it is wanted.",
)
CONTESTED_PREFIXES = MetricSpec(
    name="vpplb_contested_prefixes",
    type="gauge",
    help="Prefixes that something else keeps changing: repaired ever later, up to each 10 minutes.",
)
STRANGE_VIPS = MetricSpec(
    name="vpplb_strange_vips",
    type="gauge",
    help="VIPs found in VPP that no frontend can have, or that cannot be read back: left alone.",
)
VIP_PACKETS = MetricSpec(
    name="vpplb_vip_packets_total",
    type="counter",
    help="Packets to a VIP as VPP counts them: of an existing session, the first of one,"
    " untracked, or with no server to take them. From 0 again when VPP is restarted or the VIP is"
    " made anew.",
    labels=("namespace", "frontend", "kind"),
)

LOOP_LAG = MetricSpec(
    name="vpplb_loop_lag_seconds",
    type="gauge",
    help="How late the program's event loop came to its work, at worst in the last 30 s.",
)
WATCH_AGE = MetricSpec(
    name="vpplb_watch_age_seconds",
    type="gauge",
    help="Time since the watch of a kind was last answered: up to 30 s for one that lives.",
    labels=("kind",),
)
API_AGE = MetricSpec(
    name="vpplb_api_last_success_seconds",
    type="gauge",
    help="Time since the API server last answered a request that is not a watch.",
)
WRITES_DUE = MetricSpec(
    name="vpplb_status_writes_due",
    type="gauge",
    help="Objects whose status is still to be written.",
)
PROBE_WORKERS = MetricSpec(
    name="vpplb_probe_workers",
    type="gauge",
    help="Probing processes that work.",
)

VITAL_METRICS = (LOOP_LAG, WATCH_AGE, API_AGE, WRITES_DUE, PROBE_WORKERS)
OPERATOR_METRICS = (
    BACKEND_STATE,
    BACKEND_TRANSITIONS,
    PROBES,
    PROBES_DISCARDED,
    PROBE_DURATION,
    PROBE_LATENESS,
    PROBER_SUSPECT,
    FRONTEND_STATE,
    EFFECTIVE_WEIGHT,
    STATUS_WRITES,
    STATUS_MENDED,
    TRANSITION_TO_STATUS,
    EVENTS_DROPPED,
    LEADER,
)
AGENT_METRICS = (
    VPP_CONNECTED,
    VPP_INFO,
    VPP_API_CALLS,
    VPP_LEFTOVERS,
    SYNC_CHANGES,
    SYNC_DURATION,
    DRIFT_REPAIRS,
    CONTESTED_PREFIXES,
    PROGRAMMED_FRONTENDS,
    STRANGE_VIPS,
    VIP_PACKETS,
)


def as_markdown() -> str:
    return "\n".join(
        [
            "# Metrics",
            "",
            "<!-- Generated from vpplb/telemetry/catalog.py: edit that, then run `make docs`. -->",
            "",
            "All programs serve them at `/metrics` of their `--http-address`, next to those of the",
            "process itself (`process_…`). `vpplb standalone` serves both lists.",
            "",
            "## Every program, as far as it applies",
            "",
            *_render_table(VITAL_METRICS),
            "",
            "## Operator",
            "",
            *_render_table(OPERATOR_METRICS),
            "\n## Agent\n",
            *_render_table(AGENT_METRICS),
            "",
        ]
    )


def _render_table(specs: tuple[MetricSpec, ...]) -> list[str]:
    rows = [
        f"| `{spec.name}` | {spec.type} | {', '.join(f'`{label}`' for label in spec.labels)}"
        f" | {spec.help} |"
        for spec in specs
    ]
    return ["| Name | Type | Labels | Meaning |", "| --- | --- | --- | --- |", *rows]


if __name__ == "__main__":
    sys.stdout.write(as_markdown())

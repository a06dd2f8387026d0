"""The catalogue of all metrics: names, types, labels and meaning, declared once.

The metrics are made from it, and so is `docs/metrics.md`, so neither can drift from the other.
"""

from dataclasses import dataclass
from typing import ClassVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from vpplb.reconcile.ports import DURATION_BUCKETS, LATENESS_BUCKETS

# Otherwise every counter has a second series `…_created`, which nobody asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has no type here


@dataclass(frozen=True)
class MetricSpec:
    """A metric: its series as `name{label,…}`, and what it says.

    `make_metric` makes it in a registry, `make_family` for a collector that is read at scrape time.
    """

    series: str
    help: str
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in its unit."""
    type: ClassVar[str]

    @property
    def name(self) -> str:
        return self.series.partition("{")[0]

    @property
    def labels(self) -> tuple[str, ...]:
        labels = self.series.partition("{")[2].rstrip("}")
        return tuple(labels.split(",")) if labels else ()


class CounterSpec(MetricSpec):
    """A counter; its name ends in `_total`."""

    type = "counter"

    def make_metric(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.help, self.labels, registry=registry)

    def make_family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self.name, self.help, labels=self.labels)


class GaugeSpec(MetricSpec):
    """A value that goes up and down."""

    type = "gauge"

    def make_metric(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.help, self.labels, registry=registry)

    def make_family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)


class HistogramSpec(MetricSpec):
    """How many values lie below each of `buckets`, and their sum."""

    type = "histogram"

    def make_metric(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.help, self.labels, buckets=self.buckets, registry=registry)

    def make_family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.help, labels=self.labels)


DELAY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds for what people wait for, in seconds."""

BUILD_INFO = GaugeSpec(
    "vpplb_build_info{program,version,python}",
    "Always 1; its labels are the program (operator, agent, standalone), its version, and that of"
    " its Python.",
)
LOOP_LAG = GaugeSpec(
    "vpplb_loop_lag_seconds",
    "How late the program's event loop came to its work, at worst in the last 30 s.",
)
WATCH_AGE = GaugeSpec(
    "vpplb_watch_age_seconds{kind}",
    "Time since the watch of a kind was last answered: up to 30 s for one that lives.",
)
API_AGE = GaugeSpec(
    "vpplb_api_last_success_seconds",
    "Time since the API server last answered a request that is not a watch.",
)
WRITES_DUE = GaugeSpec(
    "vpplb_status_writes_due", "Objects whose status is still to be written, or gathers for that."
)
WRITE_TOKENS = GaugeSpec(
    "vpplb_status_write_tokens",
    "Statuses that may be written at once by --status-writes-per-second; less than 1: those that no"
    " agent waits for wait.",
)
PROBE_WORKERS = GaugeSpec("vpplb_probe_workers", "Probing processes that work.")
WORKER_LATENESS = GaugeSpec(
    "vpplb_probe_worker_lateness_seconds{worker}",
    "How late a probing process started a probe, or said that it is there, at worst in the last"
    " 30 s.",
)
EVENT_READERS = GaugeSpec("vpplb_event_readers", "Readers of the stream of events.")
STALE_READERS = CounterSpec(
    "vpplb_stale_readers_total{reason}",
    "Readers that did not keep up: of events that are no longer kept, so that they have to read the"
    " lists again (reset), or of an answer of which they took nothing for a minute (timeout).",
)
RELOAD_SUCCESSFUL = GaugeSpec(
    "vpplb_manifests_last_reload_successful",
    "1 while the newest manifests are in force, 0 while they are refused and older ones are"
    " (standalone).",
)
RELOAD_SUCCESS_TIME = GaugeSpec(
    "vpplb_manifests_last_reload_success_timestamp_seconds",
    "Unix time at which manifests last came into force (standalone).",
)
BACKEND_STATE = GaugeSpec(
    "vpplb_backend_state{namespace,backend,state}",
    "Health state of a backend: 1 for the current state, 0 for the others.",
)
BACKEND_SINCE = GaugeSpec(
    "vpplb_backend_last_transition_timestamp_seconds{namespace,backend}",
    "Unix time at which a backend came into its state.",
)
BACKEND_TRANSITIONS = CounterSpec(
    "vpplb_backend_transitions_total{namespace,backend,from,to}",
    "Changes of a backend's health state.",
)
PROBES = CounterSpec(
    "vpplb_probes_total{type,code,result}",
    "Probes by type, by what they found, and by whether they passed (pass, fail).",
)
PROBES_DISCARDED = CounterSpec(
    "vpplb_probes_discarded_total{reason}",
    "Probes that say nothing about the backend, by what the prober itself was short of"
    " (cpu, descriptors, buffers, ports, fault), or its process ended with the probe in hand"
    " (death).",
)
PROBE_DURATION = HistogramSpec(
    "vpplb_probe_duration_seconds{type}",
    "How long probes took, from their start to their result.",
    buckets=DURATION_BUCKETS,
)
PROBE_LATENESS = HistogramSpec(
    "vpplb_probe_lateness_seconds",
    "How much later than scheduled probes started.",
    buckets=LATENESS_BUCKETS,
)
PROBER_SUSPECT = GaugeSpec(
    "vpplb_prober_suspect",
    "1 while so many backends fell silent at once that the prober itself is suspected"
    " and effective weights stay as they were.",
)
FRONTEND_STATE = GaugeSpec(
    "vpplb_frontend_state{namespace,frontend,state}",
    "State of a frontend: 1 for the current state, 0 for the others.",
)
POOL_ACTIVE = GaugeSpec(
    "vpplb_frontend_pool_active{namespace,frontend,pool,position}",
    "1 for the pool that takes a frontend's new flows, 0 for the others; its first pool has the"
    " position 1.",
)
FRONTEND_BACKENDS = GaugeSpec(
    "vpplb_frontend_backends{namespace,frontend,state}",
    "Backends of a frontend by their state, each once, however many pools it is in.",
)
FRONTEND_DEGRADED = GaugeSpec(
    "vpplb_frontend_degraded{namespace,frontend,reason}",
    "Is 1 for each reason (of the condition `Degraded`) for which a frontend does not serve as it"
    " should; absent where there is none.",
)
LAST_DECISION = GaugeSpec(
    "vpplb_last_decision_timestamp_seconds",
    "Unix time at which something was last decided; absent until then, as on an operator that"
    " stands by.",
)
EFFECTIVE_WEIGHT = GaugeSpec(
    "vpplb_frontend_backend_effective_weight{namespace,frontend,pool,backend}",
    "Weight with which a backend takes new flows of a frontend at present.",
)
STATUS_WRITES = CounterSpec(
    "vpplb_status_writes_total{kind,result}", "Status writes by kind of object and how they ended."
)
STATUS_MENDED = CounterSpec(
    "vpplb_status_mended_total{kind}",
    "Statuses that somebody else wrote and that were put right, by kind of object.",
)
TRANSITION_TO_STATUS = HistogramSpec(
    "vpplb_transition_to_status_seconds",
    "Time from a change of state until the API server had the status that shows it.",
    buckets=DELAY_BUCKETS,
)
ROAD_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
DECISION_TO_VPP = HistogramSpec(
    "vpplb_decision_to_vpp_seconds{road}",
    "Time from a decision until the operator heard that a node's VPP has it, by the road on which"
    " it heard that: direct, or the status of the node's Dataplane.",
    buckets=ROAD_BUCKETS,
)
DIRECT_AGENTS = GaugeSpec("vpplb_direct_agents", "Agents that are connected by the direct road.")
DIRECT_BEHIND = GaugeSpec(
    "vpplb_direct_agents_behind",
    "Agents that have not taken yet all that they are to be sent by the direct road.",
)
DIRECT_MESSAGES = CounterSpec(
    "vpplb_direct_messages_total{direction}",
    "Messages on the direct road: sent to agents, and heard of them (out, in).",
)
DIRECT_AGE = GaugeSpec(
    "vpplb_direct_message_age_seconds",
    "Time since any agent said something on the direct road; absent until one has.",
)
DIRECT_REFUSED = CounterSpec(
    "vpplb_direct_refused_total{reason}",
    "Connections of the direct road that were refused or ended for what they did or sent, by"
    " reason: no TLS (handshake), no request in time (slow), too many that wait (crowded), another"
    " path (not_found), no good token (token) or none that can be verified now (unverified), too"
    " many agents (full), no websocket of ours (protocol), what makes no sense (garbage), is too"
    " long (oversized), or silence (silent).",
)
EVENTS_DROPPED = CounterSpec(
    "vpplb_events_dropped_total",
    "Kubernetes events that were not sent: too many at once, or refused.",
)
LEADER = GaugeSpec("vpplb_leader", "1 while this operator is the one that probes and writes.")
AGENT_GONE = GaugeSpec(
    "vpplb_agent_gone{agent}",
    "1 while the agent of a node counts as gone, its lease having run out, 0 for those that are"
    " there.",
)
VPP_CONNECTED = GaugeSpec("vpplb_vpp_connected", "1 while VPP answers on its API socket.")
VPP_INFO = GaugeSpec(
    "vpplb_vpp_info{version}", "Always 1; its label is the version of the VPP that is connected."
)
VPP_API_CALLS = CounterSpec(
    "vpplb_vpp_api_calls_total{message,retval}",
    "Messages sent to VPP, by name and by the value it returned (0 is success).",
)
VPP_LEFTOVERS = GaugeSpec(
    "vpplb_vpp_leftover_clients",
    "Connections of vpplb that VPP has beside the agent's own: left behind by agents that"
    " were killed, or a second agent's. At 16 that were left behind VPP stops forwarding.",
)
SYNC_CHANGES = CounterSpec("vpplb_sync_changes_total{kind}", "Changes made in VPP, by kind.")
SYNC_DURATION = HistogramSpec(
    "vpplb_sync_duration_seconds",
    "How long it took to bring VPP to what is wanted, once something was to be done.",
    buckets=DELAY_BUCKETS,
)
DRIFT_REPAIRS = CounterSpec(
    "vpplb_drift_repairs_total", "Changes that undid what somebody else had changed in VPP."
)
CONTESTED_PREFIXES = GaugeSpec(
    "vpplb_contested_prefixes",
    "Prefixes that something else keeps changing: repaired ever later, up to each 10 minutes.",
)
PROGRAMMED_FRONTENDS = GaugeSpec(
    "vpplb_programmed_frontends", "Frontends whose VIP this VPP has as it is wanted."
)
UNPROGRAMMED_FRONTENDS = GaugeSpec(
    "vpplb_unprogrammed_frontends",
    "Frontends whose VIP this VPP should have, and has not, or not as it is wanted.",
)
LAST_DECISION_TAKEN = GaugeSpec(
    "vpplb_last_decision_taken_timestamp_seconds",
    "Unix time at which an agent last heard a decision that was news, by either road; absent until"
    " then.",
)
TOKEN_ISSUED = GaugeSpec(
    "vpplb_direct_token_issued_timestamp_seconds",
    "Unix time at which the token was made by which an agent proves who it is on the direct road.",
)
TOKEN_EXPIRY = GaugeSpec(
    "vpplb_direct_token_expiry_timestamp_seconds",
    "Unix time at which that token ends; the kubelet renews it long before.",
)
STRANGE_VIPS = GaugeSpec(
    "vpplb_strange_vips",
    "VIPs found in VPP that no frontend can have, or that cannot be read back: left alone.",
)
OPERATOR_HEARD = GaugeSpec(
    "vpplb_operator_heard",
    "1 while an operator is at work, heard directly or by the lease that it renews; 0 while nobody"
    " probes, or the direct road is lost.",
)
DIRECT_LED = GaugeSpec(
    "vpplb_direct_led",
    "1 while decisions come directly from a leader, 0 while they come by the API server alone.",
)
OPERATOR_CONNECTED = GaugeSpec(
    "vpplb_direct_operator_connected{operator}",
    "1 while an operator is connected by the direct road, 0 for others that are known.",
)
OPERATOR_MESSAGES = CounterSpec(
    "vpplb_direct_operator_messages_total{operator}", "Messages that an operator has sent directly."
)
OPERATOR_AGE = GaugeSpec(
    "vpplb_direct_operator_message_age_seconds{operator}",
    "Time since an operator's last message: long where nothing is decided.",
)
VIP_PACKETS = CounterSpec(
    "vpplb_vip_packets_total{namespace,frontend,kind}",
    "Packets to a VIP as VPP counts them: of an existing session, the first of one,"
    " untracked, or with no server to take them. From 0 again when VPP is restarted or the VIP is"
    " made anew.",
)
MONITOR_PROBES = CounterSpec(
    "vpplb_monitor_probes_total{vip,result}",
    "Probes of a VIP from outside, by how they ended: passed, refused, reset, timeout, unreachable,"
    " tls, or unexpected (another answer than is right).",
)
MONITOR_DURATION = HistogramSpec(
    "vpplb_monitor_duration_seconds{vip}",
    "How long the probes took that passed, and how long skipped ones would have waited for the same"
    " answer.",
    buckets=DURATION_BUCKETS,
)
MONITOR_UNPROBED = CounterSpec(
    "vpplb_monitor_unprobed_total{vip,reason}",
    "Turns without a probe: the one before was in flight (skipped), the monitor came too late"
    " (late), or lacked something (cpu, descriptors, buffers, ports).",
)
MONITOR_ANSWERS = CounterSpec(
    "vpplb_monitor_answers_total{vip,server}", "Answers by the server that named itself in them."
)
MONITOR_SPELLS = CounterSpec(
    "vpplb_monitor_spells_total{vip}", "Spells of failures that have begun."
)
MONITOR_FAILING = GaugeSpec(
    "vpplb_monitor_failing{vip}", "1 while a VIP fails, until it has not for a second."
)

VITAL_METRICS = (
    BUILD_INFO,
    LOOP_LAG,
    WATCH_AGE,
    API_AGE,
    WRITES_DUE,
    WRITE_TOKENS,
    PROBE_WORKERS,
    WORKER_LATENESS,
    EVENT_READERS,
    STALE_READERS,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS_TIME,
)
DECISION_METRICS = (
    BACKEND_STATE,
    BACKEND_SINCE,
    BACKEND_TRANSITIONS,
    PROBES,
    PROBES_DISCARDED,
    PROBE_DURATION,
    PROBE_LATENESS,
    PROBER_SUSPECT,
    FRONTEND_STATE,
    FRONTEND_DEGRADED,
    FRONTEND_BACKENDS,
    POOL_ACTIVE,
    EFFECTIVE_WEIGHT,
    LAST_DECISION,
)
OPERATOR_METRICS = (
    LEADER,
    AGENT_GONE,
    STATUS_WRITES,
    STATUS_MENDED,
    TRANSITION_TO_STATUS,
    DECISION_TO_VPP,
    DIRECT_AGENTS,
    DIRECT_BEHIND,
    DIRECT_MESSAGES,
    DIRECT_AGE,
    DIRECT_REFUSED,
    EVENTS_DROPPED,
)
VPP_METRICS = (
    VPP_CONNECTED,
    VPP_INFO,
    VPP_API_CALLS,
    VPP_LEFTOVERS,
    SYNC_CHANGES,
    SYNC_DURATION,
    DRIFT_REPAIRS,
    CONTESTED_PREFIXES,
    PROGRAMMED_FRONTENDS,
    UNPROGRAMMED_FRONTENDS,
    STRANGE_VIPS,
    VIP_PACKETS,
)
AGENT_METRICS = (
    OPERATOR_HEARD,
    LAST_DECISION_TAKEN,
    TOKEN_ISSUED,
    TOKEN_EXPIRY,
    DIRECT_LED,
    OPERATOR_CONNECTED,
    OPERATOR_MESSAGES,
    OPERATOR_AGE,
)
MONITOR_METRICS = (
    MONITOR_PROBES,
    MONITOR_DURATION,
    MONITOR_UNPROBED,
    MONITOR_ANSWERS,
    MONITOR_SPELLS,
    MONITOR_FAILING,
)
METRICS = (
    *VITAL_METRICS,
    *DECISION_METRICS,
    *OPERATOR_METRICS,
    *VPP_METRICS,
    *AGENT_METRICS,
    *MONITOR_METRICS,
)

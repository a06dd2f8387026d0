"""The dashboards for Grafana: titles, queries and units. Where panels lie follows from the order.

`make chart` writes them as Grafana reads them (`charts/write_dashboards.py`). Queries ask for
series that programs serve, not for recorded ones, so they need no rules.
"""

from dataclasses import dataclass

CHOSEN = 'namespace=~"$namespace",frontend=~"$frontend"'
"""The frontends that are chosen above a dashboard."""
RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardQuery:
    """What a panel asks, and how each series is called: `{{label}}` stands for a label."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardPanel:
    """A panel: `kind` is `stat`, `timeseries` or `table`; `unit` is one of Grafana's.

    `bad_from`: the value from which it is shown as bad.
    """

    title: str
    about: str
    queries: tuple[DashboardQuery, ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    bad_from: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardRow:
    """A heading, and the panels below it."""

    title: str
    panels: tuple[DashboardPanel, ...]


def ask(expr: str, legend: str = "") -> tuple[DashboardQuery, ...]:
    """Return one query, as a panel has it."""
    return (DashboardQuery(expr=expr, legend=legend),)


def quantiles(metric: str, *by: str) -> tuple[DashboardQuery, ...]:
    """Return the median and the 99th percentile of a histogram."""
    labels = ", ".join((*by, "le"))
    named = " ".join(f"{{{{{label}}}}}" for label in by)
    return tuple(
        DashboardQuery(
            expr=f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[{RATE}])))",
            legend=f"{named} p{share * 100:g}".strip(),
        )
        for share in (0.5, 0.99)
    )


def stat(title: str, about: str, expr: str, bad_from: float | None = 1) -> DashboardPanel:
    """Return one number. Of what nothing is read there is none: 0 would be a lie."""
    return DashboardPanel(
        title=title,
        about=about,
        queries=ask(expr),
        kind="stat",
        width=4,
        height=4,
        bad_from=bad_from,
    )


# --- frontends ----------------------------------------------------------------------------------

FRONTENDS = (
    DashboardRow(
        title="What is wrong",
        panels=(
            stat(
                "Down",
                "Frontends of which no server takes flows.",
                "sum(max by (namespace, frontend)"
                f' (vpplb_frontend_state{{{CHOSEN},state="down"}}))',
            ),
            stat(
                "Unknown",
                "Frontends of which nothing is known.",
                "sum(max by (namespace, frontend)"
                f' (vpplb_frontend_state{{{CHOSEN},state="unknown"}}))',
            ),
            stat(
                "On a later pool",
                "Frontends that are not served by their first pool.",
                "sum(max by (namespace, frontend)"
                f' (vpplb_frontend_pool_active{{{CHOSEN},position!="1"}}'
                f" or 0 * vpplb_frontend_pool_active{{{CHOSEN}}}))",
            ),
            stat(
                "Up",
                "Frontends that are served.",
                f'sum(max by (namespace, frontend) (vpplb_frontend_state{{{CHOSEN},state="up"}}))',
                bad_from=None,
            ),
            stat(
                "Prober suspected",
                "1 while weights stay as they were, since the prober may be blind.",
                "max(vpplb_prober_suspect)",
            ),
            stat(
                "Leaders",
                "Operators that lead: one for each release. Routers have none.",
                "sum(vpplb_leader)",
                bad_from=None,
            ),
            DashboardPanel(
                title="Alerts",
                about="Alerts of vpplb that fire, as Prometheus has them.",
                queries=ask('ALERTS{alertname=~"Vpplb.+",alertstate="firing"}'),
                kind="table",
            ),
            DashboardPanel(
                title="Frontends that are not up",
                about="Those that are chosen above, with their states.",
                queries=ask(
                    "max by (namespace, frontend, state)"
                    f' (vpplb_frontend_state{{{CHOSEN},state!="up"}}) == 1'
                ),
                kind="table",
            ),
            DashboardPanel(
                title="Frontends that are degraded",
                about="Those that are chosen above, with the reasons of their condition.",
                queries=ask(
                    "max by (namespace, frontend, reason)"
                    f" (vpplb_frontend_degraded{{{CHOSEN}}}) == 1"
                ),
                kind="table",
            ),
        ),
    ),
    DashboardRow(
        title="Backends",
        panels=(
            DashboardPanel(
                title="Backends by state",
                about="Each as often as there are frontends that have it.",
                queries=ask(
                    "sum by (state) (max by (namespace, frontend, state)"
                    f" (vpplb_frontend_backends{{{CHOSEN}}}))",
                    "{{state}}",
                ),
            ),
            DashboardPanel(
                title="Transitions",
                about="Changes of backends' states, in each interval.",
                queries=ask(
                    "sum by (to) (increase(vpplb_backend_transitions_total"
                    f'{{namespace=~"$namespace"}}[{RATE}]))',
                    "to {{to}}",
                ),
            ),
            DashboardPanel(
                title="Last to change",
                about="The twenty backends that have changed last.",
                queries=ask(
                    "topk(20, max by (namespace, backend)"
                    ' (vpplb_backend_last_transition_timestamp_seconds{namespace=~"$namespace"}))'
                    " * 1000"
                ),
                kind="table",
                unit="dateTimeAsIso",
            ),
        ),
    ),
    DashboardRow(
        title="Traffic",
        panels=(
            DashboardPanel(
                title="Packets by what became of them",
                about="As VPP counts them; no_server are dropped.",
                queries=ask(
                    f"sum by (kind) (rate(vpplb_vip_packets_total{{{CHOSEN}}}[{RATE}]))", "{{kind}}"
                ),
                unit="pps",
            ),
            DashboardPanel(
                title="Packets by frontend",
                about="The twenty frontends with the most.",
                queries=ask(
                    "topk(20, sum by (namespace, frontend)"
                    f" (rate(vpplb_vip_packets_total{{{CHOSEN}}}[{RATE}])))",
                    "{{namespace}}/{{frontend}}",
                ),
                unit="pps",
            ),
            DashboardPanel(
                title="Effective weights",
                about="Thirty at most: choose a frontend above.",
                queries=ask(
                    "topk(30, max by (namespace, frontend, pool, backend)"
                    f" (vpplb_frontend_backend_effective_weight{{{CHOSEN}}}))",
                    "{{frontend}} {{pool}} {{backend}}",
                ),
            ),
        ),
    ),
)

# --- nodes and probing --------------------------------------------------------------------------

NODES = (
    DashboardRow(
        title="What is wrong",
        panels=(
            stat(
                "VPPs not connected",
                "VPPs that do not answer their agent.",
                "sum(1 - vpplb_vpp_connected)",
            ),
            stat(
                "Agents gone",
                "Nodes whose agent's lease has run out.",
                "sum(max by (namespace, agent) (vpplb_agent_gone))",
            ),
            stat(
                "Not programmed",
                "Frontends that VPPs lack, of all nodes together.",
                "sum(vpplb_unprogrammed_frontends)",
            ),
            stat(
                "Not led directly",
                "Agents to which decisions come by the API server alone.",
                "sum(1 - vpplb_direct_led)",
            ),
            stat(
                "Contested prefixes",
                "What something else keeps changing.",
                "sum(vpplb_contested_prefixes)",
            ),
            stat(
                "Manifests refused",
                "Routers that go on with older manifests.",
                "sum(1 - vpplb_manifests_last_reload_successful)",
            ),
            DashboardPanel(
                title="Programs",
                about="What runs, in which version.",
                queries=ask("vpplb_build_info"),
                kind="table",
                width=12,
            ),
            DashboardPanel(
                title="VPPs",
                about="Versions of the VPPs that are connected.",
                queries=ask("vpplb_vpp_info"),
                kind="table",
                width=12,
            ),
        ),
    ),
    DashboardRow(
        title="From the decision to VPP",
        panels=(
            DashboardPanel(
                title="Until VPP has a decision",
                about="By the road on which the operator heard that it has.",
                queries=quantiles("vpplb_decision_to_vpp_seconds", "road"),
                unit="s",
            ),
            DashboardPanel(
                title="Until VPP is as wanted",
                about="From when a VPP had something to be changed.",
                queries=quantiles("vpplb_sync_duration_seconds"),
                unit="s",
            ),
            DashboardPanel(
                title="Calls that VPP refused",
                about="By message and by what it returned.",
                queries=ask(
                    "sum by (message, retval)"
                    f' (rate(vpplb_vpp_api_calls_total{{retval!="0"}}[{RATE}]))',
                    "{{message}} {{retval}}",
                ),
                unit="ops",
            ),
            DashboardPanel(
                title="Frontends not programmed, by node",
                about="What each VPP lacks.",
                queries=ask("vpplb_unprogrammed_frontends", "{{node}} {{instance}}"),
            ),
            DashboardPanel(
                title="Changes made in VPP",
                about="By kind; drift is what undid changes of somebody else.",
                queries=(
                    *ask(f"sum by (kind) (rate(vpplb_sync_changes_total[{RATE}]))", "{{kind}}"),
                    *ask(f"sum(rate(vpplb_drift_repairs_total[{RATE}]))", "drift"),
                ),
                unit="ops",
            ),
            DashboardPanel(
                title="Age of decisions",
                about="Since something was last decided, and since nodes heard news: long where"
                " nothing changes, and then the same.",
                queries=(
                    *ask("time() - max(vpplb_last_decision_timestamp_seconds)", "decided"),
                    *ask(
                        "time() - vpplb_last_decision_taken_timestamp_seconds",
                        "{{node}} {{instance}}",
                    ),
                ),
                unit="s",
            ),
        ),
    ),
    DashboardRow(
        title="Probing",
        panels=(
            DashboardPanel(
                title="Probes",
                about="By type, and by whether they passed.",
                queries=ask(
                    f"sum by (type, result) (rate(vpplb_probes_total[{RATE}]))",
                    "{{type}} {{result}}",
                ),
                unit="ops",
            ),
            DashboardPanel(
                title="How long probes take",
                about="By type.",
                queries=quantiles("vpplb_probe_duration_seconds", "type"),
                unit="s",
            ),
            DashboardPanel(
                title="How late probes start",
                about="The worst of half a minute, by probing process.",
                queries=ask(
                    "vpplb_probe_worker_lateness_seconds", "{{instance}} process {{worker}}"
                ),
                unit="s",
                bad_from=0.5,
            ),
            DashboardPanel(
                title="Failures by what was found",
                about="In HAProxy's codes.",
                queries=ask(
                    f'sum by (code) (rate(vpplb_probes_total{{result="fail"}}[{RATE}]))', "{{code}}"
                ),
                unit="ops",
            ),
            DashboardPanel(
                title="Probes discarded",
                about="By what the prober itself was short of.",
                queries=ask(
                    f"sum by (reason) (rate(vpplb_probes_discarded_total[{RATE}]))", "{{reason}}"
                ),
                unit="ops",
            ),
            DashboardPanel(
                title="Lateness of the event loop",
                about="Of each program.",
                queries=ask("vpplb_loop_lag_seconds", "{{instance}}"),
                unit="s",
                bad_from=1,
            ),
        ),
    ),
    DashboardRow(
        title="The API server, and the programs",
        panels=(
            DashboardPanel(
                title="Status writes",
                about="By how they ended; and those that wait.",
                queries=(
                    *ask(
                        f"sum by (result) (rate(vpplb_status_writes_total[{RATE}]))", "{{result}}"
                    ),
                    *ask("sum(vpplb_status_writes_due)", "due"),
                ),
                unit="ops",
            ),
            DashboardPanel(
                title="Since the API server answered",
                about="Requests, and the watch that is the oldest.",
                queries=(
                    *ask("vpplb_api_last_success_seconds", "{{instance}} requests"),
                    *ask("max by (instance) (vpplb_watch_age_seconds)", "{{instance}} watch"),
                ),
                unit="s",
            ),
            DashboardPanel(
                title="Memory",
                about="Resident, of each program.",
                queries=ask(
                    "process_resident_memory_bytes * on (job, instance) group_left (program)"
                    " vpplb_build_info",
                    "{{program}} {{instance}}",
                ),
                unit="bytes",
            ),
        ),
    ),
)

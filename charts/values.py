"""The values of the chart: the one source of values.yaml, its schema, and the README's table.

`make chart` writes these three (`charts/write_values.py`). A field's description is what users
read, its default is the chart's, and what pydantic checks of it, helm checks too. Fields of a class
stand before those that it inherits.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

KubernetesObject = dict[str, Any]
StringMap = dict[str, str]
LogLevel = Literal["debug", "info", "warning", "error"]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
NodePath = Annotated[str, Field(pattern="^/")]
FileName = Annotated[str, Field(pattern="^[^/]+$")]
NamespaceName = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
NodeCount = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern="^[0-9]+%$")]
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"({_OCTET}\.){{3}}{_OCTET}"
_IPV4_BITS = "/(3[0-2]|[12]?[0-9])"
_GROUP = "[0-9a-fA-F]{1,4}"
# Eight groups; or fewer, on one side of a `::`, on the other, or on both (seven in all at most).
_IPV6 = "|".join(
    (
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        f":(:{_GROUP}){{1,7}}",
        "::",
        *(f"({_GROUP}:){{1,{left}}}(:{_GROUP}){{1,{7 - left}}}" for left in range(1, 7)),
    )
)
_IPV6_BITS = "/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"
AddressBlock = Annotated[str, Field(pattern=f"^({_IPV4}{_IPV4_BITS}|({_IPV6}){_IPV6_BITS})$")]
AddressOrBlock = Annotated[
    str, Field(pattern=f"^({_IPV4}({_IPV4_BITS})?|({_IPV6})({_IPV6_BITS})?)$")
]
PromDuration = Annotated[str, Field(pattern="^([0-9]+(ms|s|m|h))*$")]
UNIQUE: JsonDict = {"uniqueItems": True}


class ChartModel(BaseModel):
    """A part of the values, described by its docstring: a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class ImageValues(ChartModel):
    """The image of both programs."""

    repository: str = Field(default="vpplb", min_length=1, description="Where the image is.")
    tag: str = Field(default="", description="Empty: the chart's appVersion.")
    digest: str = Field(
        default="",
        pattern="^(sha256:[0-9a-f]{64})?$",
        description="Digest, such as sha256:…, which counts where it is given, whatever the tag.",
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When the kubelet pulls it."
    )


class CrdValues(ChartModel):
    """The CustomResourceDefinitions, which the whole cluster shares."""

    enabled: bool = Field(
        default=True,
        description="Install and upgrade them with this release. Of several releases in a cluster"
        " one does.",
    )
    keep: bool = Field(
        default=True,
        description="Leave them where they are when the release goes. Without them every Frontend,"
        " Backend, HealthCheck and Dataplane is deleted too, of all releases.",
    )


class NamespaceLabels(ChartModel):
    """Namespaces that have all of these labels; without any: all namespaces."""

    match_labels: StringMap = Field(default={}, description="The labels.")


class AddressClaim(ChartModel):
    """Addresses, and the namespaces that they are for: by name, or by labels."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["namespaces"]}, {"required": ["namespaceSelector"]}]
        }
    )

    addresses: Annotated[list[AddressOrBlock], Field(min_length=1)]
    namespaces: Annotated[list[NamespaceName], Field(min_length=1)] | None = None
    namespace_selector: NamespaceLabels | None = None


class DirectValues(ChartModel):
    """The direct road: agents keep a connection to each operator.

    By it decisions reach VPP without the API server, also while that is away.
    """

    enabled: bool = Field(
        default=True, description="Without it agents go by the Frontends' status alone."
    )
    token_seconds: int = Field(
        default=86400,
        ge=600,
        le=4294967296,
        description="For how long a token lasts by which an agent proves who it is. The kubelet"
        " renews it after four fifths of that, and after a day at the latest, but not while the API"
        " server is away: what is left then is how long an agent can still connect anew. An API"
        " server may allow less.",
    )


class TraceHeaders(ChartModel):
    """A Secret of the release's namespace with headers for the collector."""

    name: str = Field(default="", description="Its name; empty: there are no headers.")
    key: str = Field(
        default="headers",
        min_length=1,
        description="The key in it that has them, as name=value,other=value; what values have of"
        " commas and the like is percent-encoded.",
    )


class TracesValues(ChartModel):
    """Traces of failovers by OpenTelemetry, of both programs.

    Further settings are the environment variables of OpenTelemetry, by `extraEnv`.
    """

    endpoint: str = Field(
        default="",
        pattern="^(https?://.+)?$",
        description="URL of a collector that takes OTLP by HTTP, such as http://collector:4318;"
        " empty: nothing is traced, and costs nothing.",
    )
    headers_secret: TraceHeaders = TraceHeaders()
    sampling: float = Field(
        default=1, ge=0, le=1, description="Share of failovers that are traced, from 0 to 1."
    )


class ServiceAccountValues(ChartModel):
    """A program's ServiceAccount."""

    create: bool = Field(
        default=True, description="Make it; else it is there, and `name` names it."
    )
    name: str = Field(default="", description="Its name; empty: the Deployment's or DaemonSet's.")
    annotations: StringMap = Field(default={}, description="Its annotations.")


class ProgramValues(ChartModel):
    """What the values of both programs share."""

    log_level: LogLevel = Field(default="info", description="Least severe lines to log.")
    extra_args: list[str] = Field(
        default=[], description="Further flags of the program (see its `--help`)."
    )
    extra_env: list[KubernetesObject] = Field(
        default=[], description="Environment variables, as a list of name and value."
    )
    host_network: bool = Field(
        default=False,
        description="Use the node's own network instead of a pod's; the ports must then be free on"
        " the nodes.",
    )
    service_account: ServiceAccountValues = ServiceAccountValues()
    extra_volumes: list[KubernetesObject] = Field(
        default=[], description="Further volumes of the pod."
    )
    extra_volume_mounts: list[KubernetesObject] = Field(
        default=[], description="Where the container has them."
    )
    node_selector: StringMap = Field(default={}, description="Labels of the nodes that may run it.")
    affinity: KubernetesObject = Field(default={}, description="Affinity of its pods.")
    pod_labels: StringMap = Field(default={}, description="Further labels of its pods.")
    pod_annotations: StringMap = Field(default={}, description="Annotations of its pods.")


class OperatorValues(ProgramValues):
    """The operator decides: it probes the backends and writes statuses."""

    replicas: int = Field(
        default=2,
        ge=1,
        description="One leads, the others stand by and take over when it goes.",
    )
    allow_loopback: bool = Field(
        default=False,
        description="Accept VIPs and servers on loopback addresses, for trials on one machine.",
    )
    allow_nat: bool = Field(
        default=False,
        description="Accept VIPs by NAT4 and NAT6, in spite of what VPP gets wrong"
        " (docs/router.md).",
    )
    headers_from_secrets: bool = Field(
        default=False,
        description="Let HealthChecks take values of headers from Secrets of their namespace."
        " Whoever may write HealthChecks can then have any value of these Secrets sent to any"
        " address.",
    )
    raw_sockets: bool = Field(
        default=False,
        description="Send ICMP probes by raw sockets: the operator is root then, with the"
        " capability NET_RAW and no other, which Pod Security `baseline` refuses. Wanted with"
        " hostNetwork alone, on nodes whose net.ipv4.ping_group_range allows no ping sockets.",
    )
    probe_allow: list[AddressOrBlock] = Field(
        default=[],
        json_schema_extra=UNIQUE,
        description="Where probes may go, such as [10.0.0.0/8], and nowhere else; empty: everywhere"
        " but where they are denied. The most specific prefix that holds an address decides. A"
        " prefix with host bits, such as 10.0.0.1/8, is refused by the operator. Prefixes of IPv4"
        " alone deny IPv6 whole, and the other way round.",
    )
    probe_deny: list[AddressOrBlock] = Field(
        default=[],
        json_schema_extra=UNIQUE,
        description="Where probes may not go, besides link-local addresses, loopback, and those by"
        " which clouds tell a machine its credentials. A prefix with host"
        " bits is refused by the operator.",
    )
    election_namespace: str = Field(
        default="kube-system",
        min_length=1,
        description="Namespace of the lease `vpplb-operator`, by which all operators of a cluster"
        " agree who serves which namespaces: the same for every release.",
    )
    retire: bool = Field(
        default=True,
        description="Once the release is uninstalled, a Job lets the statuses of what it served say"
        " that nobody probes any more, and since when (`vpplb retire`); helm waits for it, two"
        " minutes at most.",
    )
    status_writes_per_second: int = Field(
        default=250,
        ge=0,
        description="Statuses written in a second, at most, in the long run: what they may cost the"
        " API server, at 3 to 8 ms of its CPU each. 0: as many as there are.",
    )
    http_port: PortNumber = Field(
        default=9091, description="Port of metrics, health and the dashboard."
    )
    direct_port: PortNumber = Field(default=9443, description="Port that agents connect to (TLS).")
    resources: KubernetesObject = Field(
        default={"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        description="What a pod may use.",
    )
    tolerations: list[KubernetesObject] = Field(
        default=[], description="Taints that it may ignore."
    )
    priority_class_name: str = Field(default="", description="How important its pods are.")


class VppValues(ChartModel):
    """Where VPP's sockets are on a node."""

    run_dir: NodePath = Field(default="/run/vpp", description="The folder with them.")
    api_socket: FileName = Field(default="api.sock", description="Name of the binary API's.")
    stats_socket: FileName = Field(
        default="stats.sock",
        description="Name of the stats segment's, which has the packets of each VIP.",
    )


class AgentValues(ProgramValues):
    """The agent programs VPP, one on each node that has one."""

    enabled: bool = Field(default=True, description="Run agents.")
    http_port: PortNumber = Field(default=9091, description="Port of metrics and health.")
    vpp: VppValues = VppValues()
    state_dir: NodePath = Field(
        default="/var/lib/vpplb", description="The folder on the node for the agent's state file."
    )
    pod_security_context: KubernetesObject = Field(
        default={"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        description="VPP's sockets belong to root and the group of VPP's `unix { gid … }`. As"
        " another user than root the agent must be of that group (supplementalGroups), and stateDir"
        " must be its own.",
    )
    resources: KubernetesObject = Field(
        default={"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        description="What a pod may use.",
    )
    tolerations: list[KubernetesObject] = Field(
        default=[{"operator": "Exists"}],
        description="Taints that it may ignore: load balancers are often on tainted nodes of their"
        " own.",
    )
    max_unavailable: NodeCount = Field(
        default=1, description="Nodes whose agents are replaced at once: VPP forwards meanwhile."
    )
    priority_class_name: str = Field(
        default="system-node-critical",
        description="How important its pods are, and the simulator's.",
    )
    own_node_only: bool = Field(
        default=True,
        description="Let an agent write the lease and the Dataplane of its own node alone: a"
        " ValidatingAdmissionPolicy, which needs that tokens of pods name the node, as they do by"
        " default.",
    )
    mark_stale: bool = Field(
        default=True,
        description="Where no operator is left, agents let the statuses of what their nodes carry"
        " say so. It needs `ownNodeOnly`, whose policy allows them that mark and nothing else.",
    )


class NetworkPolicyValues(ChartModel):
    """Let nothing into the pods but what they are for.

    Where they are on the nodes' own network, most network plugins apply no policy to them.
    """

    enabled: bool = Field(default=False, description="Make the policies.")
    http_from: list[KubernetesObject] = Field(
        default=[],
        description="Who may read metrics, health and the dashboard, as a list of"
        " NetworkPolicyPeers; empty: anybody. The kubelet's probes come from the node, which"
        " network plugins let in.",
    )
    node_blocks: list[AddressBlock] = Field(
        default=[],
        json_schema_extra=UNIQUE,
        description="Addresses of the nodes, such as [10.0.0.0/16]: where agents are on the nodes'"
        " own network they come from there, and no policy can tell them by their labels. Empty:"
        " from anywhere (a certificate and a token say who is who all the same).",
    )


class HttpValues(ChartModel):
    """Who may read the HTTP servers of both programs, and who may act there.

    By default they are plain HTTP, anybody reads, and nobody can act.
    """

    tls_secret: str = Field(
        default="",
        description="Secret of type kubernetes.io/tls in the release's namespace, such as"
        " cert-manager keeps: HTTPS with it. One that is renewed is taken without a restart.",
    )
    agent_tls_secret: str = Field(
        default="",
        description="The same for agents, if not tlsSecret itself: a node that is taken over has"
        " the key of its agent, and should not have that of the page where people sign in.",
    )
    auth: Literal["none", "kubernetes"] = Field(
        default="none",
        description="Who may read all but health: anybody, or (kubernetes) whoever may list"
        " Frontends in the cluster, and get `/metrics` of it, by a bearer token; needs tlsSecret.",
    )
    actions: bool = Field(
        default=False,
        description="Let people act from the dashboard, with the rights of the token that they sign"
        " in with. It is taken over TLS, or through `kubectl port-forward`.",
    )


class MetricsServiceValues(ChartModel):
    """A headless Service for each program; a ServiceMonitor makes them anyway."""

    enabled: bool = Field(default=False, description="Make them.")
    annotations: StringMap = Field(default={}, description="Their annotations.")


class MonitorValues(ChartModel):
    """How the Prometheus operator is told of the programs."""

    enabled: bool = Field(default=False, description="Make one for each program.")
    labels: StringMap = Field(
        default={}, description="Further labels, by which a Prometheus chooses what it reads."
    )
    interval: PromDuration = Field(
        default="", description="How often, such as 30s; empty: as always."
    )
    scrape_timeout: PromDuration = Field(default="", description="For how long; empty: as always.")
    relabelings: list[KubernetesObject] = Field(
        default=[], description="Further rules before reading. The label `node` is set already."
    )
    metric_relabelings: list[KubernetesObject] = Field(
        default=[], description="Rules for what was read."
    )
    tls_config: KubernetesObject = Field(
        default={},
        description="How a certificate is verified, with http.tlsSecret; empty: by `ca.crt` of that"
        " Secret, for the name NAME.NAMESPACE.svc of a program's Service.",
    )
    authorization: KubernetesObject = Field(
        default={},
        description="Who reads, with http.auth; empty: the Prometheus' own token, which a"
        " ServiceMonitor alone can say.",
    )


class PodMonitorValues(MonitorValues):
    """PodMonitors of the Prometheus operator, which need no Service."""


class ServiceMonitorValues(MonitorValues):
    """ServiceMonitors of the Prometheus operator, instead."""


class RulesValues(ChartModel):
    """Alerts, as a PrometheusRule of the Prometheus operator.

    They are about all releases, so of several in a cluster one makes it.
    """

    enabled: bool = Field(default=False, description="Make it.")
    labels: StringMap = Field(
        default={}, description="Further labels, by which a Prometheus chooses its rules."
    )
    annotations: StringMap = Field(default={}, description="Its annotations.")
    runbook_url: str = Field(
        default="https://vpplb.dev/runbooks",
        pattern="^https?://.*[^/]$",
        description="Where the runbooks are: the folder `runbooks` of what `make site` makes.",
    )


class DashboardsValues(ChartModel):
    """Dashboards for Grafana, as ConfigMaps that its sidecar finds. One release makes them."""

    enabled: bool = Field(default=False, description="Make them.")
    labels: StringMap = Field(
        default={},
        description="Further labels, besides `grafana_dashboard`, by which the sidecar finds them.",
    )
    annotations: StringMap = Field(
        default={}, description="Their annotations, such as the folder: {grafana_folder: vpplb}."
    )


class MetricsValues(ChartModel):
    """How Prometheus finds what both programs measure, and what is made of it."""

    enabled: bool = Field(
        default=False,
        description="All at once, for the Prometheus operator and Grafana: PodMonitors (or"
        " ServiceMonitors, where these are enabled), rules and dashboards.",
    )
    labels: StringMap = Field(
        default={},
        description="Further labels of monitors and rules, by which a Prometheus chooses them, such"
        " as {release: kube-prometheus-stack}.",
    )
    service: MetricsServiceValues = MetricsServiceValues()
    pod_monitor: PodMonitorValues = PodMonitorValues()
    service_monitor: ServiceMonitorValues = ServiceMonitorValues()
    rules: RulesValues = RulesValues()
    dashboards: DashboardsValues = DashboardsValues()


class RbacValues(ChartModel):
    """What people may do."""

    aggregate: bool = Field(
        default=True,
        description="Let whoever has `view`, `edit` or `admin` in a namespace see or change"
        " Frontends, Backends and HealthChecks there, by ClusterRoles that are added to these.",
    )


class TestValues(ChartModel):
    """`helm test`: makes a Frontend, waits until every node's VPP has it, and removes it."""

    __test__ = False  # no test of pytest's

    address: str = Field(
        default="203.0.113.254",
        min_length=2,
        description="Its VIP, from the addresses for documentation: nobody uses them.",
    )
    server: str = Field(
        default="203.0.113.253",
        min_length=2,
        description="Its one server, to which nothing is sent.",
    )
    seconds: int = Field(
        default=60, ge=1, le=3600, description="For how long it waits until VPP has the VIP."
    )


class SimulatorValues(ChartModel):
    """An in-memory VPP on each node, in agent.vpp.runDir, for trying things out without VPP.

    It forwards nothing.
    """

    enabled: bool = Field(default=False, description="Run it.")
    extra_args: list[str] = Field(
        default=[], description="Further flags of `vpplb vpp-simulator` (see its `--help`)."
    )
    resources: KubernetesObject = Field(
        default={"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        description="What a pod may use.",
    )
    pod_labels: StringMap = Field(default={}, description="Further labels of its pods.")


class ChartValues(ChartModel):
    """All values."""

    image: ImageValues = ImageValues()
    image_pull_secrets: list[KubernetesObject] = Field(
        default=[], description="Secrets for pulling it, as a list of names: [{name: registry}]."
    )
    fullname_override: str = Field(
        default="", max_length=50, description="What names start with; empty: the release's name."
    )
    common_labels: StringMap = Field(
        default={}, description="Further labels of everything, also pods."
    )
    crds: CrdValues = CrdValues()
    namespaces: list[NamespaceName] = Field(
        default=[],
        json_schema_extra=UNIQUE,
        description="Namespaces whose Frontends, Backends and HealthChecks are served; empty: all."
        " With a list, both programs are allowed to see and touch users' objects in these alone;"
        " they must exist.",
    )
    address_claims: list[AddressClaim] = Field(
        default=[],
        description="Which namespaces may claim which addresses for their Frontends; empty: any may"
        " claim any. With entries an address has to lie in one of them, and each that it touches"
        " has to be for its namespace: a ValidatingAdmissionPolicy.",
    )
    direct: DirectValues = DirectValues()
    operator: OperatorValues = OperatorValues()
    agent: AgentValues = AgentValues()
    rbac: RbacValues = RbacValues()
    http: HttpValues = HttpValues()
    metrics: MetricsValues = MetricsValues()
    traces: TracesValues = TracesValues()
    network_policy: NetworkPolicyValues = NetworkPolicyValues()
    test: TestValues = TestValues()
    simulator: SimulatorValues = SimulatorValues()
    extra_objects: list[KubernetesObject | str] = Field(
        default=[],
        description="Further objects of the release, as templates. Frontends and the like come"
        " after the first install: helm knows no kind that it is yet to make.",
    )

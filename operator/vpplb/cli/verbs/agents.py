"""What agents tell on demand: the VIPs of their VPP, with packets and true shares.

An agent in a pod is reached through the API server, by the pod's proxy; one that is a service of
its node has no pod, and is named by its URL.
"""

from dataclasses import dataclass

from vpplb.cli.verbs.session import VerbFailure, VerbSession
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKind

_PODS = "app.kubernetes.io/name=vpplb,app.kubernetes.io/component=agent"
_PORT_NAME, _PORT = "http", 9091


@dataclass(frozen=True, slots=True, kw_only=True)
class VipPackets:
    """Packets to a VIP since VPP has it, by what became of them."""

    existing: int
    first: int
    untracked: int
    no_server: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VipServer:
    """A server with its true share: `buckets` of the VIP's table of new flows."""

    address: str
    weight: int
    buckets: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VipFound:
    """A VIP as VPP has it; `frontend` empty: it is none of ours."""

    vip: str
    frontend: str
    encap: str
    flow_table_length: int
    packets: VipPackets | None
    servers: tuple[VipServer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VipsFound:
    """All VIPs of a node's VPP. `packets_unknown` says why there are no packets."""

    packets_unknown: str
    vips: tuple[VipFound, ...]


def _read_vips(answer: JsonObject) -> VipsFound:
    """Read an agent's answer; TypeError, ValueError or KeyError for one of another version."""
    return VipsFound(
        packets_unknown=str(answer.get("packetsUnknown") or ""),
        vips=tuple(_read_vip(one) for one in answer.get("vips") or ()),
    )


def _read_vip(raw: JsonObject) -> VipFound:
    packets = raw.get("packets")
    return VipFound(
        vip=str(raw["vip"]),
        frontend=str(raw.get("frontend") or ""),
        encap=str(raw["encap"]),
        flow_table_length=int(raw["flowTableLength"]),
        packets=_read_packets(packets) if packets is not None else None,
        servers=tuple(_read_server(one) for one in raw.get("servers") or ()),
    )


def _read_packets(raw: JsonObject) -> VipPackets:
    return VipPackets(
        existing=int(raw["existing"]),
        first=int(raw["first"]),
        untracked=int(raw["untracked"]),
        no_server=int(raw["no_server"]),
    )


def _read_server(raw: JsonObject) -> VipServer:
    buckets = raw.get("buckets")
    return VipServer(
        address=str(raw["address"]),
        weight=int(raw["weight"]),
        buckets=None if buckets is None else int(buckets),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReader:
    """The agents of a cluster; `url` names the one to ask, else pods are looked for.

    `namespace` is that of the agents' pods; empty: any.
    """

    session: VerbSession
    namespace: str = ""
    url: str = ""

    async def read_vips(self, node: str) -> VipsFound:
        """Ask the agent of a node (VerbFailure, KubeError)."""
        path = f"/api/v1/dataplanes/{node}/vips"
        if self.url:
            from vpplb.kube.user_api.url_reader import read_url

            answer = await read_url(self.url.rstrip("/") + path)
        else:
            pod = await self._find_pod(node)
            client = self.session.client
            answer = await client.get_through_pod(
                key_of(pod), _http_port(pod), path, tls=_has_tls(pod)
            )
        try:
            found = _read_vips(answer)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise VerbFailure(f"the agent of {node} gives an answer of another version") from error
        return found

    async def _find_pod(self, node: str) -> JsonObject:
        fields = f"spec.nodeName={node},status.phase=Running"
        listing = await self.session.client.list_objects(
            ObjectKind.POD, self.namespace, labels=_PODS, fields=fields
        )
        pods = listing.items
        if not pods:
            where = f" in namespace {self.namespace}" if self.namespace else ""
            raise VerbFailure(
                f"no agent runs as a pod on node {node}{where}; if it is a service of the node,"
                " give its address: --agent-url http://HOST:9091"
            )
        return pods[0]


def _http_port(pod: JsonObject) -> int:
    ports = [
        port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name") == _PORT_NAME
    ]
    return int(ports[0]) if ports else _PORT


def _has_tls(pod: JsonObject) -> bool:
    """Tell whether the HTTP port has TLS, as the kubelet's probes are told."""
    return any(
        ((container.get("livenessProbe") or {}).get("httpGet") or {}).get("scheme") == "HTTPS"
        for container in pod["spec"]["containers"]
    )

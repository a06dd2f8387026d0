"""What agents tell on demand: the VIPs of their VPP, with packets and true shares.

An agent in a pod is reached through the API server, by the pod's proxy; one that is a service of
its node has no pod, and is named by its URL.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from vpplb.cli.verbs.session import PluginFailure, VerbSession
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKind
from vpplb.resources.base import StatusModel

_PODS = "app.kubernetes.io/name=vpplb,app.kubernetes.io/component=agent"
_PORT_NAME, _PORT = "http", 9091


class VipPackets(StatusModel):
    """Packets to a VIP since VPP has it, by what became of them."""

    existing: int
    first: int
    untracked: int
    no_server: int


class VipServer(StatusModel):
    """A server with its true share: `buckets` of the VIP's table of new flows."""

    address: str
    weight: int
    buckets: int | None = None


class VipFound(StatusModel):
    """A VIP as VPP has it; `frontend` None: it is none of ours."""

    vip: str
    frontend: str | None = None
    encap: str
    flow_table_length: int
    packets: VipPackets | None = None
    servers: tuple[VipServer, ...] = ()


class VipsFound(StatusModel):
    """All VIPs of a node's VPP. `packets_unknown` says why there are no packets."""

    node: str
    at: str
    packets_unknown: str = ""
    vips: tuple[VipFound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReader:
    """The agents of a cluster; `url` names the one to ask, else pods are looked for.

    `namespace` is that of the agents' pods; empty: any.
    """

    session: VerbSession
    namespace: str = ""
    url: str = ""

    async def read_vips(self, node: str) -> VipsFound:
        """Ask the agent of a node (Failed, KubeError)."""
        path = f"/api/v1/dataplanes/{node}/vips"
        if self.url:
            from vpplb.kube.client import read_url  # which takes long to import

            answer = await read_url(self.url.rstrip("/") + path)
        else:
            pod = await self._find_pod(node)
            console = self.session.console
            answer = await console.get_through_pod(key_of(pod), _http_port(pod), path)
        try:
            found = VipsFound.model_validate(answer)
        except ValidationError as error:
            raise PluginFailure(
                f"the agent of {node} gives an answer of another version"
            ) from error
        return found

    async def _find_pod(self, node: str) -> JsonObject:
        fields = f"spec.nodeName={node},status.phase=Running"
        listing = await self.session.console.list_objects(
            ObjectKind.POD, self.namespace, labels=_PODS, fields=fields
        )
        pods = listing.items
        if not pods:
            where = f" in namespace {self.namespace}" if self.namespace else ""
            raise PluginFailure(
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

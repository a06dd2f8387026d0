"""Kinds of objects and their addresses on the API server."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from vpplb.model.names import ObjectKey

JsonObject = dict[str, Any]
"""An object as the API server sends it: parsed JSON, checked by whoever reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object. `group` is empty for the core API; `plural` is its name in addresses.

    A cluster-scoped kind (`namespaced` false) uses keys with an empty namespace.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    def __str__(self) -> str:
        return self.kind

    @property
    def api_version(self) -> str:
        """Name group and version as `apiVersion` does."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection_path(self, namespace: str = "") -> str:
        """Path of all objects, of one namespace if given."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{root}{inside}/{self.plural}"

    def object_path(self, key: ObjectKey, subresource: str = "") -> str:
        """Path of one object, or of its subresource such as `status`."""
        path = f"{self.collection_path(key.namespace)}/{quote(key.name, safe='')}"
        return f"{path}/{subresource}" if subresource else path


def cluster_key(name: str) -> ObjectKey:
    """Key of a cluster-scoped object."""
    return ObjectKey("", name)


def key_of(raw: JsonObject) -> ObjectKey:
    """Return the key of an object of the API server."""
    metadata = raw["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


_GROUP, _VERSION = "vpplb.dev", "v1alpha1"

FRONTEND = Kind(group=_GROUP, version=_VERSION, plural="frontends", kind="Frontend")
BACKEND = Kind(group=_GROUP, version=_VERSION, plural="backends", kind="Backend")
HEALTH_CHECK = Kind(group=_GROUP, version=_VERSION, plural="healthchecks", kind="HealthCheck")
DATAPLANE = Kind(
    group=_GROUP, version=_VERSION, plural="dataplanes", kind="Dataplane", namespaced=False
)
NAMESPACE = Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
NODE = Kind(group="", version="v1", plural="nodes", kind="Node", namespaced=False)
LEASE = Kind(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
EVENT = Kind(group="events.k8s.io", version="v1", plural="events", kind="Event")
SECRET = Kind(group="", version="v1", plural="secrets", kind="Secret")
POD = Kind(group="", version="v1", plural="pods", kind="Pod")

"""The addresses of each kind on the API server (what `kubectl api-resources` lists)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from vpplb.model.names import ObjectKey, ObjectKind

JsonObject = dict[str, Any]
"""An object as the API server sends it: parsed JSON, checked by whoever reads it."""


@dataclass(frozen=True, slots=True)
class ApiResource:
    """Where a kind is found. `group` is empty for the core API; `plural` is its name in paths."""

    group: str
    version: str
    plural: str

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


RESOURCES: Mapping[ObjectKind, ApiResource] = {
    ObjectKind.FRONTEND: ApiResource("vpplb.dev", "v1alpha1", "frontends"),
    ObjectKind.BACKEND: ApiResource("vpplb.dev", "v1alpha1", "backends"),
    ObjectKind.HEALTH_CHECK: ApiResource("vpplb.dev", "v1alpha1", "healthchecks"),
    ObjectKind.DATAPLANE: ApiResource("vpplb.dev", "v1alpha1", "dataplanes"),
    ObjectKind.NAMESPACE: ApiResource("", "v1", "namespaces"),
    ObjectKind.NODE: ApiResource("", "v1", "nodes"),
    ObjectKind.LEASE: ApiResource("coordination.k8s.io", "v1", "leases"),
    ObjectKind.EVENT: ApiResource("events.k8s.io", "v1", "events"),
    ObjectKind.SECRET: ApiResource("", "v1", "secrets"),
    ObjectKind.POD: ApiResource("", "v1", "pods"),
}


def cluster_key(name: str) -> ObjectKey:
    return ObjectKey("", name)


def key_of(raw: JsonObject) -> ObjectKey:
    """Return the key of an object of the API server."""
    metadata = raw["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])

"""Names of objects: their kinds, with group and version, and their keys."""

from enum import StrEnum
from typing import NamedTuple

GROUP = "vpplb.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
"""What `apiVersion` says of the kinds that vpplb defines."""


class ObjectKind(StrEnum):
    """A kind of object that vpplb reads or writes, by the name that manifests give it."""

    FRONTEND = "Frontend"
    BACKEND = "Backend"
    HEALTH_CHECK = "HealthCheck"
    DATAPLANE = "Dataplane"
    NAMESPACE = "Namespace"
    NODE = "Node"
    LEASE = "Lease"
    EVENT = "Event"
    SECRET = "Secret"
    POD = "Pod"

    @property
    def plural(self) -> str:
        """Its name in paths, and in the name of its definition: `healthchecks`."""
        return f"{self.lower()}s"

    @property
    def is_namespaced(self) -> bool:
        """Whether its objects are in namespaces; else their keys have an empty namespace."""
        return self not in (ObjectKind.DATAPLANE, ObjectKind.NAMESPACE, ObjectKind.NODE)


OWN_KINDS = (
    ObjectKind.FRONTEND,
    ObjectKind.BACKEND,
    ObjectKind.HEALTH_CHECK,
    ObjectKind.DATAPLANE,
)
"""The kinds that vpplb defines, in the order in which they are explained, and listed: a Backend
that is not understood may have its address from a Frontend (`stored.stand_in_for_backend`)."""


class ObjectKey(NamedTuple):
    """A namespaced object of one kind: `namespace/name`. Sorts by namespace, then name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse_text(cls, text: str) -> "ObjectKey":
        """Read `namespace/name`; ValueError when there is not exactly one slash."""
        namespace, slash, name = text.partition("/")
        if not (namespace and slash and name) or "/" in name:
            raise ValueError(f"not of the form namespace/name: {text!r}")
        return cls(namespace, name)

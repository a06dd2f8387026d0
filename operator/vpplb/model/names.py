"""Names of objects."""

from typing import NamedTuple


class ObjectKey(NamedTuple):
    """A namespaced object of one kind: `namespace/name`. Sorts by namespace, then name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "ObjectKey":
        """Read `namespace/name`; ValueError when there is not exactly one slash."""
        namespace, slash, name = text.partition("/")
        if not (namespace and slash and name) or "/" in name:
            raise ValueError(f"not of the form namespace/name: {text!r}")
        return cls(namespace, name)

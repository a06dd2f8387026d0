"""Which release a program is of: a cluster may have several, each with nodes of its own."""

from typing import NamedTuple


class ReleaseIdentity(NamedTuple):
    """The namespace of a release, and its name: empty, or the namespace, where it was given none.

    Programs of older versions know nothing but the namespace, and say that or nothing.
    """

    namespace: str
    name: str = ""

    def may_be(self, told: str) -> bool:
        """Whether this may be the release that something tells; what tells none is everybody's."""
        return told in ("", self.name, self.namespace)

    @property
    def is_named(self) -> bool:
        """Whether it has a name of its own."""
        return self.name not in ("", self.namespace)


UNNAMED = ReleaseIdentity("")
"""Of a program that knows no release: what tells none is its own."""

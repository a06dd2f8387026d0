"""Where this release's operators are: what the Lease of the election says of them."""

from dataclasses import dataclass

from vpplb.direct.messages import OperatorAddress
from vpplb.direct.operator_directory import read_operators
from vpplb.kube.api_types import KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity


@dataclass(slots=True, kw_only=True)
class OperatorLookup:
    """Reads the Lease `lease`, which names the operators of `release`.

    `trouble` says why none was found the last time, empty when one was.
    """

    client: KubeClient
    lease: ObjectKey
    release: ReleaseIdentity
    trouble: str = "the operators have not been looked up yet"

    async def find_operators(self) -> tuple[OperatorAddress, ...]:
        """Ask once; return nothing where nobody can be found, for whatever reason."""
        try:
            lease = await self.client.get_object(ObjectKind.LEASE, self.lease)
        except NotFound:
            self.trouble = f"there is no lease {self.lease}, in which operators are found"
            return ()
        except KubeError as error:
            self.trouble = f"lease {self.lease}, in which operators are found: {error}"
            return ()
        annotations = lease["metadata"].get("annotations")
        operators = read_operators(annotations, self.release)
        self.trouble = (
            "" if operators else f"lease {self.lease} names no operator of {self._name_release()}"
        )
        return operators

    def _name_release(self) -> str:
        named = f"release {self.release.name} in " if self.release.name else ""
        return f"{named}namespace {self.release.namespace}"

"""Many frontends with backends of their own, as objects on a real API server."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from data.manifests import Raw, manifest
from lab.probe_peers import addresses
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind

WRITERS = 16
_VIPS = int(IPv4Address("10.200.0.0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """So many `frontends` of `each` backends, checked once an `interval` by a `check`.

    The first `doomed` of the frontends have their backends on `doomed_port`, so that they die when
    one program ends, the others on `port`. Every backend has an address of its own on loopback.
    """

    frontends: int
    port: int
    doomed_port: int
    each: int = 10
    check: str = "HTTP"
    interval: str = "1s"
    namespace: str = "fleet"
    doomed: int

    @property
    def size(self) -> int:
        """Return the number of backends."""
        return self.frontends * self.each

    @property
    def addresses(self) -> list[str]:
        """Return the backends' addresses, frontend by frontend."""
        return addresses(self.size)

    def key(self, frontend: int) -> ObjectKey:
        """Return the key of a frontend."""
        return ObjectKey(self.namespace, f"web{frontend:04}")

    def members(self, frontend: int) -> list[str]:
        """Return the names of a frontend's backends."""
        return [f"{self.key(frontend).name}-{n}" for n in range(self.each)]

    def pools(self, frontend: int, first_weight: int = 100) -> list[dict[str, object]]:
        """Return a frontend's pools, its first backend with another weight."""
        first, *others = self.members(frontend)
        backends = [{"name": first, "weight": first_weight}, *({"name": one} for one in others)]
        return [{"name": "main", "backends": backends}]

    def objects(self) -> Iterator[tuple[ObjectKind, Raw]]:
        """Give all objects."""
        for name, port in (("steady", self.port), ("doomed", self.doomed_port)):
            check = {"type": self.check, "port": port, "interval": self.interval}
            yield self._object(
                ObjectKind.HEALTH_CHECK, name, {**check, "timeout": "1s", "fall": 1, "rise": 1}
            )
        spare = iter(self.addresses)
        for number in range(self.frontends):
            ref = {"name": "doomed" if number < self.doomed else "steady"}
            for name in self.members(number):
                yield self._object(
                    ObjectKind.BACKEND, name, {"address": next(spare), "healthCheckRef": ref}
                )
            vip = {"address": str(IPv4Address(_VIPS + number)), "port": 80}
            spec = {**vip, "pools": self.pools(number)}
            yield self._object(ObjectKind.FRONTEND, self.key(number).name, spec)

    def _object(
        self, kind: ObjectKind, name: str, spec: Mapping[str, object]
    ) -> tuple[ObjectKind, Raw]:
        return kind, manifest(kind, name, spec, namespace=self.namespace)


async def create(client: KubeClient, fleet: Fleet, say: Callable[[str], None]) -> None:
    """Create all objects of a fleet, whose namespace must be there; tell how far it is."""
    left = iter(fleet.objects())
    made = 0

    async def work() -> None:
        nonlocal made
        for kind, raw in left:
            await client.create_object(kind, raw)
            made += 1
            if made % 2000 == 0:
                say(f"{made} objects are created")

    await asyncio.gather(*(work() for _ in range(WRITERS)))

"""Leases of coordination.k8s.io/v1: an agent's heartbeat, and how the operator judges one."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from vpplb.kube.errors import KubeError, NotFound
from vpplb.kube.kinds import LEASE, JsonObject, Kind
from vpplb.model.names import ObjectKey

log = logging.getLogger(__name__)

DURATION = timedelta(seconds=30)


class LeaseClient(Protocol):
    """What a heartbeat needs of `KubeClient`."""

    async def patch(self, kind: Kind, key: ObjectKey, body: Mapping[str, object]) -> JsonObject:
        """Merge into an object; NotFound when there is none."""
        ...

    async def create(self, kind: Kind, body: Mapping[str, object]) -> JsonObject:
        """Create an object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Keeps a lease of its own alive: created when it is missing, renewed thrice a duration.

    Nobody else wants this lease, so it is written without comparing versions. `now` gives the
    wall-clock time; `owners` are ownerReferences, so that the lease goes with its node.
    """

    client: LeaseClient
    key: ObjectKey
    holder: str
    now: Callable[[], datetime]
    duration: timedelta = DURATION
    owners: tuple[Mapping[str, object], ...] = ()

    async def run(self) -> None:
        """Renew until cancelled. A failed renewal is logged, and tried again after a ninth."""
        failed = False
        while True:
            try:
                await self.renew()
            except KubeError as error:
                log.log(
                    logging.DEBUG if failed else logging.WARNING,
                    "lease %s is not renewed: %s", self.key, error,
                )  # fmt: skip
                failed = True
            else:
                failed = False
            share = 9 if failed else 3
            await asyncio.sleep(self.duration.total_seconds() / share)

    async def renew(self) -> None:
        """Write the present time into the lease, creating it if need be."""
        try:
            await self.client.patch(LEASE, self.key, {"spec": self._spec()})
        except NotFound:
            metadata = {
                "namespace": self.key.namespace,
                "name": self.key.name,
                "ownerReferences": list(self.owners),
            }
            await self.client.create(LEASE, {"metadata": metadata, "spec": self._spec()})

    def _spec(self) -> dict[str, object]:
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": round(self.duration.total_seconds()),
            "renewTime": self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


@dataclass(slots=True)
class LeaseJudge:
    """Tells which leases have run out, by our own clock alone.

    A lease is alive for its duration after we have *seen* it change: clocks of nodes differ,
    and what another clock wrote into `renewTime` is only compared for being another value.
    Times are seconds of one monotonic clock.
    """

    _seen: dict[ObjectKey, tuple[str, float, float]] = field(default_factory=dict)

    def saw(self, lease: JsonObject, at: float) -> None:
        """Take note of a lease as a watch or list shows it."""
        metadata, spec = lease["metadata"], lease.get("spec") or {}
        key = ObjectKey(metadata["namespace"], metadata["name"])
        renewed = str(spec.get("renewTime", ""))
        known = self._seen.get(key)
        if known is None or known[0] != renewed:
            self._seen[key] = (renewed, at, float(spec.get("leaseDurationSeconds") or 0))

    def excuse(self, seconds: float) -> None:
        """Let time in which nobody could look, nor perhaps renew, count for no lease."""
        self._seen = {key: (it, at + seconds, lasts) for key, (it, at, lasts) in self._seen.items()}

    def forget(self, key: ObjectKey) -> None:
        """Drop a deleted lease: it counts as run out."""
        self._seen.pop(key, None)

    def expires(self, key: ObjectKey) -> float | None:
        """When the lease runs out unless it is seen to change; None when there is none."""
        known = self._seen.get(key)
        return None if known is None else known[1] + known[2]

    def alive(self, key: ObjectKey, at: float) -> bool:
        """Whether the lease's holder is to be believed alive at that time."""
        expires = self.expires(key)
        return expires is not None and at < expires

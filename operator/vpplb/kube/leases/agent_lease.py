"""Leases of coordination.k8s.io/v1: an agent's heartbeat, and how the operator judges one."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from vpplb.kube.api_types import ApiError, Conflict, JsonObject, KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.fields import format_time

log = logging.getLogger(__name__)

DURATION = timedelta(seconds=30)
"""How long an agent's lease lasts from its last renewal."""


@dataclass(slots=True)
class LeaseObserver:
    """Tells which leases have run out, by our own clock alone.

    A lease is alive for its duration after we have *seen* it change: clocks of nodes differ,
    and what another clock wrote into `renewTime` is only compared for being another value.
    Times are seconds of one monotonic clock.
    """

    _seen: dict[ObjectKey, tuple[str, float, float]] = field(default_factory=dict)

    def observe_lease(self, lease: JsonObject, at: float) -> None:
        """Take note of a lease as a watch or list shows it."""
        metadata, spec = lease["metadata"], lease.get("spec") or {}
        key = ObjectKey(metadata["namespace"], metadata["name"])
        renewed = str(spec.get("renewTime", ""))
        known = self._seen.get(key)
        if known is None or known[0] != renewed:
            self._seen[key] = (renewed, at, float(spec.get("leaseDurationSeconds") or 0))

    def add_grace(self, seconds: float) -> None:
        """Let time in which nobody could look, nor perhaps renew, count for no lease."""
        self._seen = {key: (it, at + seconds, lasts) for key, (it, at, lasts) in self._seen.items()}

    def expires_at(self, key: ObjectKey) -> float | None:
        """When the lease runs out unless it is seen to change; None when there is none."""
        known = self._seen.get(key)
        return None if known is None else known[1] + known[2]

    def is_alive(self, key: ObjectKey, at: float) -> bool:
        """Whether the lease's holder is to be believed alive at that time."""
        expires = self.expires_at(key)
        return expires is not None and at < expires


class HolderReplaced(Exception):
    """Another holder has taken the lease: this program must end, and may be started anew."""


@dataclass(slots=True, kw_only=True)
class LeaseHeartbeat:
    """Keeps a lease alive: claimed when nobody else lives by it, renewed thrice a duration.

    `holder` is this program's name, the same after a restart and nobody else's; `outranks` says of
    another holder that its time is over, whatever the lease tells. `owners` gives ownerReferences,
    so that the lease goes with its node, also with one that was made anew. `rival` is the holder
    that is waited for, empty for none; `trouble` says why the lease cannot be renewed, empty when
    it can; `on_beat` is told of each attempt.
    """

    client: KubeClient
    key: ObjectKey
    holder: str
    clock: Clock
    duration: timedelta = DURATION
    owners: Callable[[], Sequence[Mapping[str, object]]] = tuple
    outranks: Callable[[str], bool] = lambda holder: False
    rival: str = ""
    trouble: str = ""
    _renewed: float | None = None
    _version: str = ""
    _held: bool = False
    _observer: LeaseObserver = field(default_factory=LeaseObserver)

    async def claim_lease(self, *, waits: Callable[[], bool] = lambda: True) -> None:
        """Wait until the lease is ours: for as long as another holder renews it.

        HolderReplaced where there is another and this program does not wait for it, since it has
        begun already. Where leases are forbidden nobody can tell, and nobody is waited for.
        """
        while not await self._try_claim():
            if self.rival and not waits():
                raise HolderReplaced(f"{self.rival} has lease {self.key} of this node")
            await asyncio.sleep(self.duration.total_seconds() / 9)

    async def run(self, on_beat: Callable[[], None] = lambda: None) -> None:
        """Renew until cancelled, and tell `on_beat` each time; HolderReplaced when another has it.

        A failed renewal is logged, and tried again after a ninth.
        """
        self._renewed = asyncio.get_running_loop().time()  # one that never succeeds lapses, too
        while True:
            try:
                await self.renew_lease()
            except KubeError as error:
                self._log_lease(f"is not renewed: {error}", quiet=bool(self.trouble))
                self.trouble = f"lease {self.key} is not renewed: {error}"
            else:
                self.trouble, self._renewed = "", asyncio.get_running_loop().time()
            on_beat()
            share = 9 if self.trouble else 3
            await asyncio.sleep(self.duration.total_seconds() / share)

    def has_lapsed(self) -> bool:
        """Return whether the lease has run out, for want of a renewal that succeeded."""
        now = asyncio.get_running_loop().time()
        return self._renewed is not None and now > self._renewed + self.duration.total_seconds()

    async def renew_lease(self) -> None:
        """Write the present time into the lease (KubeError, HolderReplaced)."""
        try:
            await self._write_lease()
        except (NotFound, Conflict):  # gone, or written by somebody since
            lease = await self._read_lease()
            if not self._is_ours(_holder_of(lease)):
                raise HolderReplaced(
                    f"{_holder_of(lease)} has taken lease {self.key} of this node"
                ) from None
            await self._write_lease()

    async def resign_lease(self) -> None:
        """Give the lease up, so that an agent elsewhere need not wait; its time goes on."""
        if self._held:
            metadata = {"resourceVersion": self._version}
            body = {"metadata": metadata, "spec": {"holderIdentity": None}}
            await self.client.patch_object(ObjectKind.LEASE, self.key, body)

    # --- pieces ------------------------------------------------------------------------------

    async def _try_claim(self) -> bool:
        before = self.rival
        try:
            lease, now = await self._read_lease(), asyncio.get_running_loop().time()
            if lease is not None:
                self._observer.observe_lease(lease, now)
            holder = _holder_of(lease)
            if not self._is_ours(holder) and self._observer.is_alive(self.key, now):
                self.rival = holder
                if holder != before:
                    self._log_lease(f"is held by {holder}: hands off until it has run out")
                return False
            await self._write_lease()
        except Conflict:  # somebody was faster
            return False
        except KubeError as error:
            self._log_lease(f"cannot be claimed: {error}")
            return isinstance(error, ApiError) and error.status == 403
        self.rival = ""
        return True

    def _is_ours(self, holder: str) -> bool:
        return holder in ("", self.holder) or self.outranks(holder)

    async def _read_lease(self) -> JsonObject | None:
        try:
            lease = await self.client.get_object(ObjectKind.LEASE, self.key)
        except NotFound:
            self._version = ""
            return None
        self._version = str(lease["metadata"]["resourceVersion"])
        return lease

    async def _write_lease(self) -> None:
        """Write the lease of the version that is known; create it when there is none."""
        owners = list(self.owners())
        if self._version:
            metadata: dict[str, object] = {"resourceVersion": self._version}
            # The garbage collector takes what belongs to a Node that is no more.
            metadata |= {"ownerReferences": owners} if owners else {}
            body = {"metadata": metadata, "spec": self._build_spec()}
            written = await self.client.patch_object(ObjectKind.LEASE, self.key, body)
        else:
            metadata = {
                "namespace": self.key.namespace,
                "name": self.key.name,
                "ownerReferences": owners,
            }
            written = await self.client.create_object(
                ObjectKind.LEASE, {"metadata": metadata, "spec": self._build_spec()}
            )
        self._version, self._held = str(written["metadata"]["resourceVersion"]), True

    def _build_spec(self) -> dict[str, object]:
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": round(self.duration.total_seconds()),
            "renewTime": format_time(self.clock.now()),
        }

    def _log_lease(self, what: str, *, quiet: bool = False) -> None:
        log.log(logging.DEBUG if quiet else logging.WARNING, "lease %s %s", self.key, what)


def _holder_of(lease: JsonObject | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")

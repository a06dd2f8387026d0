"""Taking part in an election: the requests and the timing around a `LeaseCandidate`.

The leader renews every 2/15 of the lease's duration, by one request that names the version it
replaces; a candidate looks every thirtieth, so that it takes over within half a second when the
leader resigns. (Durations are fractions of one, as client-go's 15 s, 10 s and 2 s are.)

Every write of a program that must hold the lease passes through a `WriteFence`, which is open until
a moment that each renewal moves on. Nothing begins after that moment, and what is under way when it
comes is cut off; whoever asked sees a server that does not answer, and tries again. So nobody above
has to know about leases.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from vpplb.kube.api_types import ApiError, ApiUnreachable, Conflict, JsonObject, KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.leader_rules import LeaderRole, LeaseCandidate
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

RENEW = 2 / 15
RETRY = 1 / 15
LOOK = 1 / 30
PATIENCE = 1 / 6
"""From a renewal to the next; from a failed request to the next; from a candidate's look to the
next; and how long a request may take: in durations of the lease."""
DESERTED = 2.0
"""For how long nobody takes a lease that is free before nobody else will, in its durations."""

RESIGNING = 3.0
"""Seconds that giving the lease up may take."""


T = TypeVar("T")


class LeadershipLost(Exception):
    """Somebody else leads now: this program must end, and may be started anew as a candidate."""


class WriteFenced(ApiUnreachable):
    """The lease is not ours (any longer): the write was not made, or cut off on its way."""


@dataclass(slots=True)
class WriteFence:
    """Lets writes through until a time of the loop's clock; at first, and when closed, none."""

    open_until: float = -math.inf
    _under_way: set[asyncio.Timeout] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        return asyncio.get_running_loop().time() < self.open_until

    def extend_until(self, time: float) -> None:
        """Let writes through until then, also those under way; an earlier time cuts them off."""
        self.open_until = time
        for scope in self._under_way:
            if not scope.expired():
                scope.reschedule(time)

    def close_now(self) -> None:
        """Let nothing through any more; what is under way is cut off when the loop runs next."""
        self.extend_until(-math.inf)

    async def run_write(self, write: Callable[[], Awaitable[T]]) -> T:
        """Make a write if the fence is open, and for as long as it is; else WriteFenced.

        The clock is read here, right before the request, and not trusted to a timer: a process
        that was stopped for a minute goes on in the middle of whatever it was about to do.
        """
        if not self.is_open:
            raise WriteFenced("this operator does not hold the lease, and so writes nothing")
        scope = asyncio.timeout_at(self.open_until)
        try:
            async with scope:
                self._under_way.add(scope)
                return await write()
        except TimeoutError as error:
            raise WriteFenced("the lease ran out before the API server answered") from error
        finally:
            self._under_way.discard(scope)


class FencedClient(KubeClient):
    """A client that reads at any time and writes while `fence` is open, by another's session."""

    def __init__(self, client: KubeClient, fence: WriteFence) -> None:
        self._client, self._fence = client, fence
        self.health = client.health

    async def _send_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        request = partial(
            self._client._send_request, method, path, query=query, body=body, timeout=timeout
        )
        return await (request() if method == "GET" else self._fence.run_write(request))


@dataclass(slots=True, kw_only=True)
class LeaderElector:
    """Takes part in the election for `scope` by the lease `key`, and keeps `fence` true to it.

    `duration` is in seconds, at least 1; `on_role` is told each change of role, and `on_lease`
    the lease at each look at it.
    `trouble` says why the lease cannot be read or renewed, empty when it can.
    """

    client: KubeClient
    key: ObjectKey
    identity: str
    duration: float
    fence: WriteFence
    clock: Clock
    scope: ServedScope = field(default_factory=ServedScope)
    on_role: Callable[[LeaderRole], None] = lambda role: None
    on_lease: Callable[[JsonObject | None], None] = lambda lease: None
    trouble: str = "the lease has not been read yet"
    role: LeaderRole = LeaderRole.STANDBY
    _candidate: LeaseCandidate = field(init=False)
    _sure: bool = False
    _rival: str = ""
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    _leads: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._candidate = LeaseCandidate(
            identity=self.identity, duration=self.duration, scope=self.scope
        )

    @property
    def holder(self) -> str:
        """Who holds the lease as it was seen last; empty for nobody."""
        return self._candidate.holder

    @property
    def leader(self) -> str:
        """Who leads as far as is known: empty once the lease has not been renewed for its time."""
        return self._candidate.leader_at(_loop_time())

    @property
    def leader_term(self) -> int:
        """The term of `holder`, in microseconds since 1970; 0 where none is known."""
        return self._candidate.holder_term

    @property
    def leader_since(self) -> datetime | None:
        """Since when `holder` leads, by its own clock; None where that is not known."""
        return self._candidate.held_since

    @property
    def renewed_at(self) -> datetime | None:
        """When `holder` renewed the lease last, by its own clock; None for never."""
        return self._candidate.renewed_at

    @property
    def annotations(self) -> Mapping[str, object]:
        """What operators have noted in the lease as it was seen last, whatever it is."""
        return self._candidate.annotations

    @property
    def term(self) -> int:
        """When this program became the leader, in microseconds since 1970; 0: never yet."""
        return self._candidate.term

    @property
    def not_ready(self) -> str:
        """Why this program can neither lead nor take over at present; empty when it can."""
        return "" if self.role is LeaderRole.LEADING else self.trouble or self.rival_refusal

    @property
    def rival_holder(self) -> str:
        """The identity of the operator that `rival_refusal` is about; empty for nobody."""
        return self._candidate.rival_holder(_loop_time()) if self._rival else ""

    @property
    def rival_refusal(self) -> str:
        """Who serves some of what this program should serve, so that it must not; else empty."""
        if not self._rival:
            return ""
        return (
            f"{self._rival}, so this operator does not serve {self.scope}: let their namespaces"
            " differ, or remove one of the two"
        )

    async def run(self) -> None:
        """Take part until cancelled; LeadershipLost once it was had and is somebody else's."""
        while True:
            pause = await self._try_once()
            self._publish_role()
            if self.role is LeaderRole.LOST:
                raise LeadershipLost(self._candidate.why_lost)
            # Less than the clock tells apart would end before it began, and never pass.
            await asyncio.sleep(max(0.001, min(pause, self._seconds_left())))
            self._publish_role()

    async def is_deserted(self) -> bool:
        """Look once, and take no part: whether the lease has been free for DESERTED durations.

        Free is as far as was seen by looks before. Not while `run` runs, whose looks go on from it.
        """
        try:
            async with asyncio.timeout(PATIENCE * self.duration):
                self._candidate.observe_lease(await self._read_lease(), _loop_time())
        except (KubeError, TimeoutError) as error:
            self.trouble = str(error) or "no answer about the lease"
            return False
        self.trouble = ""
        return _loop_time() >= self._candidate.free_at + DESERTED * self.duration

    async def wait_until_looked(self) -> None:
        """Wait until it is known who leads."""
        await self._looked.wait()

    async def wait_until_leading(self) -> None:
        """Wait until this program has become the leader."""
        await self._leads.wait()

    async def resign_lease(self) -> None:
        """Give the lease up if it is held, so that another takes it at once; never raises.

        Not while `run` runs. Nothing may be written from here on.
        """
        self.fence.close_now()
        if self.role is not LeaderRole.LEADING:
            return
        try:
            async with asyncio.timeout(RESIGNING):
                await self._write_resignation()
        except (KubeError, TimeoutError) as error:
            log.warning("lease %s is not given up, and runs out by itself: %s", self.key, error)

    # --- pieces ------------------------------------------------------------------------------

    async def _try_once(self) -> float:
        """Look or write once; return how long to wait until the next time."""
        patience = min(PATIENCE * self.duration, self._seconds_left())
        was_sure = self._sure
        try:
            async with asyncio.timeout(patience):
                await self._look_or_write()
        except Conflict:  # somebody was faster, or our own last request was
            self._sure = False
            self._candidate.note_conflict(_loop_time())
            # Not looked at for a while: most likely what others keep in it has changed.
            return 0.0 if was_sure else LOOK * self.duration
        except (KubeError, TimeoutError) as error:
            self._sure = False
            self.trouble = str(error) or f"no answer in {patience:.1f} s"
            return RETRY * self.duration
        self.trouble = ""
        leading = self._candidate.role_at(_loop_time()) is LeaderRole.LEADING
        return (RENEW if leading else LOOK) * self.duration

    async def _look_or_write(self) -> None:
        """Read unless what is there is known; write if there is something to be written."""
        if not self._sure:
            before = self._candidate.holder
            lease = await self._read_lease()
            self._candidate.observe_lease(lease, _loop_time())
            self.on_lease(lease)
            if self.role is LeaderRole.STANDBY and self.holder not in ("", before, self.identity):
                log.info(
                    "%s stands by: %s leads, by lease %s", self.identity, self.holder, self.key
                )
        spec = self._candidate.propose_record(_loop_time(), self.clock.now())
        if spec is not None:
            self._sure = False
            written = await self._write_record(spec)
            self._candidate.note_written(written)
            self._sure = True
            self.on_lease(written)

    async def _read_lease(self) -> JsonObject | None:
        try:
            return await self.client.get_object(ObjectKind.LEASE, self.key)
        except NotFound:
            return None

    async def _write_record(self, spec: Mapping[str, object]) -> JsonObject:
        body = self._candidate.build_patch(spec)
        if self._candidate.lease_version:
            body["metadata"]["resourceVersion"] = self._candidate.lease_version
            return await self.client.patch_object(ObjectKind.LEASE, self.key, body)
        # A PUT, not a POST: only there does the API server ask for the right to this very name.
        body["metadata"] |= {"namespace": self.key.namespace, "name": self.key.name}
        try:
            return await self.client.replace_object(ObjectKind.LEASE, self.key, body)
        except ApiError as error:
            if error.status != 422:
                raise
            raise Conflict(409, "AlreadyExists", error.message) from error

    async def _write_resignation(self) -> None:
        while True:
            self._candidate.observe_lease(await self._read_lease(), _loop_time())
            if (
                self._candidate.role_at(_loop_time()) is LeaderRole.LOST
                or self._candidate.holder != self.identity
            ):
                return
            try:
                await self._write_record(self._candidate.propose_resignation(self.clock.now()))
            except Conflict:  # our last renewal, whose answer was not waited for
                continue
            log.info("lease %s is given up", self.key)
            return

    def _publish_role(self) -> None:
        """Bring fence and role up to date, and say what has changed."""
        self.fence.extend_until(self._candidate.valid_until)
        if self._candidate.has_looked:
            self._looked.set()
        self._publish_rival()
        before, self.role = self.role, self._candidate.role_at(_loop_time())
        if self.role is before:
            return
        match self.role:
            case LeaderRole.LEADING if before is LeaderRole.STANDBY:
                log.info("%s leads, by lease %s", self.identity, self.key)
                self._leads.set()
            case LeaderRole.LEADING:
                log.info("lease %s is renewed again: writes go on", self.key)
            case LeaderRole.SUSPENDED:
                log.error(
                    "lease %s cannot be renewed: writes are held back (%s)", self.key, self.trouble
                )
            case LeaderRole.LOST:
                log.error("%s leads no longer: %s", self.identity, self._candidate.why_lost)
            case LeaderRole.STANDBY:
                raise AssertionError("nobody becomes a candidate again")
        self.on_role(self.role)

    def _publish_rival(self) -> None:
        before, self._rival = self._rival, self._candidate.name_rival(_loop_time())
        if self._rival and self._rival != before:
            log.error("%s", self.rival_refusal)

    def _seconds_left(self) -> float:
        """Seconds until the fence closes, if it has not."""
        left = self._candidate.valid_until - _loop_time()
        return left if left > 0 else self.duration


def _loop_time() -> float:
    return asyncio.get_running_loop().time()

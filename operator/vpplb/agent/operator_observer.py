"""Whether an operator is at work, as an agent can tell it without one: directly, or by the Lease.

Statuses are written by operators alone, so nobody else can say that they are old. An agent that
hears no leader looks at the Lease of the election, and believes what it sees change, never a time
that another clock wrote.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vpplb.direct.operator_directory import has_entry
from vpplb.kube.api_types import JsonObject, KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.served_scopes import ServedScope, read_records
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.conditions import StatusCondition

LOOK_EVERY = 15.0
"""Seconds between two looks, give or take a quarter: a thousand agents that have lost their leader
ask some seventy times a second, and none of those that hear one."""
LOST_AFTER = 15.0
"""Seconds without a leader after which that is told: the next one mostly is there by then."""
SILENT_AFTER = 45.0
"""Seconds in which a lease that lasts for LASTS is not renewed, and so is the lease of nobody; of
one that lasts longer as many more."""
LASTS = 15.0
"""Seconds for which a lease lasts, unless operators were told another duration."""


@dataclass(slots=True, kw_only=True)
class OperatorObserver:
    """Tells `OperatorHeard` by `tell`, as often as it looks.

    `is_led` says whether a leader is connected by the direct road, `has_road` whether this agent
    wants one; whether the leader offers one is in the lease. Records of the `lease` count that
    serve any of the `namespaces` (none: all).
    """

    client: KubeClient
    lease: ObjectKey
    namespaces: Sequence[str]
    has_road: bool
    is_led: Callable[[], bool]
    tell: Callable[[StatusCondition], None]
    _lost_at: float | None = None
    _renewed: str | None = None
    _renewed_at: float = field(default=0.0)
    _silent_after: float = SILENT_AFTER
    _is_live: bool = False
    _is_offered: bool = False
    is_heard: bool | None = None
    """Whether an operator is at work, as was told last; None: not known."""
    silence: str = ""
    """As of when nobody probes, in words, as was found last. Empty: somebody does, or who knows;
    a lease that was never there may be looked for in the wrong place."""

    async def run(self) -> None:
        while True:
            if (heard := await self.judge_operator()) is not None:
                self.is_heard = {"True": True, "False": False}.get(heard.status)
                self.tell(heard)
            await self._wait_look()

    async def _wait_look(self) -> None:
        """Wait until the next look is due: at once where a leader is connected that was not."""
        loop = asyncio.get_running_loop()
        due = loop.time() + LOOK_EVERY * random.uniform(0.75, 1.25)
        while loop.time() < due and (  # noqa: ASYNC110 (what is waited for signals nothing)
            self.is_heard or not self.is_led()
        ):
            await asyncio.sleep(0.5)

    async def judge_operator(self) -> StatusCondition | None:
        """Look once; None where it is too early to say."""
        heard = await self._look_once()
        nobody = heard is not None and heard.reason == reasons.NOBODY_LEADS.reason
        self.silence = heard.message if heard is not None and nobody and self._renewed else ""
        return heard

    async def _look_once(self) -> StatusCondition | None:
        now = asyncio.get_running_loop().time()
        if self.is_led():
            self._lost_at = self._renewed = None
            return reasons.HEARD_DIRECTLY.make_condition("decisions come directly from the leader")
        if self._lost_at is None:
            self._lost_at = now
        try:
            lease = await self._read_lease()
        except KubeError as error:
            self._renewed = None
            if now < self._lost_at + SILENT_AFTER:
                return None
            return reasons.LEADER_UNKNOWN.make_condition(f"lease {self.lease}: {error}")
        self._take_lease(lease, now)
        return None if now < self._lost_at + LOST_AFTER else self._judge_lease(now)

    def _take_lease(self, lease: JsonObject | None, now: float) -> None:
        last = self._find_record(lease)
        duration = last.get("leaseDurationSeconds")
        lasts = float(duration) if isinstance(duration, int) else LASTS
        renewed = str(last.get("renewTime") or "")
        if renewed != self._renewed:
            self._is_live = self._renewed is not None and bool(renewed)
            self._renewed, self._renewed_at = renewed, now
            self._silent_after = SILENT_AFTER + max(0.0, lasts - LASTS)
        annotations = lease["metadata"].get("annotations") if lease else None
        self._is_offered = has_entry(annotations, str(last.get("holderIdentity") or ""))

    def _judge_lease(self, now: float) -> StatusCondition | None:
        if now >= self._renewed_at + self._silent_after:
            since = f"as of {self._renewed}, " if self._renewed else ""
            said = f"{since}nobody has probed since: no operator renews lease {self.lease}"
            return reasons.NOBODY_LEADS.make_condition(said)
        if not self._is_live:
            return None
        if not self.has_road:
            return reasons.HEARD_BY_LEASE.make_condition(
                "an operator leads; the direct road is off"
            )
        if not self._is_offered:
            return reasons.HEARD_BY_LEASE.make_condition(
                "an operator leads; it has the direct road off"
            )
        return reasons.HEARD_BY_STATUS.make_condition(
            "an operator leads, and decisions come by the API server alone"
        )

    async def _read_lease(self) -> JsonObject | None:
        try:
            return await self.client.get_object(ObjectKind.LEASE, self.lease)
        except NotFound:
            return None

    def _find_record(self, lease: JsonObject | None) -> Mapping[str, Any]:
        """Return the record that serves us and was renewed last; empty for none."""
        ours = ServedScope.of_list(self.namespaces)
        records = [one for scope, one in read_records(lease).values() if scope.is_overlapping(ours)]
        return max(records, key=lambda one: str(one.get("renewTime") or ""), default={})

"""A Prober without probes: a test says what each backend answers, and the verdicts come at once."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from vpplb.model.health import ProbeCode, ProbeResponse, ProbeResult
from vpplb.model.names import ObjectKey
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    ProbeHistory,
    ProbeRecord,
    ProbeStats,
    ResponseChange,
    VerdictReason,
)


class FakeProber:
    """Implements `reconcile.ports.Prober`: `running` by backend, `started` in order.

    `answer(key, up=…)` sets what a backend answers from now on, assigned or not; one without
    an answer has no results. Verdicts, turns and reasons come from the event loop, not from
    within the calls, and only between `start` and `stop`: until then the fake remembers what it
    was told.
    """

    def __init__(self) -> None:
        self.running: dict[ObjectKey, ProbeAssignment] = {}
        self.started: list[ProbeAssignment] = []
        self._reported: dict[ObjectKey, bool | None] = {}
        self._answers: dict[ObjectKey, tuple[bool, ProbeCode, str]] = {}
        self._responses: dict[ObjectKey, ProbeResponse] = {}
        self._on_verdict: Callable[[CheckVerdict], None] | None = None
        self._on_response_change: Callable[[ResponseChange], None] = lambda _: None
        self._on_reason: Callable[[VerdictReason], None] = lambda _: None
        self._reasons: dict[ObjectKey, tuple[ProbeCode, str]] = {}
        self._since: dict[ObjectKey, datetime] = {}
        self._records: list[ProbeRecord] = []

    async def start(
        self,
        on_verdict: Callable[[CheckVerdict], None],
        on_stats: Callable[[ProbeStats], None],
        on_response_change: Callable[[ResponseChange], None] = lambda _: None,
        on_reason: Callable[[VerdictReason], None] = lambda _: None,
    ) -> None:
        """Begin with what is assigned already; there are no statistics."""
        self._on_verdict, self._on_response_change, self._on_reason = (
            on_verdict,
            on_response_change,
            on_reason,
        )
        for key in self.running:
            self._soon(key)

    def count_processes(self) -> tuple[int, int]:
        """One works from the start to the stop."""
        return int(self._on_verdict is not None), 1

    def list_lateness(self) -> Sequence[float]:
        """It is never late."""
        return [0.0]

    def read_histories(self, backends: Sequence[ObjectKey]) -> Mapping[ObjectKey, ProbeHistory]:
        """Give what was answered since the first question; it never ends."""
        found = {}
        for key in backends:
            since = self._since.setdefault(key, datetime.now(UTC))
            records = [(n, one) for n, one in enumerate(self._records, 1) if one.backend == key]
            is_probed = self._on_verdict is not None and key in self.running
            found[key] = ProbeHistory(is_probed, since, records)
        return found

    def find_trouble(self) -> str | None:
        """There is none."""
        return None

    def assign_checks(self, assignments: Sequence[ProbeAssignment]) -> None:
        """Start these checks."""
        for one in assignments:
            self.running[one.backend] = one
            self.started.append(one)
            self._reported[one.backend] = one.resume_up if one.has_verdict else None
            self._responses.pop(one.backend, None)
            self._reasons.pop(one.backend, None)
            self._soon(one.backend)

    def cancel_checks(self, backends: Sequence[ObjectKey]) -> None:
        """Stop these checks."""
        for one in backends:
            self.running.pop(one, None)
            self._responses.pop(one, None)

    async def stop(self) -> None:
        """End."""
        self._on_verdict = None
        self.running.clear()

    def answer(
        self, key: ObjectKey, *, up: bool, code: ProbeCode | None = None, detail: str = ""
    ) -> None:
        """Let a backend answer so from now on; enough probes for a verdict follow at once."""
        self._answers[key] = (up, code or (ProbeCode.L7OK if up else ProbeCode.L7STS), detail)
        self._soon(key)

    def _soon(self, key: ObjectKey) -> None:
        if self._on_verdict is not None:
            asyncio.get_running_loop().call_soon(self._judge, key, self.running.get(key))

    def _judge(self, key: ObjectKey, assigned: ProbeAssignment | None) -> None:
        """Report the answer if it is news and the check is still the same one."""
        if assigned is None or key not in self._answers or self.running.get(key) is not assigned:
            return
        up, code, detail = self._answers[key]
        if self._on_verdict is None:
            return
        if key in self._since:
            self._records.append(ProbeRecord(key, time.time(), 0.0, code, detail))
        response = ProbeResult(code=code).response
        if response is not self._responses.get(key):
            self._responses[key] = response
            self._on_response_change(ResponseChange(key, assigned.generation, response))
        told, self._reasons[key] = self._reasons.get(key), (code, detail)
        if up is self._reported[key]:
            if told != (code, detail):
                self._on_reason(VerdictReason(key, assigned.generation, code, detail))
            return
        self._reported[key] = up
        self._on_verdict(
            CheckVerdict(
                backend=key,
                generation=assigned.generation,
                up=up,
                code=code,
                detail=detail,
                at=datetime.now(UTC),
                nobody_heard=set(self._responses.values()) == {ProbeResponse.SILENT},
            )
        )

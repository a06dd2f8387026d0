"""What was seen of a VIP: counted, timed, by which server, over the last minute."""

import errno
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum

from vpplb.model.health import ProbeCode, ProbeResponse, ProbeResult
from vpplb.monitor.failure_spells import FailureSpells
from vpplb.monitor.latency_histogram import LatencyHistogram
from vpplb.probers.errors import NOBODY_LISTENS, describe_errno

MOST_SERVERS = 64
"""Names of servers that are told apart: what names each answer anew shall not fill the memory."""
OTHERS = "(others)"
LAST_SECONDS = 60
_CLOSED = "connection closed"  # as `probers.http` and `probers.tls` begin what they say of it
_TIMEOUTS = frozenset({ProbeCode.L4TOUT, ProbeCode.L6TOUT, ProbeCode.L7TOUT})


class FailureKind(StrEnum):
    """How a probe failed, as a customer would tell it."""

    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNEXPECTED = "unexpected"  # an answer, but another than is right


_KINDS = {
    describe_errno(errno.ETIMEDOUT): FailureKind.TIMEOUT,
    describe_errno(errno.ECONNREFUSED): FailureKind.REFUSED,
    NOBODY_LISTENS: FailureKind.REFUSED,
    describe_errno(errno.ECONNRESET): FailureKind.RESET,
    describe_errno(errno.EPIPE): FailureKind.RESET,
}
"""What the prober says of errors that the code alone does not tell."""


def name_failure(result: ProbeResult) -> FailureKind:
    """Say what kind of failure a result is that did not pass."""
    if result.code in _TIMEOUTS:
        return FailureKind.TIMEOUT
    if kind := _KINDS.get(result.detail):
        return kind
    if result.detail.startswith(_CLOSED):
        return FailureKind.RESET
    if result.response is ProbeResponse.SILENT or result.code is ProbeCode.L4CON:
        return FailureKind.UNREACHABLE
    return FailureKind.TLS if result.code is ProbeCode.L6RSP else FailureKind.UNEXPECTED


@dataclass(slots=True)
class ProbeTally:
    """Counts of a time. Each turn of the schedule is a probe, or one of the last three.

    `skipped`: as many probes as allowed were in flight; `late`: the monitor itself came too late;
    `unmeasured`: it lacked something, by what. `latencies` are those of probes that passed, and of
    skipped turns before them: these have waited for the same answer.
    """

    passed: int = 0
    failures: Counter[FailureKind] = field(default_factory=Counter)
    servers: Counter[str] = field(default_factory=Counter)
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)
    skipped: int = 0
    late: int = 0
    unmeasured: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def probes(self) -> int:
        return self.passed + self.failed


@dataclass(slots=True)
class SecondSlice:
    """A second of the last minute. `slowest` is the longest latency in it, in seconds."""

    second: int
    passed: int = 0
    failed: int = 0
    slowest: float = 0.0
    servers: Counter[str] = field(default_factory=Counter)


class SeenVip:
    """All that was seen of a VIP. Times are of the loop's clock, in seconds.

    `whole` is of the run, `period` of the time since `start_period`.
    """

    def __init__(self) -> None:
        self.whole = ProbeTally()
        self.period = ProbeTally()
        self.spells = FailureSpells()
        self.slices: deque[SecondSlice] = deque(maxlen=LAST_SECONDS)
        self._waiting: list[float] = []  # skipped turns that wait for the next answer

    def note_pass(self, started: float, now: float, server: str) -> None:
        latencies = [now - each for each in (started, *self._waiting)]
        self._waiting.clear()
        if server and server not in self.whole.servers and self._knows_enough():
            server = OTHERS
        for tally in (self.whole, self.period):
            tally.passed += 1
            for seconds in latencies:
                tally.latencies.add_latency(seconds)
            if server:
                tally.servers[server] += 1
        one = self._find_slice(now)
        one.passed += 1
        one.slowest = max(one.slowest, *latencies)
        if server:
            one.servers[server] += 1
        self.spells.note_pass(started)

    def note_failure(self, started: float, now: float, result: ProbeResult) -> None:
        kind = name_failure(result)
        self._waiting.clear()  # nobody knows how long they would have waited
        for tally in (self.whole, self.period):
            tally.failures[kind] += 1
        self._find_slice(now).failed += 1
        self.spells.note_failure(started, kind.value, result.detail)

    def note_skipped(self, turn: float) -> None:
        self._waiting.append(turn)
        self.whole.skipped += 1
        self.period.skipped += 1

    def note_late(self, turns: int) -> None:
        self.whole.late += turns
        self.period.late += turns

    def note_unmeasured(self, shortage: str) -> None:
        self.whole.unmeasured[shortage] += 1
        self.period.unmeasured[shortage] += 1

    def start_period(self) -> ProbeTally:
        """Return what was counted since the last call, and begin anew."""
        period, self.period = self.period, ProbeTally()
        return period

    def _knows_enough(self) -> bool:
        return len(self.whole.servers) >= MOST_SERVERS

    def _find_slice(self, now: float) -> SecondSlice:
        if not self.slices or self.slices[-1].second != int(now):
            self.slices.append(SecondSlice(int(now)))
        return self.slices[-1]

"""What was measured of each VIP, as values to show."""

from collections.abc import Mapping
from dataclasses import dataclass

from vpplb.monitor.monitor_run import MonitorRun
from vpplb.monitor.seen_vip import ProbeTally, SeenVip
from vpplb.monitor.targets import MonitorTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class VipFigures:
    """A VIP over a time. Latencies are in milliseconds, None where nothing passed.

    `vip` is its name, `asked` how it is asked, `skipped`, `late` and `unmeasured` as in
    `ProbeTally`. `spells` of failures and the `longest_spell_ms` are of the whole run.
    """

    vip: str
    address: str
    asked: str
    probes: int
    passed: int
    failed: int
    failures: Mapping[str, int]
    skipped: int
    late: int
    unmeasured: Mapping[str, int]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    servers: Mapping[str, int]
    spells: int
    longest_spell_ms: float


def describe_vip(
    target: MonitorTarget, record: SeenVip, tally: ProbeTally, now: float
) -> VipFigures:
    """Describe a VIP by a tally of its record; `now` is by the loop's clock."""
    latencies = tally.latencies
    p50, p95, p99 = latencies.find_quantiles((0.5, 0.95, 0.99))
    return VipFigures(
        vip=target.name,
        address=target.place,
        asked=target.question,
        probes=tally.probes,
        passed=tally.passed,
        failed=tally.failed,
        failures={kind.value: count for kind, count in tally.failures.most_common()},
        skipped=tally.skipped,
        late=tally.late,
        unmeasured=dict(tally.unmeasured),
        p50_ms=_in_ms(p50),
        p95_ms=_in_ms(p95),
        p99_ms=_in_ms(p99),
        max_ms=_in_ms(latencies.highest if latencies.count else None),
        servers=dict(tally.servers.most_common()),
        spells=record.spells.count,
        longest_spell_ms=round(1000 * record.spells.longest_until(now), 1),
    )


def describe_run(run: MonitorRun, now: float) -> list[VipFigures]:
    """Describe all VIPs over the whole run."""
    pairs = zip(run.targets, run.records, strict=True)
    return [describe_vip(target, record, record.whole, now) for target, record in pairs]


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)

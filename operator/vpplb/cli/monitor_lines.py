"""What the monitor says in lines: for people without a terminal page, and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from vpplb.cli.terminal import count_of, print_line
from vpplb.cli.verbs.output import to_json, to_plain
from vpplb.model.clock import SystemClock
from vpplb.model.printable import join_few
from vpplb.monitor.failure_spells import FailureSpell
from vpplb.monitor.figures import VipFigures
from vpplb.monitor.monitor_run import MonitorRun
from vpplb.monitor.targets import MonitorTarget
from vpplb.probers.errors import ADVICE, ShortageKind


class PlainLines:
    """A line when failures begin and end, and one a VIP each period."""

    def show(self) -> AbstractContextManager[object]:
        return nullcontext()

    async def draw_run(self, run: MonitorRun, now: float) -> None:
        """Draw nothing: lines are said when something happens."""

    def show_spell(self, target: MonitorTarget, spell: FailureSpell, at: datetime) -> None:
        print_line(describe_spell(target, spell, at))

    def show_period(self, figures: VipFigures) -> None:
        failed = f"{figures.failed} failed{_in_brackets(figures.failures)}"
        parts = [f"{figures.probes} probes", failed, _describe_times(figures)]
        parts += [_describe_servers(figures)] if figures.servers else []
        unprobed = figures.skipped + figures.late + sum(figures.unmeasured.values())
        parts += [f"{count_of(unprobed, 'turn')} without a probe"] if unprobed else []
        at = f"{SystemClock().now().astimezone():%H:%M:%S}"
        print_line(f"{at}  {figures.vip}  " + "  ".join(parts))

    def show_summary(self, figures: Sequence[VipFigures], seconds: float) -> None:
        for one in figures:
            for line in _summarize_vip(one, seconds):
                print_line(line)


class JsonLines:
    """An object a line; `what` says which: failing, answering, figures, summary."""

    def show(self) -> AbstractContextManager[object]:
        return nullcontext()

    async def draw_run(self, run: MonitorRun, now: float) -> None:
        """Draw nothing: lines are said when something happens."""

    def show_spell(self, target: MonitorTarget, spell: FailureSpell, at: datetime) -> None:
        said: dict[str, object] = {"vip": target.name, "address": target.place}
        if spell.ended is None:
            said |= {"kind": spell.kind, "detail": spell.detail}
        else:
            said |= {"failed": spell.failed, "spellMs": _milliseconds(spell)}
        _print_object("failing" if spell.ended is None else "answering", at, said)

    def show_period(self, figures: VipFigures) -> None:
        _print_object("figures", SystemClock().now(), _as_fields(figures))

    def show_summary(self, figures: Sequence[VipFigures], seconds: float) -> None:
        for one in figures:
            fields = {"seconds": round(seconds, 3), **_as_fields(one)}
            _print_object("summary", SystemClock().now(), fields)


def describe_spell(target: MonitorTarget, spell: FailureSpell, at: datetime) -> str:
    """Say that a VIP fails, or that it no longer does; `at` is when."""
    who = target.name if target.place in target.name else f"{target.name} ({target.place})"
    begin = f"{at.astimezone():%H:%M:%S.%f}"[:-3] + f"  {who} "
    if spell.ended is None:
        return f"{begin}fails: {spell.kind} ({spell.detail})"
    failed = count_of(spell.failed, "probe")
    return f"{begin}answers again: {failed} failed in {spell.seconds_until(spell.ended):.2f} s"


def _summarize_vip(one: VipFigures, seconds: float) -> Iterator[str]:
    who = one.vip if one.address in one.vip else f"{one.vip} ({one.address})"
    spells = f"; {count_of(one.spells, 'spell')}, the longest {one.longest_spell_ms / 1000:.2f} s"
    yield (
        f"{who}, by {one.asked}: {count_of(one.probes, 'probe')} in {seconds:.1f} s,"
        f" {one.failed} failed{_in_brackets(one.failures)}{spells if one.spells else ''}"
    )
    if one.passed:
        yield f"  {_describe_times(one)}"
    if one.servers:
        yield f"  answered by {_describe_servers(one)}"
    yield from describe_unprobed(one)


def describe_unprobed(one: VipFigures) -> Iterator[str]:
    """Say which turns of the schedule had no probe, and why: what was not seen."""
    if one.skipped:
        yield (
            f"  {count_of(one.skipped, 'turn')} skipped: as many probes as allowed were in flight;"
            " where an answer came the times have their waiting, too"
        )
    if one.late:
        yield f"  {count_of(one.late, 'turn')} missed: the monitor itself came too late"
    for shortage, count in one.unmeasured.items():
        advice = ADVICE[ShortageKind(shortage)]
        yield f"  {count_of(count, 'probe')} not made for want of {shortage}: {advice}"


def _describe_times(one: VipFigures) -> str:
    if one.p50_ms is None:
        return "nothing passed"
    times = (("p50", one.p50_ms), ("p95", one.p95_ms), ("p99", one.p99_ms), ("max", one.max_ms))
    return "  ".join(f"{name} {format_ms(time)}" for name, time in times)


def format_ms(milliseconds: float | None) -> str:
    """Write a time as people read it: three digits at most before a unit."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def _describe_servers(one: VipFigures) -> str:
    total = sum(one.servers.values())
    return join_few(
        [f"{name} {count} ({100 * count / total:.1f} %)" for name, count in one.servers.items()],
        most=8,
    )


def _in_brackets(failures: Mapping[str, int]) -> str:
    said = ", ".join(f"{count} {kind}" for kind, count in failures.items())
    return f" ({said})" if said else ""


def _milliseconds(spell: FailureSpell) -> float:
    assert spell.ended is not None
    return round(1000 * spell.seconds_until(spell.ended), 1)


def _as_fields(figures: VipFigures) -> dict[str, object]:
    fields = to_plain(figures)
    assert isinstance(fields, dict)
    return fields


def _print_object(what: str, at: datetime, fields: Mapping[str, object]) -> None:
    print_line(to_json({"what": what, "at": at.astimezone(UTC).isoformat(), **fields}))

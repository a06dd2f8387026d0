"""A run of the monitor as the command has it: how long, what is shown meanwhile, how it ends."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from math import inf

from vpplb.cli.monitor_flags import MonitorOptions
from vpplb.cli.monitor_lines import JsonLines, PlainLines
from vpplb.cli.monitor_page import MonitorPage, fits_terminal
from vpplb.cli.terminal import print_line
from vpplb.model.clock import SystemClock
from vpplb.monitor.figures import describe_run, describe_vip
from vpplb.monitor.monitor_run import MonitorRun
from vpplb.monitor.seen_vip import FailureKind, SeenVip
from vpplb.monitor.served_by import ServerNaming
from vpplb.monitor.targets import MonitorTarget
from vpplb.reconcile.ports import DURATION_BUCKETS
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import MetricsRegistry
from vpplb.telemetry.monitor_metrics import MonitoredVip, register_monitor

TICK = 0.25
"""Seconds between looks at what there is to show."""


class MonitorSession:
    """Runs a monitor once. After `run`, `is_good` says how it went."""

    def __init__(
        self, options: MonitorOptions, targets: Sequence[MonitorTarget], name: ServerNaming | None
    ) -> None:
        self._options = options
        self._targets = targets
        self._name = name
        self._display = _make_display(options.output)
        self._failed = 0
        self._unmeasured: list[str] = []

    def is_good(self) -> bool:
        """Whether each VIP was measured, and no more failed than may."""
        most = self._options.most_errors
        return not self._unmeasured and (most is None or self._failed <= most)

    async def run(self, stop: asyncio.Event) -> None:
        """Probe until the time is over, or somebody asks to stop; then sum up. CannotListen."""
        registry = MetricsRegistry("monitor")
        loop = asyncio.get_running_loop()
        server = HttpServer(address=self._options.listen, metrics=registry.render_pieces)
        run = MonitorRun(self._targets, self._options.pace, self._name)
        register_monitor(registry, lambda: [_count_vip(*pair) for pair in _list_pairs(run)])
        async with server:
            if server.listen_address is not None:
                print_line(f"metrics are at http://{server.listen_address}/metrics", err=True)
            with self._display.show():
                async with run:
                    await self._follow_run(run, stop)
                    # Also when interrupted: what is still in flight may be what is lost.
                    await run.finish_probes()
                ended = loop.time()
                self._show_news(run, ended)
                await self._display.draw_run(run, ended)
        self._sum_up(run, ended)

    async def _follow_run(self, run: MonitorRun, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        lasting = self._options.lasting
        ends = run.began + lasting.total_seconds() if lasting else inf
        every = self._options.report.total_seconds()
        reports = run.began + every
        while not stop.is_set() and (now := loop.time()) < ends:
            self._show_news(run, now)
            await self._display.draw_run(run, now)
            if now >= reports:
                reports += every * (1 + (now - reports) // every)
                for target, record in _list_pairs(run):
                    figures = describe_vip(target, record, record.start_period(), now)
                    self._display.show_period(figures)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(now + TICK, ends, max(reports, now))):
                    await stop.wait()

    def _show_news(self, run: MonitorRun, now: float) -> None:
        clock = SystemClock().now()
        for target, record in _list_pairs(run):
            while record.spells.news:
                spell = record.spells.news.popleft()
                moment = spell.began if spell.ended is None else spell.ended
                at = clock - timedelta(seconds=now - moment)
                self._display.show_spell(target, spell, at)

    def _sum_up(self, run: MonitorRun, ended: float) -> None:
        figures = describe_run(run, ended)
        self._failed = sum(one.failed for one in figures)
        self._unmeasured = [one.vip for one in figures if not one.probes]
        self._display.show_summary(figures, ended - run.began)
        for name in self._unmeasured:
            print_line(f"{name}: nothing was measured", err=True)


def _make_display(output: str) -> PlainLines | JsonLines:
    if output == "page" or (output == "auto" and fits_terminal()):
        return MonitorPage()
    return JsonLines() if output == "json" else PlainLines()


def _list_pairs(run: MonitorRun) -> Iterator[tuple[MonitorTarget, SeenVip]]:
    return zip(run.targets, run.records, strict=True)


def _count_vip(target: MonitorTarget, record: SeenVip) -> MonitoredVip:
    """Count a VIP for Prometheus: what can be is there from 0 on."""
    whole = record.whole
    results = {"passed": whole.passed} | {kind.value: whole.failures[kind] for kind in FailureKind}
    counts = whole.latencies.count_between(DURATION_BUCKETS)
    return MonitoredVip(
        vip=target.name,
        results=results,
        unprobed={"skipped": whole.skipped, "late": whole.late, **whole.unmeasured},
        servers=whole.servers,
        durations=(counts, whole.latencies.total),
        spells=record.spells.count,
        failing=record.spells.find_present() is not None,
    )

"""What the monitor shows on a terminal: a page of all VIPs, what fails first."""

import asyncio
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vpplb.cli.monitor_lines import PlainLines, describe_spell, describe_unprobed, format_ms
from vpplb.cli.terminal import count_of
from vpplb.model.printable import make_printable
from vpplb.monitor.failure_spells import FailureSpell
from vpplb.monitor.figures import VipFigures, describe_vip
from vpplb.monitor.monitor_run import MonitorRun
from vpplb.monitor.seen_vip import LAST_SECONDS, SecondSlice, SeenVip
from vpplb.monitor.targets import MonitorTarget

if TYPE_CHECKING:
    from rich.console import RenderableType

NEWS = 8
"""Lines of what happened last."""
_BARS = "▁▂▃▄▅▆▇█"
_BESIDE = 6  # lines of the page beside VIPs and news
_MOST_SERVERS = 8
_GAP = 2
_NAME, _MINUTE = "VIP", "last minute"
_COLUMNS = (_NAME, "asked by", "probes", "failed", "p50", "p95", "p99", "max", _MINUTE)
_GIVEN_UP = ("asked by", "p95", "max", "p50", "probes")
"""What a narrow terminal goes without, in this order; the failures and the p99 it always has."""
_SHORT_NAME, _SHORT_MINUTE = 16, 10
"""What a name keeps, before others are given up; and the least of the minute that is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVip:
    """A VIP as it is drawn: its figures, and its last minute."""

    figures: VipFigures
    failing: bool
    slices: tuple[SecondSlice, ...]


class MonitorPage(PlainLines):
    """A page that is drawn anew while the run goes on, and the summary below it in the end."""

    def __init__(self) -> None:
        self._terminal = Console()
        self._size = self._terminal.size
        self._live = Live(console=self._terminal, auto_refresh=False)
        self._news: deque[str] = deque(maxlen=NEWS)

    def show(self) -> AbstractContextManager[object]:
        return self._live

    async def draw_run(self, run: MonitorRun, now: float) -> None:
        """Draw by another thread: what drawing takes shall not be part of what is measured."""
        if self._terminal.size != self._size:  # what was drawn lies otherwise now
            self._size = self._terminal.size
            self._terminal.clear()
        picture = self._draw_page(run, now)
        await asyncio.to_thread(self._live.update, picture, refresh=True)

    def show_spell(self, target: MonitorTarget, spell: FailureSpell, at: datetime) -> None:
        self._news.append(make_printable(describe_spell(target, spell, at)))

    def show_period(self, figures: VipFigures) -> None:
        """Say nothing: the page has it."""

    def _draw_page(self, run: MonitorRun, now: float) -> "RenderableType":
        shown = [_describe_vip(*pair, now) for pair in self._choose_vips(run)]
        rows = [row for one in shown for row in _draw_rows(one, int(now))]
        probes = sum(record.whole.probes for record in run.records)
        failed = sum(record.whole.failed for record in run.records)
        seconds, hidden = now - run.began, len(run.records) - len(shown)
        head = (
            f"{count_of(len(run.records), 'VIP')} from outside: {probes} probes in {seconds:.0f} s"
        )
        said = [
            f"{one.figures.vip}:{line}" for one in shown for line in describe_unprobed(one.figures)
        ]
        said = [*([f"… and {count_of(hidden, 'VIP')} more"] if hidden else []), *said[:NEWS]]
        room = self._terminal.height - _BESIDE - len(rows) - len(self._news)
        said = said[: max(1, room)]
        end = "Ctrl-C ends it with a summary, a second one at once"
        return Group(
            _line(f"{head}, {failed} failed", style="bold red" if failed else "bold"),
            _fit_table(rows, self._terminal.width),
            *(_line(make_printable(line), style="dim") for line in said),
            *(_line(line) for line in self._news),
            _line(end, style="dim"),
        )

    def _choose_vips(self, run: MonitorRun) -> list[tuple[MonitorTarget, SeenVip]]:
        """Choose what fits into the terminal: what fails before what has failed."""
        pairs = zip(run.targets, run.records, strict=True)
        ordered = sorted(
            pairs, key=lambda one: (one[1].spells.find_present() is None, -one[1].whole.failed)
        )
        room, shown = self._terminal.height - _BESIDE - len(self._news), 0
        for _, record in ordered:
            room -= 1 + min(len(record.whole.servers), _MOST_SERVERS)
            if room < 0 and shown:
                break
            shown += 1
        return ordered[:shown]


def _describe_vip(target: MonitorTarget, record: SeenVip, now: float) -> PageVip:
    return PageVip(
        figures=describe_vip(target, record, record.whole, now),
        failing=record.spells.find_present() is not None,
        slices=tuple(record.slices),
    )


def _line(text: str, style: str = "") -> Text:
    """Return what takes one line, however narrow the terminal is."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _fit_table(rows: Sequence[Sequence[Text]], width: int) -> Table:
    """Lay out rows of `_COLUMNS`: the minute has what is left, and what does not fit is given up.

    rich would shorten all columns alike, so that no number could be read.
    """
    widths = {
        title: max(len(title), *(row[n].cell_len for row in rows))
        for n, title in enumerate(_COLUMNS)
    }
    kept = [title for title in _COLUMNS if title not in (_NAME, _MINUTE)]
    room = width - min(widths[_NAME], _SHORT_NAME)
    for title in _GIVEN_UP:
        if sum(widths[each] + _GAP for each in kept) <= room:
            break
        kept.remove(title)
    left = width - sum(widths[each] + _GAP for each in kept)
    name = max(1, min(widths[_NAME], left))
    minute = min(LAST_SECONDS, left - name - _GAP)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(_NAME, width=name, no_wrap=True, overflow="ellipsis")
    for title in kept:
        justify: Literal["left", "right"] = "left" if title == "asked by" else "right"
        table.add_column(title, width=widths[title], justify=justify, no_wrap=True)
    if minute >= _SHORT_MINUTE:
        table.add_column(_MINUTE if minute == LAST_SECONDS else f"last {minute} s", no_wrap=True)
    for row in rows:
        cells = dict(zip(_COLUMNS, row, strict=True))
        last = [cells[_MINUTE][-minute:]] if minute >= _SHORT_MINUTE else []
        table.add_row(cells[_NAME], *(cells[title] for title in kept), *last)
    return table


def _draw_rows(one: PageVip, now: int) -> Iterator[list[Text]]:
    """Draw a line of the VIP, and one of each server, with the cells of `_COLUMNS`."""
    yield list(_draw_vip(one, now))
    yield from _draw_servers(one, now)


def _draw_vip(one: PageVip, now: int) -> Iterator[Text]:
    figures = one.figures
    name = figures.vip if figures.address in figures.vip else f"{figures.vip} {figures.address}"
    yield Text(make_printable(name), style="red" if one.failing else "green")
    yield Text(make_printable(figures.asked))
    yield Text(str(figures.probes))
    yield Text(str(figures.failed), style="red" if figures.failed else "")
    for time in (figures.p50_ms, figures.p95_ms, figures.p99_ms, figures.max_ms):
        yield Text(format_ms(time))
    by_second = {each.second: each for each in one.slices}
    slowest = max((each.slowest for each in one.slices), default=0.0)
    line = Text()
    for second in range(now - LAST_SECONDS, now):
        each = by_second.get(second)
        if each is None:
            line.append("·", style="dim")
        elif each.failed:
            line.append("✗" if not each.passed else "×", style="red")
        else:
            line.append(_bar(each.slowest, slowest))
    yield line


def _draw_servers(one: PageVip, now: int) -> Iterator[list[Text]]:
    """Draw a line a server: its answers, its share, and the last minute's answers by second."""
    total = sum(one.figures.servers.values())
    by_second = {each.second: each.servers for each in one.slices}
    most = max((max(each.servers.values(), default=0) for each in one.slices), default=0)
    for name, count in list(one.figures.servers.items())[:_MOST_SERVERS]:
        line = Text()
        for second in range(now - LAST_SECONDS, now):
            answers = by_second[second][name] if second in by_second else 0
            line.append(_bar(answers, most) if answers else " ", style="cyan")
        cells = [
            f"  {make_printable(name)}",
            "answered",
            str(count),
            f"{100 * count / total:.1f} %",
        ]
        yield [*(Text(cell, style="cyan") for cell in cells), *(Text("") for _ in range(4)), line]


def _bar(value: float, most: float) -> str:
    return _BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] if most else _BARS[0]


def fits_terminal() -> bool:
    """Tell whether there is a terminal to draw a page on."""
    terminal = Console()
    return sys.stdout.isatty() and terminal.is_terminal and not terminal.is_dumb_terminal

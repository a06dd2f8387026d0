"""`vpplb demo`: the main job, live, on one machine."""

import asyncio
import logging
import sys
import tempfile
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vpplb
from vpplb.cli.options import check_address, env_option
from vpplb.cli.service_runner import run_service
from vpplb.cli.terminal import CommandError, exit_on_findings
from vpplb.model.clock import SystemClock

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from vpplb.plan.desired import FrontendView
    from vpplb.standalone.app import StandaloneApp

SHOW_EVERY = 0.7
"""Seconds between looks at what to print where there is no terminal."""
LINES = 14
"""Lines of what happened last that are shown."""
_COLOURS = {"up": "green", "down": "red", "unknown": "yellow", "paused": "blue"}


@click.command(short_help="Watch the main job live: probes, failovers, what VPP is told.")
@click.argument(
    "folder",
    metavar="[DIR]",
    default=Path(vpplb.__file__).with_name("examples") / "quickstart",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@env_option(
    "--vpp-api-socket",
    default=None,
    type=click.Path(path_type=Path),
    help="A running VPP to program.  [default: /run/vpp/api.sock if there, else a simulator]",
)
@env_option(
    "--http-address",
    default="",
    callback=check_address,
    help="Where to serve metrics and the dashboard; empty: nowhere.",
)
@click.option("--once", is_flag=True, help="End after the failovers, with exit 0 if all went well.")
def demo_command(folder: Path, vpp_api_socket: Path | None, http_address: str, once: bool) -> None:
    """Run the manifests in DIR against small web servers started for them, and show it live.

    DIR is the quickstart example if not given. After a few seconds a server is taken down, then
    the others of its pool, then all come back: you see how the rest share the load, and how the
    standby pool takes over. VPP is a simulator unless one runs on this machine. Ctrl-C ends it.
    """
    from vpplb.standalone.demo import DemoFailed, FailoverDemo

    logging.basicConfig(level=logging.ERROR)
    present = Path("/run/vpp/api.sock")
    socket = vpp_api_socket or (present if present.exists() else None)
    display = _DemoDisplay()

    async def play_demo(stop: asyncio.Event, directory: Path) -> None:
        demo = FailoverDemo(folder, directory, socket, http_address, display.add_line)
        vpp = str(socket) if socket else "a simulator, since no VPP runs here"
        display.add_line(f"manifests from {folder}, VPP: {vpp}")
        showing = asyncio.create_task(display.show_picture(demo.standalone))
        try:
            await demo.run(stop, once=once)
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    with ExitStack() as stack, exit_on_findings(1):
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vpplb-demo-")))
        try:
            run_service(lambda stop: play_demo(stop, directory))
        except (DemoFailed, OSError) as error:
            raise CommandError(str(error)) from error


class _DemoDisplay:
    """A live picture on a terminal; plain lines, and a picture when it changed, elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._terminal: Console = Console(width=None if sys.stdout.isatty() else 100)
        self._lines: deque[str] = deque(maxlen=LINES)

    def add_line(self, line: str) -> None:
        stamped = f"{SystemClock().now().astimezone():%H:%M:%S.%f}"[:-3] + f"  {line}"
        self._lines.append(stamped)
        if not self._terminal.is_terminal:
            self._terminal.print(stamped, markup=False, highlight=False)

    async def show_picture(self, standalone: "StandaloneApp") -> None:
        from rich.live import Live

        if not self._terminal.is_terminal:
            await self._print_changes(standalone)
            return
        with Live(console=self._terminal, auto_refresh=False) as live:
            try:
                while True:
                    live.update(self._draw_picture(standalone), refresh=True)
                    await asyncio.sleep(0.2)
            finally:
                live.update(self._draw_picture(standalone), refresh=True)

    async def _print_changes(self, standalone: "StandaloneApp") -> None:
        shown: list[tuple[str, ...]] = []
        before: list[tuple[str, ...]] = []
        while True:
            rows = [
                row for view in _sorted_views(standalone) for row in _server_rows(standalone, view)
            ]
            settled, before = rows == before, rows
            if settled and rows != shown:
                shown = rows
                for view in _sorted_views(standalone):
                    self._terminal.print(_frontend_table(standalone, view))
            await asyncio.sleep(SHOW_EVERY)

    def _draw_picture(self, standalone: "StandaloneApp") -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        tables = [_frontend_table(standalone, view) for view in _sorted_views(standalone)]
        return Group(*tables, Text("\n".join(self._lines)), Text("Ctrl-C ends it", style="dim"))


def _sorted_views(standalone: "StandaloneApp") -> list["FrontendView"]:
    views = standalone.reconciler.views
    return [views[key] for key in sorted(views)]


def _server_rows(standalone: "StandaloneApp", view: "FrontendView") -> list[tuple[str, ...]]:
    frontend = view.config.resolved.frontend
    observed = standalone.syncer.vips.observed.get(frontend.vip)
    length = view.config.settings.table_length
    rows: list[tuple[str, ...]] = []
    for one in view.decision.members:
        server = observed.servers.get(one.member.address) if observed else None
        share = server.buckets / length if server and server.buckets is not None else None
        member, colour = one.member, _COLOURS.get(one.state.value, "white")
        rows.append(
            (
                member.pool,
                member.backend.name,
                str(member.address),
                f"[{colour}]{one.state.value}[/]",
                str(member.weight),
                str(one.effective),
                "–" if share is None else f"{share:6.1%} {'█' * round(share * 20)}",
            )
        )
    return rows


def _frontend_table(standalone: "StandaloneApp", view: "FrontendView") -> "Table":
    from rich.table import Table

    frontend = view.config.resolved.frontend
    pool = f", pool {view.decision.active_pool} serves" if view.decision.active_pool else ""
    title = f"{frontend.key.name}: {frontend.vip} is {view.decision.state.value}{pool}"
    table = Table(title=title, title_justify="left", title_style="bold")
    columns = ("pool", "backend", "address", "state", "weight", "effective", "share in VPP")
    for column in columns:
        table.add_column(column)
    for row in _server_rows(standalone, view):
        table.add_row(*row)
    return table

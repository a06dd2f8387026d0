"""The flags of `vpplb monitor` and of the verb `monitor`, and the run that they ask for."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vpplb.cli.options import ADDRESS, DURATION, check_address
from vpplb.cli.terminal import CommandError, print_line

if TYPE_CHECKING:
    from vpplb.model.vip import IPAddress
    from vpplb.monitor.served_by import ServerNaming
    from vpplb.monitor.targets import AskedProbe, MonitorTarget, ProbePace

F = TypeVar("F", bound=Callable[..., Any])

FAILED, USAGE = 1, 2
"""How it exits when more failed than may, or nothing was measured; and on wrong usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorOptions:
    """What the flags say. Times are as given, `most_errors` None: however many."""

    interval: timedelta
    timeout: timedelta
    in_flight: int
    tcp: bool
    path: str
    host: str
    expect: str
    insecure: bool
    source: "IPAddress | None"
    server_header: str
    server_body: str
    lasting: timedelta | None
    most_errors: int | None
    report: timedelta
    output: str
    listen: str

    @property
    def pace(self) -> "ProbePace":
        from vpplb.monitor.targets import ProbePace

        return ProbePace(
            interval=self.interval.total_seconds(),
            timeout=self.timeout.total_seconds(),
            in_flight=self.in_flight,
        )

    def read_asked(self) -> "AskedProbe":
        """Return how to ask; click.UsageError for what cannot be asked."""
        from vpplb.monitor.targets import AskedProbe, BadTarget, parse_codes

        try:
            codes = parse_codes(self.expect) if self.expect else None
            return AskedProbe(
                tcp=self.tcp,
                path=self.path,
                host=self.host,
                codes=codes,
                insecure=self.insecure,
                source=self.source,
            )
        except (BadTarget, ValueError) as error:
            raise click.UsageError(str(error)) from error

    def read_server_name(self) -> "ServerNaming | None":
        """Return where answers name their server, None: nowhere."""
        import re2

        from vpplb.monitor.served_by import ServerNaming

        if not self.server_header and not self.server_body:
            return None
        if self.server_header and self.server_body:
            raise click.UsageError("give either --server-header or --server-body")
        try:
            body = re2.compile(self.server_body.encode()) if self.server_body else None
        except re2.error as error:
            raise click.UsageError(f"--server-body is no expression: {error}") from error
        return ServerNaming(header=self.server_header, body=body)


_FLAGS = (
    click.option(
        "--interval", default="100ms", show_default=True, type=DURATION,
        help="How often each VIP is probed.",
    ),
    click.option(
        "--timeout", default="900ms", show_default=True, type=DURATION,
        help="How long a probe may take: by default less than the second after which a lost SYN"
        " is sent again.",
    ),
    click.option(
        "--in-flight", default=1, show_default=True, type=click.IntRange(1, 1000),
        help="Probes of a VIP that may be under way at a time. With 1 a probe that is lost hides"
        " what comes behind it for a whole timeout: to time a failover give --timeout by"
        " --interval.",
    ),
    click.option("--tcp", is_flag=True, help="Only connect, whatever could be asked."),
    click.option("--path", default="", help="Ask for this path, by HTTP if need be."),
    click.option("--host", default="", help="Host header to ask with, by HTTP if need be."),
    click.option(
        "--expect", default="", metavar="CODES",
        help="Status codes that are right, such as 200 or 200-299.  [default: 200-399, or the"
        " check's]",
    ),
    click.option("--insecure", is_flag=True, help="Do not verify certificates."),
    click.option("--source", default=None, type=ADDRESS, help="Address to probe from."),
    click.option(
        "--server-header", default="", metavar="NAME",
        help="Header by which answers name their server, such as X-Served-By.",
    ),
    click.option(
        "--server-body", default="", metavar="REGEXP",
        help="What in the body names the server: the first group, or all that is found.",
    ),
    click.option(
        "--for", "lasting", default=None, type=DURATION,
        help="End after so long.  [default: Ctrl-C]",
    ),
    click.option(
        "--max-errors", "most_errors", default=None, type=click.IntRange(min=0),
        help="Exit with 1 if more probes failed.  [default: however many]",
    ),
    click.option(
        "--report", default="10s", show_default=True, type=DURATION,
        help="How often figures are written where there is no page.",
    ),
    click.option(
        "-o", "--output", default="auto", show_default=True,
        type=click.Choice(["auto", "page", "lines", "json"]),
        help="How to show it; auto: a page on a terminal, else lines; json: an object a line.",
    ),
    click.option(
        "--listen", default="", metavar="ADDRESS", callback=check_address,
        help="Where to serve it as Prometheus metrics, such as 127.0.0.1:9095.",
    ),
)  # fmt: skip


def monitor_flags(function: F) -> Callable[..., Any]:
    """Add the flags that say how to probe and what to show, given as `options`."""

    @wraps(function)
    def with_options(**given: Any) -> Any:
        own = {name: given.pop(name) for name in MonitorOptions.__dataclass_fields__}
        return function(options=MonitorOptions(**own), **given)

    wrapped: Callable[..., Any] = with_options
    for flag in reversed(_FLAGS):
        wrapped = flag(wrapped)
    return wrapped


def run_monitor(
    options: MonitorOptions, targets: Sequence["MonitorTarget"], notes: Sequence[str]
) -> None:
    """Probe until it is over, and exit as the flags say. Notes are said before."""
    from vpplb.cli.monitor_session import MonitorSession
    from vpplb.cli.service_runner import run_service
    from vpplb.monitor.targets import drop_repeated

    asked = options.read_asked()
    asked_targets = drop_repeated(asked.apply_to(one) for one in targets)
    for note in notes:
        print_line(f"note: not probed: {note}", err=True)
    if not asked_targets:
        raise CommandError("there is no VIP to probe")
    session = MonitorSession(options, asked_targets, options.read_server_name())
    run_service(session.run)
    if not session.is_good():
        sys.exit(FAILED)

"""Options that several commands share, and how every option reads its environment variable."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def option(flag: str, **settings: Any) -> Callable[[F], F]:
    """A click option that is also read from `VPPLB_<FLAG>`; the flag on the line wins."""
    name = flag.split("/", maxsplit=1)[0].removeprefix("--").replace("-", "_").upper()
    settings.setdefault("show_default", True)
    return click.option(flag, envvar=f"VPPLB_{name}", show_envvar=True, **settings)


vpp_api_socket = option(
    "--vpp-api-socket", default="/run/vpp/api.sock", help="Unix socket of VPP's binary API."
)
http_address = option(
    "--http-address", default=":9091", help="Where to serve metrics and health; empty: nowhere."
)
log_level = option(
    "--log-level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="Least severe lines to log.",
)
log_format = option(
    "--log-format",
    default=None,
    type=click.Choice(["console", "json"]),
    help="How to write logs.  [default: console on a terminal, else json]",
)

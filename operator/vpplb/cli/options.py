"""Options that several commands share, and how every option reads its environment variable."""

import logging
import socket
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vpplb.cli.control_socket import CONTROL_SOCKET
from vpplb.cli.terminal import CommandError
from vpplb.model.durations import parse_duration
from vpplb.model.names import ObjectKey
from vpplb.telemetry.listen_address import parse_address
from vpplb.telemetry.logs import LogFormat, configure_logs

if TYPE_CHECKING:
    from vpplb.model.vip import IPAddress
    from vpplb.plan.probe_reach import ProbeReach
    from vpplb.telemetry.failover_traces import FailoverTraces

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


class _ParsedType(click.ParamType[Any]):
    """A parameter read by a function that raises ValueError."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _positive_duration(text: str) -> timedelta:
    duration = parse_duration(text)
    if not duration:
        raise ValueError("must be longer than 0s")
    return duration


def _lease_duration(text: str) -> timedelta:
    duration = parse_duration(text)
    if duration < timedelta(seconds=1) or duration.microseconds:
        raise ValueError("must be whole seconds, at least 1s")  # as a Lease counts
    return duration


def check_address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    return value


def check_advertised(ctx: click.Context, param: click.Parameter, value: str) -> str:
    from vpplb.direct.operator_directory import parse_address as parse_advertised

    try:
        return parse_advertised(value) if value else ""
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def check_account(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        return str(ObjectKey.parse_text(value)) if value else ""
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _address(text: str) -> "IPAddress":
    from vpplb.resources.addresses import read_address

    try:
        return read_address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no IPv4 or IPv6 address") from error


DURATION = _ParsedType("duration", _positive_duration)
ADDRESS = _ParsedType("address", _address)
PREFIX = _ParsedType("prefix", ip_network)
IPV4 = _ParsedType("ipv4 address", IPv4Address)
IPV6 = _ParsedType("ipv6 address", IPv6Address)


def env_option(flag: str, *names: str, **settings: Any) -> Callable[[F], F]:
    """A click option that is also read from `VPPLB_<FLAG>`; the flag on the line wins."""
    name = flag.split("/", maxsplit=1)[0].removeprefix("--").replace("-", "_").upper()
    settings.setdefault("show_default", True)
    return click.option(flag, *names, envvar=f"VPPLB_{name}", show_envvar=True, **settings)


_ALLOW_LOOPBACK = env_option(
    "--allow-loopback",
    is_flag=True,
    help="Accept VIPs and servers on loopback addresses, for trials on one machine.",
)
_ALLOW_NAT = env_option(
    "--allow-nat",
    is_flag=True,
    help="Accept VIPs by NAT4 and NAT6, in spite of what VPP gets wrong (docs/router.md).",
)


def allowance_flags(function: F) -> Callable[..., Any]:
    """Add the flags by which a person asks for what is refused otherwise, given as `allowed`."""

    @wraps(function)
    def with_allowed(allow_loopback: bool, allow_nat: bool, **rest: Any) -> Any:
        from vpplb.resources.allowances import AddressAllowances

        return function(allowed=AddressAllowances(loopback=allow_loopback, nat=allow_nat), **rest)

    return _ALLOW_LOOPBACK(_ALLOW_NAT(with_allowed))


_PROBE_ALLOW = env_option(
    "--probe-allow",
    multiple=True,
    type=PREFIX,
    metavar="PREFIX",
    show_default="everywhere but where it is denied",
    help="Prefix that probes may go to; may be given several times. With any they go nowhere else."
    " The most specific prefix that holds an address decides, be it allowed or denied.",
)
_PROBE_DENY = env_option(
    "--probe-deny",
    multiple=True,
    type=PREFIX,
    metavar="PREFIX",
    show_default="link-local addresses, loopback without --allow-loopback, and those by which"
    " clouds tell a machine its credentials",
    help="Prefix that probes may not go to, besides the default ones; may be given several times.",
)


def probe_flags(function: F) -> Callable[..., Any]:
    """Add the flags that say where probes may go, into the `allowed` of `allowance_flags`."""

    @wraps(function)
    def with_probes(probe_allow: Any, probe_deny: Any, allowed: Any, **rest: Any) -> Any:
        for prefix in probe_deny:
            if prefix in probe_allow:
                raise click.UsageError(f"{prefix} is given by --probe-allow and --probe-deny")
        return function(
            allowed=replace(allowed, probe_allow=probe_allow, probe_deny=probe_deny), **rest
        )

    return _PROBE_ALLOW(_PROBE_DENY(with_probes))


def warn_of_gap(reach: "ProbeReach") -> None:
    """Log that IPv4 or IPv6 is denied whole where that may be a slip, once logs are set up."""
    if gap := reach.describe_gap():
        log.warning("%s", gap)


_IPV4_SOURCE = env_option(
    "--ipv4-source-address", default=None, type=IPV4, help="Outer source of GRE over IPv4."
)
_IPV6_SOURCE = env_option(
    "--ipv6-source-address", default=None, type=IPV6, help="Outer source of GRE over IPv6."
)


def source_flags(function: F) -> Callable[..., Any]:
    """Add the flags for the outer sources of GRE, given as `conf`."""

    @wraps(function)
    def with_conf(ipv4_source_address: Any, ipv6_source_address: Any, **rest: Any) -> Any:
        from vpplb.plan.settings import DesiredSettings

        conf = DesiredSettings(ipv4_source=ipv4_source_address, ipv6_source=ipv6_source_address)
        return function(conf=conf, **rest)

    return _IPV4_SOURCE(_IPV6_SOURCE(with_conf))


_LOG_LEVEL = env_option(
    "--log-level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="Least severe lines to log.",
)
_LOG_FORMAT = env_option(
    "--log-format",
    default=None,
    type=click.Choice(["console", "journal", "json"]),
    help="How to write logs.  [default: console on a terminal, else json]",
)


def log_flags(function: F) -> Callable[..., Any]:
    """Add the flags for logs, which are set up before the command runs."""

    @wraps(function)
    def with_logs(log_level: str, log_format: LogFormat | None, **rest: Any) -> Any:
        configure_logs(log_level, log_format)
        return function(**rest)

    return _LOG_LEVEL(_LOG_FORMAT(with_logs))


_TRACES = env_option(
    "--traces",
    is_flag=True,
    help="Trace failovers by OpenTelemetry, to where OTEL_EXPORTER_OTLP_ENDPOINT says; needs"
    " `pip install vpplb[otel]`.",
)


def traces_flag(program: str) -> Callable[[F], Callable[..., Any]]:
    """Add the flag for traces, given as `traces`: open while the command runs, or None."""

    def add_flag(function: F) -> Callable[..., Any]:
        @wraps(function)
        def with_traces(traces: bool, **rest: Any) -> Any:
            with closing(_open_traces(program)) if traces else nullcontext() as opened:
                return function(traces=opened, **rest)

        return _TRACES(with_traces)

    return add_flag


def _open_traces(program: str) -> "FailoverTraces":
    try:
        from vpplb.telemetry.failover_traces import open_traces
    except ImportError as error:
        raise CommandError(f"--traces needs `pip install vpplb[otel]`: {error}") from error
    return open_traces(program)


vpp_api_socket = env_option(
    "--vpp-api-socket",
    default="/run/vpp/api.sock",
    type=click.Path(path_type=Path),
    help="Unix socket of VPP's binary API.",
)
vpp_stats_socket = env_option(
    "--vpp-stats-socket",
    default="/run/vpp/stats.sock",
    type=click.Path(path_type=Path),
    help="Unix socket of VPP's stats segment, which has the packets of each VIP.",
)
sync_interval = env_option(
    "--sync-interval",
    default="30s",
    type=DURATION,
    help="How often all of VPP is read and compared.",
)
own_all = env_option(
    "--own-all", is_flag=True, help="Remove VIPs that are no frontend's, whoever made them."
)


control_socket = env_option(
    "--control-socket",
    **CONTROL_SOCKET,
    help="Where `vpplb ctl` reaches this program; empty: nowhere.",
)

netns = env_option(
    "--netns", default="", help="Network namespace that probes leave from (name or path)."
)
transition_history = env_option(
    "--transition-history",
    default=5,
    type=click.IntRange(1, 100),
    help="Transitions kept in a Backend's status.",
)
probe_workers = env_option(
    "--probe-workers",
    default=0,
    type=click.IntRange(0, 64),
    help="Processes that probe; 0: as many as the load needs, at most one a core.",
)
status_writes_per_second = env_option(
    "--status-writes-per-second",
    default=250,
    type=click.IntRange(min=0),
    help="Statuses written in a second, at most, in the long run; 0: as many as there are.",
)
no_blind_guard = env_option(
    "--no-blind-guard",
    is_flag=True,
    help="Believe the probes even where almost all backends fall silent at once.",
)
namespaces = env_option(
    "--namespace",
    multiple=True,
    help="Namespace to serve; may be given several times.  [default: all]",
)
lease_namespace = env_option(
    "--lease-namespace", default="default", help="Namespace of the agents' leases."
)
_RELEASE = env_option(
    "--release",
    default="",
    show_default="the namespace of the agents' leases",
    help="Release that this program is of: an operator counts the nodes of its own release's"
    " agents, and an agent leaves another release's node alone.",
)


def release(function: F) -> Callable[..., Any]:
    """Add the flag that names the release, given as `release`."""

    @wraps(function)
    def with_release(release: str, **rest: Any) -> Any:
        return function(release=release or rest["lease_namespace"], **rest)

    return _RELEASE(with_release)


election_namespace = env_option(
    "--election-namespace",
    default="kube-system",
    help="Namespace of the lease of all operators: the same for each in a cluster.",
)
lease_name = env_option(
    "--lease-name",
    default="vpplb-operator",
    help="Lease by which operators agree who serves what: the same for each in a cluster.",
)
no_direct = env_option(
    "--no-direct",
    is_flag=True,
    help="Have decisions go by the API server alone, and none directly from operator to agents.",
)
_DIRECT_ADDRESS = env_option(
    "--direct-address",
    default=":9443",
    callback=check_address,
    help="Where to serve agents directly; empty: nowhere.",
)
_DIRECT_ADVERTISE = env_option(
    "--direct-advertise",
    default="",
    callback=check_advertised,
    show_default="this host's address towards the API server, and that port",
    help="host:port by which agents reach that.",
)
_AGENT_ACCOUNT = env_option(
    "--agent-account",
    default="",
    callback=check_account,
    show_default="vpplb-agent in the namespace of the agents' leases",
    help="namespace/name of the agents' ServiceAccount.",
)


def direct_flags(function: F) -> Callable[..., Any]:
    """Add the flags of the operator's direct road, given as `direct`, None where it is off."""

    @wraps(function)
    def with_direct(
        no_direct: bool, direct_address: str, direct_advertise: str, agent_account: str, **rest: Any
    ) -> Any:
        from vpplb.controller.direct_service import DirectOptions

        listen = parse_address(direct_address)
        account = agent_account or f"{rest['lease_namespace']}/vpplb-agent"
        direct = (
            DirectOptions(
                listen=listen, advertise=direct_advertise, account=ObjectKey.parse_text(account)
            )
            if listen and not no_direct
            else None
        )
        return function(direct=direct, **rest)

    return no_direct(_DIRECT_ADDRESS(_DIRECT_ADVERTISE(_AGENT_ACCOUNT(with_direct))))


lease_duration = env_option(
    "--lease-duration",
    default="15s",
    type=_ParsedType("duration", _lease_duration),
    help="How long after a leader's crash another takes over.",
)
identity = env_option(
    "--identity",
    default=socket.gethostname,
    show_default="host name",
    help="Name of this operator in the election, best that of its pod; it gets a suffix.",
)


def _http_address(default: str) -> Callable[[F], F]:
    return env_option(
        "--http-address",
        default=default,
        callback=check_address,
        help="Where to serve metrics and health; empty: nowhere.",
    )


http_address = _http_address(":9091")
local_http_address = _http_address("127.0.0.1:9091")
http_hosts = env_option(
    "--http-host",
    "http_hosts",
    multiple=True,
    help="Name in a URL by which this server may be read, besides addresses, this host's own name"
    " and services of the cluster; `*`: any.",
)

"""`vpplb standalone`: operator and agent in one process, no cluster."""

import sys
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vpplb.cli.options import (
    allowance_flags,
    env_option,
    http_address,
    http_hosts,
    ipv4_source_address,
    ipv6_source_address,
    log_format,
    log_level,
    netns,
    no_blind_guard,
    own_all,
    probe_workers,
    sync_interval,
    transition_history,
    vpp_api_socket,
    vpp_stats_socket,
)
from vpplb.cli.service_runner import run_service
from vpplb.cli.terminal import print_line
from vpplb.telemetry.logs import LogFormat, configure_logs

if TYPE_CHECKING:
    from vpplb.resources.allowances import AddressAllowances


@click.command(short_help="Operator and agent in one process, from a folder of manifests.")
@click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@vpp_api_socket
@vpp_stats_socket
@env_option(
    "--state-file",
    default="/var/lib/vpplb/standalone.json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where states are kept across restarts, so that a restart takes nothing out.",
)
@sync_interval
@ipv4_source_address
@ipv6_source_address
@own_all
@netns
@transition_history
@probe_workers
@no_blind_guard
@allowance_flags
@http_address
@http_hosts
@log_level
@log_format
def standalone_command(
    folder: Path,
    vpp_api_socket: Path,
    vpp_stats_socket: Path,
    state_file: Path,
    sync_interval: timedelta,
    ipv4_source_address: IPv4Address | None,
    ipv6_source_address: IPv6Address | None,
    own_all: bool,
    netns: str,
    transition_history: int,
    probe_workers: int,
    no_blind_guard: bool,
    allowed: "AddressAllowances",
    http_address: str,
    http_hosts: tuple[str, ...],
    log_level: str,
    log_format: LogFormat | None,
) -> None:
    """Probe backends and program one VPP, from the manifests in DIR; no cluster is needed.

    DIR holds the same Frontends, Backends and HealthChecks as a cluster would. It is read again
    when a file changes and on SIGHUP; a set of files with a mistake is refused with file and
    line, and what runs goes on. Validate beforehand with `vpplb check DIR`.
    """
    from vpplb.files.manifests import BadManifests
    from vpplb.plan.settings import DesiredSettings
    from vpplb.standalone.app import StandaloneApp, StandaloneOptions

    configure_logs(log_level, log_format)
    options = StandaloneOptions(
        folder=folder,
        vpp_api_socket=vpp_api_socket,
        vpp_stats_socket=vpp_stats_socket,
        state_file=state_file,
        http_address=http_address,
        http_hosts=http_hosts,
        netns=netns,
        transition_history=transition_history,
        probe_workers=probe_workers,
        blind_guard=not no_blind_guard,
        allowed=allowed,
        sync_interval=sync_interval.total_seconds(),
        own_all=own_all,
        conf=DesiredSettings(ipv4_source=ipv4_source_address, ipv6_source=ipv6_source_address),
    )
    try:
        run_service(lambda stop: StandaloneApp(options).run(stop))
    except BadManifests as error:
        for finding in error.findings:
            print_line(finding, err=True)
        sys.exit(2)

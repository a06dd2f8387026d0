"""`vpplb agent`: program this node's VPP."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import click

from vpplb.cli.options import (
    env_option,
    http_address,
    http_hosts,
    ipv4_source_address,
    ipv6_source_address,
    lease_namespace,
    log_format,
    log_level,
    namespaces,
    own_all,
    sync_interval,
    vpp_api_socket,
    vpp_stats_socket,
)
from vpplb.cli.service_runner import run_service
from vpplb.telemetry.logs import LogFormat, configure_logs


@click.command(short_help="Program this node's VPP as the Frontends' status says.")
@env_option("--node", required=True, help="Name of this node; its Dataplane is named the same.")
@vpp_api_socket
@vpp_stats_socket
@env_option(
    "--state-file",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to remember, across restarts, which VIPs are ours and which flows were cut.",
)
@sync_interval
@ipv4_source_address
@ipv6_source_address
@own_all
@lease_namespace
@namespaces
@http_address
@http_hosts
@log_level
@log_format
def agent_command(
    node: str,
    vpp_api_socket: Path,
    vpp_stats_socket: Path,
    state_file: Path | None,
    sync_interval: timedelta,
    ipv4_source_address: IPv4Address | None,
    ipv6_source_address: IPv6Address | None,
    own_all: bool,
    lease_namespace: str,
    namespace: tuple[str, ...],
    http_address: str,
    http_hosts: tuple[str, ...],
    log_level: str,
    log_format: LogFormat | None,
) -> None:
    """Make this node's VPP what the Frontends' status says, and keep it so.

    Only VIPs that were made for a Frontend are ever changed or removed. VPP needs the lb plugin
    with per-server weights (VPP 26.10). It goes on forwarding when the agent stops.
    """
    from vpplb.agent.app import AgentOptions
    from vpplb.agent.app import run as run_agent
    from vpplb.plan.settings import DesiredSettings

    configure_logs(log_level, log_format)
    options = AgentOptions(
        node=node,
        vpp_api_socket=vpp_api_socket,
        vpp_stats_socket=vpp_stats_socket,
        state_file=state_file,
        namespaces=namespace,
        http_address=http_address,
        http_hosts=http_hosts,
        sync_interval=sync_interval.total_seconds(),
        own_all=own_all,
        conf=DesiredSettings(ipv4_source=ipv4_source_address, ipv6_source=ipv6_source_address),
        lease_namespace=lease_namespace,
    )
    run_service(lambda stop: run_agent(options, stop))

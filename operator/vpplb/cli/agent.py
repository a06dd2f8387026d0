"""`vpplb agent`: program this node's VPP."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from vpplb.cli import options
from vpplb.cli.http_flags import agent_http_flags
from vpplb.cli.service_runner import run_service


@click.command(short_help="Program this node's VPP as the Frontends' status says.")
@options.env_option(
    "--node", required=True, help="Name of this node; its Dataplane is named the same."
)
@options.vpp_api_socket
@options.vpp_stats_socket
@options.env_option(
    "--state-file",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to remember, across restarts, which VIPs are ours and which flows were cut.",
)
@options.sync_interval
@options.source_flags
@options.own_all
@options.lease_namespace
@options.release
@options.no_direct
@options.env_option(
    "--direct-token-file",
    default=Path("/var/run/secrets/vpplb.dev/token"),
    type=click.Path(path_type=Path, dir_okay=False),
    help="Token that operators are shown; where there is none, the direct road is off.",
)
@options.env_option(
    "--mark-stale/--no-mark-stale",
    default=True,
    show_default=True,
    help="Whether statuses are made to say that nobody probes, where no operator is left.",
)
@options.election_namespace
@options.lease_name
@options.namespaces
@options.http_address
@options.http_hosts
@agent_http_flags
@options.log_flags
@options.traces_flag("agent")
def agent_command(
    namespace: tuple[str, ...],
    sync_interval: timedelta,
    no_direct: bool,
    direct_token_file: Path,
    **given: Any,
) -> None:
    """Make this node's VPP what the Frontends' status says, and keep it so.

    Decisions come from the operator directly as well, so that a failover does not wait for the API
    server. Only VIPs that were made for a Frontend are ever changed or removed. VPP needs the lb
    plugin with per-server weights (VPP 26.10). It goes on forwarding when the agent stops.
    """
    from vpplb.agent.agent_parts import AgentOptions
    from vpplb.agent.app import run

    seconds = sync_interval.total_seconds()
    asked = AgentOptions(
        namespaces=namespace,
        sync_interval=seconds,
        direct_token=None if no_direct else direct_token_file,
        **given,
    )
    run_service(lambda stop: run(asked, stop))

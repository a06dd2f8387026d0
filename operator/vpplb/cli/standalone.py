"""`vpplb standalone`: operator and agent in one process, no cluster."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from vpplb.cli import options
from vpplb.cli.http_flags import local_http_flags
from vpplb.cli.service_runner import run_service
from vpplb.cli.terminal import exit_on_findings


@click.command(short_help="Operator and agent in one process, from a folder of manifests.")
@click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@options.vpp_api_socket
@options.vpp_stats_socket
@options.env_option(
    "--state-file",
    default="/var/lib/vpplb/standalone.json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where states are kept across restarts, so that a restart takes nothing out; "
    "for one program alone.",
)
@options.control_socket
@options.sync_interval
@options.source_flags
@options.own_all
@options.netns
@options.transition_history
@options.probe_workers
@options.no_blind_guard
@options.allowance_flags
@options.probe_flags
@options.local_http_address
@options.http_hosts
@local_http_flags
@options.log_flags
@options.traces_flag("standalone")
@exit_on_findings(2)
def standalone_command(sync_interval: timedelta, no_blind_guard: bool, **given: Any) -> None:
    """Probe backends and program one VPP, from the manifests in DIR; no cluster is needed.

    DIR holds the same Frontends, Backends and HealthChecks as a cluster would. It is read again
    when a file changes and on SIGHUP; a set of files with a mistake is refused with file and
    line, and what runs goes on, over restarts too. Validate beforehand with `vpplb check DIR`.
    `vpplb ctl` shows and steers it: who may open the control socket (its owner and group) may do
    so.

    A service manager is told when it is ready, reloading and stopping, and given signs of life
    (Type=notify, WatchdogSec= of systemd). Metrics, health and the dashboard are served to this
    machine alone unless --http-address says otherwise: nobody is asked for a password there, unless
    --http-auth says so. With --http-actions whoever has an account acts from the dashboard.
    """
    from vpplb.standalone.app import StandaloneApp
    from vpplb.standalone.standalone_parts import StandaloneOptions

    asked = StandaloneOptions(
        sync_interval=sync_interval.total_seconds(), blind_guard=not no_blind_guard, **given
    )
    options.warn_of_gap(asked.allowed.reach)
    run_service(lambda stop: StandaloneApp(asked).run(stop))

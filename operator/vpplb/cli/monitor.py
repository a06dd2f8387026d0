"""`vpplb monitor`: VIPs as customers see them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vpplb.cli.monitor_flags import USAGE, MonitorOptions, monitor_flags, run_monitor
from vpplb.cli.terminal import exit_on_findings

if TYPE_CHECKING:
    from vpplb.monitor.targets import MonitorTarget


@click.command(short_help="Probe VIPs from outside, as customers do, and show what they see.")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option(
    "-f",
    "--filename",
    "manifests",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, allow_dash=True),
    help="File or folder of manifests, or - for standard input: their frontends are probed; may be"
    " given several times.",
)
@monitor_flags
@exit_on_findings(USAGE)
def monitor_command(
    targets: tuple[str, ...], manifests: tuple[Path, ...], options: MonitorOptions
) -> None:
    """Open a new connection to each VIP ten times a second, and show what came of it.

    TARGET is an address with a port (192.0.2.1:80, [2001:db8::1]:443) or a URL (http://…,
    https://…). Frontends of manifests are asked as their health check asks a backend, where that
    goes to the port that serves, else by connecting. `kubectl vpplb monitor` probes what a
    cluster has, `vpplb ctl monitor` what this router has.

    Shown are the times of probes that passed (p50, p95, p99, maximum), failures by kind (refused,
    reset, timeout, unreachable, tls, unexpected), spells of failures, and which server answered,
    where --server-header or --server-body say how it names itself. A turn that is skipped
    since a probe is still under way counts with the time that it would have waited: a stall does
    not hide.

    \b
    Exit status:  0  it ran, and no more failed than --max-errors
                  1  more failed, or nothing could be measured
                  2  wrong usage or wrong manifests
    \b
    Examples:     vpplb monitor 192.0.2.10:80
                  vpplb monitor http://192.0.2.10/ --host www.example.org --in-flight 10
                  vpplb monitor -f manifests/ --for 60s --max-errors 0
                  vpplb monitor http://192.0.2.10/ --server-header X-Served-By -o json
    """
    from vpplb.monitor.targets import BadTarget, resolve_argument

    if not targets and not manifests:
        raise click.UsageError("give a TARGET such as 192.0.2.1:80, or manifests with -f")
    try:
        found = [resolve_argument(one) for one in targets]
    except BadTarget as error:
        raise click.UsageError(str(error)) from error
    read, notes = _read_manifests(manifests) if manifests else ([], [])
    run_monitor(options, [*found, *read], notes)


def _read_manifests(paths: tuple[Path, ...]) -> tuple[list["MonitorTarget"], list[str]]:
    from vpplb.files.findings import BadManifests
    from vpplb.files.manifests import load_manifests
    from vpplb.monitor.targets import list_targets
    from vpplb.resources.allowances import EVERYTHING

    loaded = load_manifests(paths, EVERYTHING)
    if loaded.findings:
        raise BadManifests(loaded.findings)
    return list_targets(loaded.frontends, loaded.backends, loaded.health_checks)

"""`kubectl vpplb monitor`: the frontends' VIPs as customers see them."""

from typing import TYPE_CHECKING

import click

from vpplb.cli.monitor_flags import MonitorOptions, monitor_flags, run_monitor
from vpplb.cli.verbs.completion import complete_frontends
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.session import UsualFlags, VerbFailure, VerbSession
from vpplb.model.names import ObjectKind

if TYPE_CHECKING:
    from vpplb.monitor.targets import MonitorTarget


@click.command(
    name="monitor",
    cls=VerbCommand,
    short_help="Probe VIPs from outside, as customers do, and show what they see.",
)
@click.argument("names", metavar="[FRONTEND]...", nargs=-1, shell_complete=complete_frontends)
@monitor_flags
@usual_flags(all_namespaces=True, selector=True)
def monitor_command(flags: UsualFlags, names: tuple[str, ...], options: MonitorOptions) -> None:
    """Open a new connection to each frontend's VIP ten times a second, and show what came of it.

    From this machine: it must have a way to the VIPs, through VPP. Frontends are those there are
    when it begins, and are asked as their health check asks a backend, where that goes to the
    port that serves, else by connecting. `vpplb monitor` probes addresses and manifests, and
    says what is shown.

    \b
    Examples:   kubectl vpplb monitor
                kubectl vpplb monitor web --server-header X-Served-By
                kubectl vpplb monitor -l team=shop --for 60s --max-errors 0
    """
    targets, notes = flags.run_work(lambda session: _find_targets(session, names))
    run_monitor(options, targets, notes)


async def _find_targets(
    session: VerbSession, names: tuple[str, ...]
) -> tuple[list["MonitorTarget"], list[str]]:
    """Read the frontends, and what their health checks ask; VerbFailure when one is not there."""
    from vpplb.monitor.targets import list_targets
    from vpplb.resources.allowances import EVERYTHING
    from vpplb.resources.stored import read_backend, read_frontend, read_health_check

    raw = [await session.get_object(ObjectKind.FRONTEND, name) for name in names]
    raw = raw or await session.select_objects(ObjectKind.FRONTEND)
    frontends = [read_frontend(one, EVERYTHING) for one in raw]
    if bad := [str(problem) for one in frontends if one.value is None for problem in one.problems]:
        raise VerbFailure("; ".join(bad))
    backends = [
        read_backend(one, EVERYTHING) for one in await session.list_objects(ObjectKind.BACKEND)
    ]
    checks = [
        read_health_check(one, EVERYTHING)
        for one in await session.list_objects(ObjectKind.HEALTH_CHECK)
    ]
    return list_targets(
        {one.value.key: one.value for one in frontends if one.value},
        {one.value.key: one.value for one in backends if one.value},
        {one.value.key: one.value for one in checks if one.value},
    )

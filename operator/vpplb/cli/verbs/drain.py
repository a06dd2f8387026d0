"""`kubectl vpplb drain`: take backends out once their flows have had time to end."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import click

from vpplb.acting.spec_edits import DISABLE_PAUSED, PAUSE
from vpplb.cli.options import DURATION
from vpplb.cli.terminal import print_line
from vpplb.cli.verbs.completion import complete_backends
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.rollout_wait import timeout_flag
from vpplb.cli.verbs.session import UsualFlags, VerbFailure, VerbSession
from vpplb.cli.verbs.switches import (
    check_choice,
    find_backends,
    turn_switch,
    wait_and_tell,
)
from vpplb.kube.api_types import ApiError, JsonObject, key_of
from vpplb.model.names import ObjectKind
from vpplb.resources.raw_fields import spec_of


@click.command(
    name="drain",
    cls=VerbCommand,
    short_help="Take backends out once their flows have had time to end.",
)
@click.argument("backends", metavar="BACKEND...", nargs=-1, shell_complete=complete_backends)
@click.option(
    "--for",
    "grace",
    default="1m",
    show_default=True,
    type=DURATION,
    help="How long flows may still end by themselves.",
)
@timeout_flag
@usual_flags(selector=True)
def drain_command(
    flags: UsualFlags, backends: tuple[str, ...], grace: timedelta, timeout: timedelta
) -> None:
    """Give backends no new flows, let those that they have end for a while, then cut the rest.

    It pauses them, waits until all nodes have that, waits as long as --for says, and disables
    them. VPP counts no flows of a server, so nobody can tell sooner that they have ended.
    `enable` brings them back. Interrupted on the way it leaves them paused, and `resume` brings
    them back. One that somebody has resumed meanwhile is left in; the exit status is 1 then.

    \b
    Examples:   kubectl vpplb drain nginx0
                kubectl vpplb drain nginx0 nginx1 --for 10m
                kubectl vpplb drain -l rack=b7
    """
    check_choice(backends, flags)
    flags.run_work(lambda session: _drain_backends(session, backends, grace, timeout))


async def _drain_backends(
    session: VerbSession, names: Sequence[str], grace: timedelta, timeout: timedelta
) -> None:
    found = await find_backends(session, names)
    newest = [await turn_switch(session, raw, PAUSE) for raw in found]
    for raw in newest:
        await wait_and_tell(session, raw, timeout)
    print_line(f"flows may end for {grace.total_seconds():g} s")
    try:
        await wait_for_flows(grace.total_seconds())
    except (asyncio.CancelledError, KeyboardInterrupt):
        for raw in found:
            print_line(f"backend {raw['metadata']['name']} stays paused: `resume` undoes it")
        raise
    resumed = [raw for raw in found if not await _disable_paused(session, raw)]
    if resumed:
        left = ", ".join(raw["metadata"]["name"] for raw in resumed)
        raise VerbFailure(f"not drained, since resumed by somebody meanwhile: {left}")


async def wait_for_flows(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _disable_paused(session: VerbSession, raw: JsonObject) -> bool:
    """Disable a backend unless somebody has resumed it meanwhile; tell whether it is out."""
    client, key = session.client, key_of(raw)
    try:
        await client.apply_json_patch(ObjectKind.BACKEND, key, DISABLE_PAUSED)
    except ApiError as error:
        if error.status != 422:
            raise
        spec = spec_of(await client.get_object(ObjectKind.BACKEND, key))
        if spec.get("paused"):
            raise  # not for the test in the patch
        if spec.get("enabled") is not False:
            return False
    print_line(f"backend {key.name} disabled: `enable` brings it back")
    return True

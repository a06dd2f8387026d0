"""`kubectl vpplb pause`, `resume`, `disable` and `enable`: take backends out, and back."""

from collections.abc import Sequence
from datetime import timedelta

import click

from vpplb.acting.spec_edits import DISABLE, ENABLE, PAUSE, RESUME, BackendSwitch
from vpplb.cli.terminal import print_line
from vpplb.cli.verbs.completion import complete_backends
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.rollout_wait import find_backend_lack, timeout_flag, wait_flag, wait_until
from vpplb.cli.verbs.session import UsualFlags, VerbFailure, VerbSession
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKind
from vpplb.resources.raw_fields import spec_of


def _switch_command(verb: str, switch: BackendSwitch, text: str) -> click.Command:
    """Make a command that turns a switch of each BACKEND."""

    @click.command(
        name=verb, cls=VerbCommand, help=text, short_help=text.split("\n", maxsplit=1)[0]
    )
    @click.argument("backends", metavar="BACKEND...", nargs=-1, shell_complete=complete_backends)
    @wait_flag
    @timeout_flag
    @usual_flags(selector=True)
    def switch_command(
        flags: UsualFlags, backends: tuple[str, ...], wait: bool, timeout: timedelta
    ) -> None:
        check_choice(backends, flags)

        async def turn_all(session: VerbSession) -> None:
            found = await find_backends(session, backends)
            newest = [await turn_switch(session, raw, switch) for raw in found]
            for raw in newest if wait else ():
                await wait_and_tell(session, raw, timeout)
            kept = [raw for raw in newest if wait and switch.find_other(raw)]
            if kept:
                names = ", ".join(raw["metadata"]["name"] for raw in kept)
                raise VerbFailure(f"out all the same: {names}; {switch.find_other(kept[0])}")

        flags.run_work(turn_all)

    return switch_command


def check_choice(names: Sequence[str], flags: UsualFlags) -> None:
    """UsageError unless backends are chosen in one of both ways."""
    if bool(names) == bool(flags.labels):
        raise click.UsageError("name each BACKEND, or choose them by -l")


async def find_backends(session: VerbSession, names: Sequence[str]) -> list[JsonObject]:
    """Read the backends of these names, or those that the selector of the flags chooses.

    All are looked up before the first is changed: a mistyped name leaves nothing half done.
    """
    if names:
        return [await session.get_object(ObjectKind.BACKEND, name) for name in dict.fromkeys(names)]
    found = sorted(await session.select_objects(ObjectKind.BACKEND), key=key_of)
    if not found:
        raise VerbFailure(f"no backend has the labels {session.labels}")
    return found


async def turn_switch(session: VerbSession, raw: JsonObject, switch: BackendSwitch) -> JsonObject:
    name = raw["metadata"]["name"]
    if switch.is_turned(raw):
        print_line(f"backend {name} already {switch.done}{_but(switch.find_other(raw))}")
        return raw
    newest = await session.client.edit_object(ObjectKind.BACKEND, key_of(raw), switch.patch)
    disabled = switch.field == "paused" and not spec_of(newest).get("enabled", True)
    note = " (it is disabled, so that has no effect until it is enabled)" if disabled else ""
    note = note or _but(switch.find_other(newest))
    print_line(f"backend {name} {switch.done}{note}")
    return newest


def _but(other: str) -> str:
    return f", but {other}" if other else ""


async def wait_and_tell(session: VerbSession, raw: JsonObject, timeout: timedelta) -> None:
    """Wait until all nodes have a backend's newest spec, and say so (VerbFailure)."""
    name, generation = raw["metadata"]["name"], int(raw["metadata"]["generation"])
    inside = session._replace(namespace=key_of(raw).namespace)
    took = await wait_until(inside, lambda: find_backend_lack(inside, name, generation), timeout)
    status = (await inside.get_object(ObjectKind.BACKEND, name)).get("status") or {}
    seen = f" ({status['code']})" if status.get("code") else ""
    print_line(f"backend {name} is {status.get('state')}{seen} on all nodes after {took}")


pause_command = _switch_command(
    "pause",
    PAUSE,
    """Give backends no new flows; they keep those that they have.

    Probing stops as well. Use it before maintenance, so that the flows can end by themselves.

    \b
    Examples:   kubectl vpplb pause nginx0
                kubectl vpplb pause nginx0 nginx1 --wait
                kubectl vpplb pause -l rack=b7 --wait
    """,
)
resume_command = _switch_command(
    "resume",
    RESUME,
    """Probe paused backends again; each serves once it has proved to be up.

    One that is disabled as well stays out until `enable`.

    \b
    Examples:   kubectl vpplb resume nginx0
                kubectl vpplb resume nginx0 nginx1 --wait
    """,
)
disable_command = _switch_command(
    "disable",
    DISABLE,
    """Take backends out at once: no new flows, and those that they have are cut.

    \b
    Examples:   kubectl vpplb disable nginx0
                kubectl vpplb disable nginx0 --wait --timeout 10s
    """,
)
enable_command = _switch_command(
    "enable",
    ENABLE,
    """Let disabled backends serve again; each serves once it has proved to be up.

    One that is paused as well stays out until `resume`.

    \b
    Examples:   kubectl vpplb enable nginx0
                kubectl vpplb enable nginx0 --wait
    """,
)

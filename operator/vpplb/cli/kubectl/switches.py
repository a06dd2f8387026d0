"""`kubectl vpplb pause`, `resume`, `disable` and `enable`: take backends out, and back."""

from dataclasses import dataclass
from datetime import timedelta

import click

from vpplb.cli.kubectl.rollout_wait import find_backend_lack, timeout_flag, wait_flag, wait_until
from vpplb.cli.kubectl.session import ClusterSession, UsualFlags, usual_flags
from vpplb.cli.terminal import print_line
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKind
from vpplb.resources.stored import spec_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _BackendSwitch:
    """A boolean of a Backend's spec, the value to give it, and how that is called when done."""

    field: str
    default: bool
    value: bool
    done: str


def _switch_command(verb: str, switch: _BackendSwitch, text: str) -> click.Command:
    """Make a command that turns a switch of each BACKEND."""

    @click.command(name=verb, help=text, short_help=text.split("\n", maxsplit=1)[0])
    @click.argument("backends", metavar="BACKEND...", nargs=-1, required=True)
    @wait_flag
    @timeout_flag
    @usual_flags()
    def switch_command(
        flags: UsualFlags, backends: tuple[str, ...], wait: bool, timeout: timedelta
    ) -> None:
        async def turn_all(cluster: ClusterSession) -> None:
            # All are looked up before the first is changed: a mistyped name leaves nothing half
            # done.
            found = [
                await cluster.get_object(ObjectKind.BACKEND, name)
                for name in dict.fromkeys(backends)
            ]
            newest = [await _turn_switch(cluster, raw, switch) for raw in found]
            for raw in newest if wait else ():
                await _wait_and_tell(cluster, raw, timeout)

        flags.run_work(turn_all)

    return switch_command


async def _turn_switch(
    cluster: ClusterSession, raw: JsonObject, switch: _BackendSwitch
) -> JsonObject:
    name = raw["metadata"]["name"]
    if spec_of(raw).get(switch.field, switch.default) is switch.value:
        print_line(f"backend {name} already {switch.done}")
        return raw
    patch = {"spec": {switch.field: switch.value}}
    newest = await cluster.console.edit_object(ObjectKind.BACKEND, key_of(raw), patch)
    disabled = switch.field == "paused" and not spec_of(newest).get("enabled", True)
    note = " (it is disabled, so that has no effect until it is enabled)" if disabled else ""
    print_line(f"backend {name} {switch.done}{note}")
    return newest


async def _wait_and_tell(cluster: ClusterSession, raw: JsonObject, timeout: timedelta) -> None:
    name, generation = raw["metadata"]["name"], int(raw["metadata"]["generation"])
    took = await wait_until(lambda: find_backend_lack(cluster, name, generation), timeout)
    status = (await cluster.get_object(ObjectKind.BACKEND, name)).get("status") or {}
    seen = f" ({status['code']})" if status.get("code") else ""
    print_line(f"backend {name} is {status.get('state')}{seen} on all nodes after {took}")


pause_command = _switch_command(
    "pause",
    _BackendSwitch(field="paused", default=False, value=True, done="paused"),
    """Give backends no new flows; they keep those that they have.

    Probing stops as well. Use it before maintenance, so that the flows can end by themselves.

    \b
    Examples:   kubectl vpplb pause nginx0
                kubectl vpplb pause nginx0 nginx1 --wait
    """,
)
resume_command = _switch_command(
    "resume",
    _BackendSwitch(field="paused", default=False, value=False, done="resumed"),
    """Probe paused backends again; each serves once it has proved to be up.

    \b
    Examples:   kubectl vpplb resume nginx0
                kubectl vpplb resume nginx0 nginx1 --wait
    """,
)
disable_command = _switch_command(
    "disable",
    _BackendSwitch(field="enabled", default=True, value=False, done="disabled"),
    """Take backends out at once: no new flows, and those that they have are cut.

    \b
    Examples:   kubectl vpplb disable nginx0
                kubectl vpplb disable nginx0 --wait --timeout 10s
    """,
)
enable_command = _switch_command(
    "enable",
    _BackendSwitch(field="enabled", default=True, value=True, done="enabled"),
    """Let disabled backends serve again; each serves once it has proved to be up.

    \b
    Examples:   kubectl vpplb enable nginx0
                kubectl vpplb enable nginx0 --wait
    """,
)

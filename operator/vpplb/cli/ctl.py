"""`vpplb ctl`: the verbs on a router without a cluster, by the control socket of `standalone`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from vpplb.cli.control_socket import CONTROL_SOCKET
from vpplb.cli.verbs.catalog import LINES, list_verbs
from vpplb.cli.verbs.door import Reach, VerbDoor, VerbGroup
from vpplb.kube.api_types import ApiUnreachable, ConfigError
from vpplb.kube.user_api.user_client import UserClient

PROGRAM = "vpplb ctl"
VERBS = [verb for verb in LINES if verb != "dataplane"]


@asynccontextmanager
async def _open_socket(reach: Reach) -> AsyncIterator[UserClient]:
    path = reach["control_socket"]
    if path is None:
        raise ConfigError("--control-socket is empty: name one")
    try:
        yield UserClient(path)
    except ApiUnreachable as error:
        raise ApiUnreachable(
            f"{error} (does `vpplb standalone` run, and may you open its control socket?"
            " --control-socket or VPPLB_CONTROL_SOCKET names another)"
        ) from error


_SOCKET = click.Option(
    ["--control-socket"],
    envvar="VPPLB_CONTROL_SOCKET",
    show_envvar=True,
    show_default=True,
    help="Control socket of the program to ask.",
    **CONTROL_SOCKET,
)
_DOOR = VerbDoor(
    program=PROGRAM,
    flags=(_SOCKET,),
    open=_open_socket,
    find_namespace=None,
)


@click.group(
    cls=VerbGroup,
    door=_DOOR,
    lazy=list_verbs(VERBS),
    params=[_SOCKET],
    name="ctl",
    short_help="See and steer `vpplb standalone` on this machine.",
)
def ctl_command(**_: object) -> None:
    """See and steer `vpplb standalone` on this machine.

    What is changed here stays in force over restarts. `status` and `backends` show where it
    deviates from the files, until these say something new about it, or `reload
    --discard-changes` is called.

    \b
    What is wrong?             vpplb ctl status --problems
    Why is this one down?      vpplb ctl status web
    What happens right now?    vpplb ctl watch
    Maintenance of a server:   vpplb ctl drain nginx0
                               vpplb ctl enable nginx0
    A canary:                  vpplb ctl weight web main nginx2 5 --wait
    What would this change?    vpplb ctl plan -f web.yaml
    Are my new files right?    vpplb ctl reload
    """

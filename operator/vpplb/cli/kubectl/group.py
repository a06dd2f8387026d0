"""The verbs of `kubectl vpplb`, with the flags by which kubectl reaches a cluster."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import click

from vpplb import __version__
from vpplb.cli.verbs.catalog import LINES, list_verbs
from vpplb.cli.verbs.door import REFERENCE, Reach, VerbDoor, VerbGroup
from vpplb.kube.user_api.kubectl_proxy import find_namespace, list_contexts, open_cluster
from vpplb.kube.user_api.user_client import UserClient

VERBS = [verb for verb in LINES if verb != "reload"]


def _complete_contexts(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    flags = list_flags({"kubeconfig": context.params.get("kubeconfig")})
    try:
        found = asyncio.run(list_contexts(flags))
    except Exception:  # whatever it is, the shell goes on
        return []
    return [one for one in found if one.startswith(incomplete)]


def _flag(name: str, help: str, **settings: Any) -> click.Option:
    return click.Option([f"--{name}"], help=f"{help}  [as in kubectl]", **settings)


_FLAGS = (
    _flag("context", "Context of the kubeconfig.", shell_complete=_complete_contexts),
    _flag("kubeconfig", "Kubeconfig to use.", type=click.Path(dir_okay=False)),
    _flag("cluster", "Cluster of the kubeconfig."),
    _flag("user", "User of the kubeconfig."),
    _flag("as", "User to act as.", metavar="USER"),
    _flag("as-group", "Group to act as; may be given several times.", multiple=True),
    _flag("as-uid", "UID to act as."),
)


def list_flags(reach: Reach) -> Sequence[str]:
    """Write flags as kubectl's; those that were not given are left out."""
    flags: list[str] = []
    for name, given in reach.items():
        values = given if isinstance(given, tuple) else (given,)
        flags += [f"--{name.replace('_', '-')}={value}" for value in values if value is not None]
    return flags


def _open_cluster(reach: Reach) -> AbstractAsyncContextManager[UserClient]:
    return open_cluster(list_flags(reach))


def _find_namespace(reach: Reach) -> Awaitable[str]:
    asked = {name: reach.get(name) for name in ("context", "kubeconfig", "cluster", "user")}
    return find_namespace(list_flags(asked))


@click.group(
    cls=VerbGroup,
    door=VerbDoor(
        program=REFERENCE, flags=_FLAGS, open=_open_cluster, find_namespace=_find_namespace
    ),
    lazy=list_verbs(VERBS),
    name="vpplb",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name=REFERENCE)
def cli() -> None:
    """See and steer the load balancing of VPP from Kubernetes.

    \b
    What is wrong?             kubectl vpplb status --problems
    Why is this one down?      kubectl vpplb status web
    What happens right now?    kubectl vpplb watch -A
    Maintenance of a server:   kubectl vpplb drain nginx0
                               kubectl vpplb enable nginx0
    A canary:                  kubectl vpplb weight web main nginx2 5 --wait
    What would this change?    kubectl vpplb plan -f web.yaml
    What does a node's VPP do? kubectl vpplb dataplane worker-1
    """

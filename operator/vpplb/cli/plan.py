"""`vpplb plan`: what an agent would do to a VPP, and what that does to new flows."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vpplb.cli.options import (
    allowance_flags,
    env_option,
    namespaces,
    own_all,
    probe_flags,
    source_flags,
)
from vpplb.cli.plan_interface import INVALID, MANIFESTS, UNREACHABLE, finish_plan, output_flag
from vpplb.cli.terminal import exit_on_findings, print_line

if TYPE_CHECKING:
    from vpplb.plan.settings import DesiredSettings
    from vpplb.resources.allowances import AddressAllowances

API_SOCKET = Path("/run/vpp/api.sock")


@click.command(short_help="Show what an agent would do, and what that does to new flows.")
@click.argument("manifests", metavar="[MANIFESTS...]", nargs=-1, type=MANIFESTS)
@env_option(
    "--vpp-api-socket",
    default=None,
    show_default=False,
    type=click.Path(path_type=Path),
    help="Start from what this VPP has; it is only read.",
)
@click.option(
    "--from",
    "start",
    multiple=True,
    type=MANIFESTS,
    help="Start from what these manifests come to; may be given several times.",
)
@env_option("--node", default=None, help="Plan for this node of the cluster, as its agent would.")
@env_option(
    "--down",
    multiple=True,
    metavar="BACKEND",
    help="Backend (name, or namespace/name) that counts as down; may be given several times.",
)
@env_option(
    "--state-file",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The agent's memory, for --node: which VIPs are ours and which flows were cut.",
)
@namespaces
@allowance_flags
@probe_flags
@source_flags
@own_all
@output_flag
@click.pass_context
@exit_on_findings(INVALID)
def plan_command(
    context: click.Context,
    manifests: tuple[Path, ...],
    vpp_api_socket: Path | None,
    start: tuple[Path, ...],
    node: str | None,
    down: tuple[str, ...],
    state_file: Path | None,
    namespace: tuple[str, ...],
    allowed: "AddressAllowances",
    conf: "DesiredSettings",
    own_all: bool,
    output: str,
) -> None:
    """Show the calls that would make a VPP as MANIFESTS say, or as a cluster says (--node).

    And for each VIP the exact share of new flows of each server before and after, with the part
    of the table that changes hands. Nothing is changed anywhere; a VPP is only read.

    With MANIFESTS every backend counts as up, unless it is paused, disabled or named by --down;
    nodeSelector is not looked at. It starts from an empty VPP, or from what --vpp-api-socket or
    --from says. With --node it is what the agent of that node would do now: the cluster's own
    decisions against the VPP at --vpp-api-socket (default /run/vpp/api.sock).

    \b
    Exit status:  0  there is nothing to do
                  1  there is something to do
                  2  wrong usage, or manifests that `vpplb check` finds wrong
                  3  VPP or the cluster cannot be reached
    \b
    Examples:     vpplb plan manifests/
                  vpplb plan manifests/ --from manifests/ --down nginx0
                  vpplb plan manifests/ --vpp-api-socket /run/vpp/api.sock
                  vpplb plan --node worker-1
    """
    from vpplb.kube.api_types import ConfigError, KubeError
    from vpplb.sync.ports import LoadBalancerGone

    if problem := _find_misuse(manifests, vpp_api_socket, start, node, down, state_file):
        raise click.UsageError(problem, context)
    try:
        if node is not None:
            from vpplb.cli.node_planning import NodeSource, plan_node

            socket = vpp_api_socket or API_SOCKET
            live = NodeSource(node=node, socket=socket, namespaces=namespace, state_file=state_file)
            view = asyncio.run(plan_node(live, conf, own_all=own_all))
        else:
            from vpplb.cli.manifest_planning import plan_manifests

            view = plan_manifests(
                manifests,
                conf,
                socket=vpp_api_socket,
                start=start,
                down=down,
                own_all=own_all,
                allowed=allowed,
            )
    except (LoadBalancerGone, KubeError, ConfigError) as error:
        print_line(f"Error: {error}", err=True)
        sys.exit(UNREACHABLE)
    finish_plan(view, output)


def _find_misuse(
    manifests: Sequence[Path],
    socket: Path | None,
    start: Sequence[Path],
    node: str | None,
    down: Sequence[str],
    state_file: Path | None,
) -> str:
    if node is None and not manifests:
        return "give MANIFESTS, or --node for a cluster"
    if node is not None and (manifests or start or down):
        return "--node plans for the cluster's own decisions: no MANIFESTS, --from or --down"
    if socket is not None and start:
        return "start from --vpp-api-socket or from --from, not from both"
    if state_file is not None and node is None:
        return "--state-file belongs to --node"
    return ""

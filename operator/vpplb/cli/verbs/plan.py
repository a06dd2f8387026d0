"""`kubectl vpplb plan`: what manifests would change, before they are applied."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vpplb.cli.options import allowance_flags
from vpplb.cli.plan_interface import INVALID, MANIFESTS, UNREACHABLE, finish_plan, output_flag
from vpplb.cli.terminal import exit_on_findings
from vpplb.cli.verbs.completion import complete_backends
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.session import UsualFlags, VerbSession

if TYPE_CHECKING:
    from vpplb.cli.plan_view import PlanView
    from vpplb.resources.allowances import AddressAllowances


@click.command(
    name="plan",
    cls=VerbCommand,
    short_help="Show what manifests would change, before they are applied.",
)
@click.option(
    "-f",
    "--filename",
    "manifests",
    multiple=True,
    type=MANIFESTS,
    help="File or folder of manifests, or - for standard input; may be given several times.",
)
@click.option(
    "--down",
    multiple=True,
    metavar="BACKEND",
    shell_complete=complete_backends,
    help="Backend (name, or namespace/name) that counts as down; may be given several times.",
)
@output_flag
@allowance_flags
@usual_flags()
@exit_on_findings(INVALID)
def plan_command(
    flags: UsualFlags,
    manifests: tuple[Path, ...],
    down: tuple[str, ...],
    allowed: "AddressAllowances",
    output: str,
) -> None:
    """Show what applying manifests (or losing a backend) would change in the VPP of each node.

    For each VIP that changes, the calls to VPP in their order, and the exact share of new flows
    of each server before and after. It starts from what the operator has decided
    (`status.dataplane`); backends count as they are, new ones as up. Where something that runs
    is on loopback, or by NAT, that needs no flag here. Nothing is applied. `vpplb plan` does the
    same for a VPP, without a cluster.

    \b
    Exit status:  0  nothing would change
                  1  something would
                  2  wrong usage or wrong manifests
                  3  what it is about cannot be reached
    \b
    Examples:     kubectl vpplb plan -f web.yaml
                  kubectl vpplb plan -f manifests/ -o json
                  kubectl vpplb plan --down nginx0
    """
    if not manifests and not down:
        raise click.UsageError("give manifests with -f, or --down BACKEND")

    async def plan_edit(session: VerbSession) -> "PlanView":
        from vpplb.cli.verbs.manifest_edit import ManifestEdit, plan_on_session

        edit = ManifestEdit(manifests=manifests, down=down, allowed=allowed)
        return await plan_on_session(session, edit)

    try:
        view = flags.run_work(plan_edit, needs="vpplb.cli.verbs.manifest_edit")
    except click.ClickException as error:
        error.show()
        sys.exit(UNREACHABLE)
    finish_plan(view, output)

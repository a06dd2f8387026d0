"""The interface that `vpplb plan` and `kubectl vpplb plan` share: flags, output, exit statuses."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from vpplb.cli.terminal import print_block

if TYPE_CHECKING:
    from vpplb.cli.plan_view import PlanView

NOTHING, SOMETHING, INVALID, UNREACHABLE = 0, 1, 2, 3
MANIFESTS = click.Path(path_type=Path, exists=True, allow_dash=True)
output_flag = click.option(
    "-o",
    "--output",
    default="table",
    show_default=True,
    type=click.Choice(["table", "json"]),
    help="How to print it.",
)


def finish_plan(view: "PlanView", output: str) -> NoReturn:
    """Print a plan, and exit with what it comes to."""
    from vpplb.cli.plan_view import print_plan, to_json

    if output == "json":
        print_block(to_json(view))
    else:
        print_plan(view)
    sys.exit(SOMETHING if view.result.ops else NOTHING)

"""`vpplb ctl reload`: have the manifests read again, and hear what came of it."""

import sys
from typing import Any

import click

from vpplb.cli.terminal import count_of, print_line
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.session import UsualFlags

REFUSED = 2
"""What a set of manifests with a mistake ends with, as in `vpplb check`."""


@click.command(
    name="reload",
    cls=VerbCommand,
    short_help="Read the manifests again, and say what is wrong with them.",
)
@click.option(
    "--discard-changes",
    is_flag=True,
    help="Forget what was changed by hand, if the files are right: they alone count again.",
)
@usual_flags(namespace=False)
def reload_command(flags: UsualFlags, discard_changes: bool) -> None:
    """Read the manifests again, now, and say what is wrong with them.

    That also happens by itself when a file changes; here one hears what came of it. A set with a
    mistake is refused, each finding in a line, and what runs goes on. What was changed by hand
    (pause, weight, …) stays, where the files do not say something new about it.

    \b
    Exit status:  0  the files are in force
                  1  no answer
                  2  the files are refused
    \b
    Examples:     vpplb ctl reload
                  vpplb ctl reload --discard-changes
    """
    answer: dict[str, Any] = flags.run_work(
        lambda session: session.client.reload_files(discard_changes=discard_changes)
    )
    for discarded in answer["discarded"]:
        print_line(f"no longer in force: {discarded}")
    for finding in answer["findings"]:
        print_line(finding, err=True)
    if answer["findings"]:
        kept = ", and what was changed by hand" if discard_changes else ""
        print_line(f"the manifests are refused, the old ones stay in force{kept}", err=True)
        sys.exit(REFUSED)
    print_line(f"the manifests are in force: {count_of(answer['objects'], 'object')}")

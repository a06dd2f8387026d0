"""How commands speak: a line is a line, and a terminal sees no code but our own colours.

No command calls `click.echo` itself but for bytes of its own making; a test sees to it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from vpplb.model.printable import make_printable


def print_line(line: object, *, err: bool = False) -> None:
    """Print one line; what cannot be printed is escaped, a line break too."""
    click.echo(make_printable(str(line)), err=err)


def print_block(text: str) -> None:
    """Print lines of our own making; what others have put into them is escaped but for breaks."""
    click.echo(make_printable(text, keep="\n"))


def print_coloured(text: str) -> None:
    """Print what `cli.tables.paint_cell` has made: its cells are escaped, its colours are ours."""
    click.echo(text)


class CommandError(click.ClickException):
    """A command ends with an error, told in one line."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"Error: {make_printable(self.format_message())}", file=file, err=file is None)


@contextmanager
def exit_on_findings(status: int) -> Iterator[None]:
    """End with this status where manifests are wrong, each finding in a line."""
    from vpplb.files.findings import BadManifests

    try:
        yield
    except BadManifests as error:
        for finding in error.findings:
            print_line(finding, err=True)
        sys.exit(status)


def count_of(number: int, noun: str) -> str:
    """Say how many there are: `1 file`, `2 files`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")

"""Write a manual page for each command of vpplb and of its plugin into a folder: `… FOLDER`."""

import sys

import click
from click_man.core import write_man_pages

from vpplb import __version__
from vpplb.cli.kubectl.group import cli as plugin
from vpplb.cli.main import cli


def _shape_paragraph(text: str) -> str:
    """Keep the lines of a paragraph that click is told to keep (by its mark, a backspace)."""
    return f".nf\n{text[2:]}\n.fi" if text.startswith("\b\n") else text


def _import_all(command: click.Command, context: click.Context) -> None:
    """Import what is imported only when it is called, and put all texts in shape."""
    text = command.help or ""
    command.short_help = (command.short_help or text.partition("\n")[0]).rstrip(".")
    command.help = "\n\n".join(map(_shape_paragraph, text.split("\n\n")))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            _import_all(found, context)
            command.commands[name] = found


for name, command in (("vpplb", cli), ("kubectl-vpplb", plugin)):
    _import_all(command, click.Context(command))
    write_man_pages(name, command, version=__version__, target_dir=sys.argv[1])

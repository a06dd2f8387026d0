"""The page of all commands and flags, from the commands themselves."""

from collections.abc import Iterator
from inspect import cleandoc

import click

from vpplb.cli.kubectl.group import cli as plugin
from vpplb.cli.main import cli as program
from vpplb.cli.verbs.door import REFERENCE, find_door

INTRODUCTION = """\
# Commands and flags

<!-- Generated from the commands in vpplb/cli: edit those, then run `make docs`. -->

Every command says the same with `--help`. A flag is read from the line, else from its environment
variable, else it has its default. Wrong usage exits with 2.
"""


def render_page() -> str:
    """Return docs/commands.md."""
    lines = [INTRODUCTION, *_describe_group(program, "vpplb")]
    return "\n".join([*lines, *_describe_group(plugin, "kubectl vpplb")])


def _describe_group(
    group: click.Group, called: str, parent: click.Context | None = None
) -> Iterator[str]:
    context = click.Context(group, parent=parent, info_name=called, **group.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _describe_group(command, f"{called} {name}", context)
        else:
            yield from _describe_command(command, f"{called} {name}", context)


def _describe_command(command: click.Command, called: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=called)
    yield f"## {called}\n"
    yield f"```text\n{' '.join([called, *command.collect_usage_pieces(context)])}\n```\n"
    door = find_door(context)
    text = command.help or ""
    yield from _format_help(text.replace(REFERENCE, door.program) if door else text)
    options = [
        one
        for one in command.get_params(context)
        if isinstance(one, click.Option) and not one.hidden and one.name != "help"
    ]
    if options:
        yield "| flag | environment | default | |"
        yield "| --- | --- | --- | --- |"
        yield from (_describe_option(option, context) for option in options)
        yield ""


AS_IT_IS = "\b\n"
"""What stands before a paragraph of a help text that is laid out by hand."""


def _format_help(text: str) -> Iterator[str]:
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith(AS_IT_IS):
            yield f"```text\n{paragraph.removeprefix(AS_IT_IS)}\n```\n"
        else:
            yield f"{' '.join(paragraph.split())}\n"


def _describe_option(option: click.Option, context: click.Context) -> str:
    extra = option.get_help_extra(context)
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    said, default = _split_default(option.help or "", str(extra.get("default") or ""))
    said = said.replace("|", "\\|")
    shown = "**required**" if option.required else _show_default(default)
    variable = f"`{option.envvar}`" if isinstance(option.envvar, str) else ""
    given = " ".join([names, _name_value(option, context)]).strip()
    return f"| {given} | {variable} | {shown} | {said} |"


def _show_default(text: str) -> str:
    """Write a value as code, and words for one, which are in brackets, as they are."""
    value = text.strip('"')
    return value if value.startswith("(") or " " in value else f"`{value}`" if value else ""


def _name_value(option: click.Option, context: click.Context) -> str:
    """Say what a flag takes: one of some words, a number within bounds, a kind of text, nothing."""
    if option.is_flag:
        return ""
    match option.type:
        case click.Choice():
            return ", ".join(f"`{choice}`" for choice in option.type.choices)
        case click.IntRange():
            most = "" if option.type.max is None else option.type.max
            return f"{option.type.min}–{most}"
        case _:
            return option.make_metavar(context).lower()


def _split_default(text: str, default: str) -> tuple[str, str]:
    """Take a default that the help text itself tells (`…  [default: all]`) out of it."""
    said, bracket, told = text.partition("[default: ")
    return said.strip(), told.rstrip("]") if bracket else default

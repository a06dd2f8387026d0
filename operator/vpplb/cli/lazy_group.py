"""A group whose commands are imported when they are called, so that `--help` starts quickly."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem


class LazyCommand(NamedTuple):
    """A command: its line in the list, and its module, where `plan` is named `plan_command`."""

    line: str
    module: str


class LazyGroup(click.Group):
    """A group of `lazy` commands, listed in their order."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, LazyCommand], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self._lazy.get(cmd_name)
        if found is None:
            return None
        name = f"{cmd_name.replace('-', '_')}_command"
        command = getattr(importlib.import_module(found.module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a name that is none's the error says what it is close to."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            if near := difflib.get_close_matches(args[0], self._lazy, n=1):
                said = f"{error.message} Did you mean '{near[0]}'?"
                raise click.UsageError(said, ctx) from error
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Propose commands with their one line, importing none of them."""
        found = [
            CompletionItem(name, help=one.line)
            for name, one in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with their one line, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.line) for name, found in self._lazy.items()])

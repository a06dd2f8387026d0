"""The programs by which people come to the verbs, and what each adds to every verb's flags."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from vpplb.cli.lazy_group import LazyCommand, LazyGroup
from vpplb.kube.user_api.user_client import UserClient

REFERENCE = "kubectl vpplb"
"""How the help of verbs calls the program; another door puts its own name there."""

Reach = Mapping[str, Any]
"""The values of a door's flags, by name."""


class VerbDoor(NamedTuple):
    """A program with verbs. Its `flags` say what it works on, and `open` reaches that.

    `find_namespace` says which namespace is meant where none is named; None: all of them, and a
    name is looked for in all.
    """

    program: str
    flags: tuple[click.Option, ...]
    open: Callable[[Reach], AbstractAsyncContextManager[UserClient]]
    find_namespace: Callable[[Reach], Awaitable[str]] | None


class VerbGroup(LazyGroup):
    """The verbs of a door."""

    def __init__(
        self, *arguments: Any, door: VerbDoor, lazy: Mapping[str, LazyCommand], **settings: Any
    ) -> None:
        super().__init__(*arguments, lazy=lazy, **settings)
        self.door = door


def find_door(context: click.Context) -> VerbDoor | None:
    """Return the door by which a verb was called; None: it is looked at by itself."""
    parent = context.parent
    return parent.command.door if parent and isinstance(parent.command, VerbGroup) else None


def read_reach(door: VerbDoor | None, context: click.Context, given: Mapping[str, Any]) -> Reach:
    """Return the values of a door's flags: as `given` to the verb, else before its name."""
    before = context.parent
    reach: dict[str, Any] = {}
    for name in (str(one.name) for one in (door.flags if door else ())):
        reach[name] = given.get(name)
        here = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if before and not here and before.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            reach[name] = before.params[name]
    return reach


class VerbCommand(click.Command):
    """A verb: its own flags, and those of the door by which it was called."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Give the verb's own parameters first; `-A` only where one namespace is the default."""
        door = find_door(ctx)
        own = super().get_params(ctx)
        if door is None:
            return own
        if door.find_namespace is None:
            own = [one for one in own if one.name != "all_namespaces"]
        return [*own[:-1], *door.flags, *own[-1:]]

    def get_help(self, ctx: click.Context) -> str:
        door = find_door(ctx)
        said = super().get_help(ctx)
        return said.replace(REFERENCE, door.program) if door else said

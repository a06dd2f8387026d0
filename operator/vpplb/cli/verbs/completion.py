"""Completion of names: what the shell is told while somebody types a verb.

Names are asked of what the flags typed so far name, so that `-n` and `--context` count. Nothing
is said of what goes wrong: a shell shows no errors, it shows no names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import click

from vpplb.cli.verbs.door import find_door, read_reach
from vpplb.cli.verbs.session import UsualFlags, VerbSession
from vpplb.model.names import ObjectKind

PATIENCE = 3.0
"""Seconds after which a shell is told nothing: who waits for longer types on."""


def _complete_objects(kind: ObjectKind) -> "_Completer":
    async def names(session: VerbSession, _: click.Context) -> Iterable[str]:
        return [one["metadata"]["name"] for one in await session.list_objects(kind)]

    return _completer(names)


_Names = Callable[[VerbSession, click.Context], Awaitable[Iterable[str]]]
_Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(names: _Names) -> _Completer:
    """Make of names what click asks for: those that begin as typed, and were not typed before."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        typed = context.params.get(parameter.name or "") or ()
        before = {typed} if isinstance(typed, str) else set(typed)
        try:
            found = asyncio.run(_read_names(context, names))
        except Exception:  # whatever it is, the shell goes on
            return []
        return sorted(one for one in set(found) - before if one.startswith(incomplete))

    return complete


async def _read_names(context: click.Context, names: _Names) -> Iterable[str]:
    given, door = context.params, find_door(context)
    flags = UsualFlags(
        door=door,
        reach=read_reach(door, context, given),
        namespace=given.get("namespace"),
        all_namespaces=bool(given.get("all_namespaces")),
    )
    async with asyncio.timeout(PATIENCE):
        with context.scope(cleanup=False):
            return await flags.open_session(lambda session: names(session, context))


async def _list_pools(session: VerbSession, context: click.Context) -> Iterable[str]:
    return [pool["name"] for pool in await _read_pools(session, context)]


async def _read_pools(session: VerbSession, context: click.Context) -> list[dict[str, Any]]:
    from vpplb.acting.spec_edits import read_pools  # each verb imports this module, few complete

    raw = await session.get_object(ObjectKind.FRONTEND, str(context.params.get("frontend")))
    return read_pools(raw)


async def _list_members(session: VerbSession, context: click.Context) -> Iterable[str]:
    wanted = context.params.get("pool")
    pools = [one for one in await _read_pools(session, context) if one["name"] == wanted]
    return [one["name"] for pool in pools for one in pool["backends"]]


complete_frontends = _complete_objects(ObjectKind.FRONTEND)
complete_backends = _complete_objects(ObjectKind.BACKEND)
complete_dataplanes = _complete_objects(ObjectKind.DATAPLANE)
complete_namespaces = _complete_objects(ObjectKind.NAMESPACE)
complete_pools = _completer(_list_pools)
complete_members = _completer(_list_members)

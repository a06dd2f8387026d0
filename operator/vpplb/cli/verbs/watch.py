"""`kubectl vpplb watch`: transitions and failovers as they happen."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import click

from vpplb.cli.tables import colour_state, paint_cell
from vpplb.cli.terminal import print_coloured, print_line
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.output import to_json
from vpplb.cli.verbs.session import UsualFlags, VerbSession, describe_error, read_if_allowed
from vpplb.cli.verbs.shown_status import (
    ShownTransition,
    find_shown,
    read_conditions,
    read_shown_backend,
)
from vpplb.cli.verbs.silence import ELECTION, follow_silence
from vpplb.kube.api_types import (
    ApiError,
    ApiUnreachable,
    Gone,
    JsonObject,
    KubeError,
    key_of,
)
from vpplb.kube.leases.probing_silence import ProbingSilence
from vpplb.model.backoff import backoff_seconds
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.printable import make_printable

RETRY = (0.2, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedChange:
    """Something that happened: `before` and `after` are states, or pools that serve."""

    at: datetime
    kind: str
    object: str
    what: str
    before: str
    after: str
    code: str = ""
    detail: str = ""


@click.command(
    name="watch", cls=VerbCommand, short_help="Print transitions and failovers as they happen."
)
@click.option("--history", is_flag=True, help="Begin with the transitions that are remembered.")
@click.option(
    "-o",
    "--output",
    default="lines",
    show_default=True,
    type=click.Choice(["lines", "json"]),
    help="How to print each; json: an object a line.",
)
@usual_flags(all_namespaces=True, selector=True)
def watch_command(flags: UsualFlags, history: bool, output: str) -> None:
    """Print a line for each transition of a backend, failover of a pool and change of a frontend.

    It ends with Ctrl-C, and goes on when the API server was away: what happened meanwhile comes
    late, but comes.

    \b
    Examples:   kubectl vpplb watch
                kubectl vpplb watch -A -o json | jq -r 'select(.after == "down") | .object'
    """
    show = to_json if output == "json" else _as_line
    follower = ChangeFollower(lambda one: print_coloured(show(one)), history=history)
    flags.run_work(lambda session: _follow_all(session, follower))


async def _follow_all(session: VerbSession, follower: "ChangeFollower") -> None:
    await asyncio.gather(
        follow_silence(session, follower.on_silence),
        _follow_nodes(session, follower),
        *(
            _follow_kind(session, kind, follower)
            for kind in (ObjectKind.BACKEND, ObjectKind.FRONTEND)
        ),
    )


async def _follow_nodes(session: VerbSession, follower: "ChangeFollower") -> None:
    """Follow the nodes, which are all namespaces', where whoever watches may see them."""
    everywhere = session._replace(namespace="", labels="")
    following = _follow_kind(everywhere, ObjectKind.DATAPLANE, follower)
    await read_if_allowed(following, None, "nodes are")


async def _follow_kind(session: VerbSession, kind: ObjectKind, follower: "ChangeFollower") -> None:
    """List, then watch from there; both again whenever that ends, for as long as it takes."""
    failures = 0
    while True:
        try:
            listing = await session.client.list_objects(
                kind, session.namespace, labels=session.labels
            )
            for raw in sorted(listing.items, key=key_of):
                follower.on_upsert(kind, raw)
            follower.begun.add(kind)
            if failures:
                print_line(f"there are answers again: {kind.plural}", err=True)
            failures = 0
            await _watch_kind(session, kind, listing.resource_version, follower)
        except Gone:
            continue
        except (ApiUnreachable, ApiError) as error:
            if not _is_transient(error):
                raise
            failures += 1
            if failures == 1:
                print_line(f"{describe_error(error)}; will try again", err=True)
            await asyncio.sleep(backoff_seconds(failures, *RETRY, jitter=random.random()))


def _is_transient(error: KubeError) -> bool:
    """Tell whether a failure is one of the moment: no answer, too busy, starting or stopping."""
    return not isinstance(error, ApiError) or error.status == 429 or error.status >= 500


async def _watch_kind(
    session: VerbSession, kind: ObjectKind, version: str, follower: "ChangeFollower"
) -> None:
    while True:
        async for change in session.client.watch_objects(
            kind, session.namespace, version, labels=session.labels
        ):
            version = change.object["metadata"]["resourceVersion"]
            if change.type in ("ADDED", "MODIFIED"):
                follower.on_upsert(kind, change.object)
            elif change.type == "DELETED":
                follower.on_delete(kind, change.object)


@dataclass(slots=True)
class ChangeFollower:
    """Tells what is new between two versions of an object. `begun`: kinds that were listed.

    Backends remember their last transitions, so those that nobody watched are told as well.
    """

    tell: Callable[[WatchedChange], None]
    history: bool = False
    begun: set[ObjectKind] = field(default_factory=set)
    _latest: dict[ObjectKey, datetime | None] = field(default_factory=dict)
    _nodes: dict[ObjectKey, tuple[str, ...]] = field(default_factory=dict)
    _frontends: dict[ObjectKey, tuple[str, str, str]] = field(default_factory=dict)

    def on_upsert(self, kind: ObjectKind, raw: JsonObject) -> None:
        changes = {
            ObjectKind.BACKEND: self._backend_changes,
            ObjectKind.FRONTEND: self._frontend_changes,
            ObjectKind.DATAPLANE: self._node_changes,
        }
        for one in changes[kind](raw):
            self.tell(one)

    def on_delete(self, kind: ObjectKind, raw: JsonObject) -> None:
        key = key_of(raw)
        match kind:
            case ObjectKind.BACKEND:
                self._latest.pop(key, None)
            case ObjectKind.FRONTEND:
                self._frontends.pop(key, None)
            case _:
                self._nodes.pop(key, None)
        self.tell(
            WatchedChange(at=SystemClock().now(), kind=kind, object=str(key), what="deleted",
                      before="", after="")
        )  # fmt: skip

    def on_silence(self, silence: ProbingSilence | None) -> None:
        """Tell that nobody probes any more, or that somebody does again."""
        probed = ("probed", "stale")
        before, after = probed if silence else probed[::-1]
        said = str(silence) if silence else "an operator leads again"
        self.tell(
            WatchedChange(
                at=SystemClock().now(),
                kind=ObjectKind.LEASE,
                object=ELECTION,
                what="state",
                before=before,
                after=after,
                detail=said,
            )
        )

    def _backend_changes(self, raw: JsonObject) -> Iterator[WatchedChange]:
        key = key_of(raw)
        transitions = read_shown_backend(raw).transitions
        known = key in self._latest or ObjectKind.BACKEND in self.begun
        latest = self._latest.get(key)
        self._latest[key] = transitions[0].at if transitions else latest
        for one in reversed(transitions) if known or self.history else ():
            if latest is None or one.at > latest:
                yield _transition_change(key, one)

    def _node_changes(self, raw: JsonObject) -> Iterator[WatchedChange]:
        """Tell of an agent that is lost or found, and of a VPP likewise."""
        key, connected = key_of(raw), find_shown(read_conditions(raw), "Connected")
        now = (connected.status, connected.reason, connected.message) if connected else ("",) * 3
        before, self._nodes[key] = self._nodes.get(key, now[:2]), now[:2]
        if before != now[:2]:
            yield WatchedChange(
                at=SystemClock().now(),
                kind=ObjectKind.DATAPLANE,
                object=key.name,
                what="node",
                before=before[1],
                after=now[1],
                detail=now[2],
            )

    def _frontend_changes(self, raw: JsonObject) -> Iterator[WatchedChange]:
        key, status = key_of(raw), raw.get("status") or {}
        now = (
            str(status.get("state") or "unknown"),
            str(status.get("activePool") or ""),
            str(status.get("problem") or ""),
        )
        before = self._frontends.get(
            key, ("unknown", "", "") if ObjectKind.FRONTEND in self.begun else now
        )
        self._frontends[key] = now
        if before[0] != now[0]:
            yield _frontend_change(
                key, "state", before[0], now[0], f"{status.get('ready')} backends are up"
            )
        if before[1] != now[1] and before[1] and now[1]:
            yield _frontend_change(key, "pool", before[1], now[1], "failover")
        if before[2] != now[2]:
            degraded = find_shown(read_conditions(raw), "Degraded")
            said = degraded.message if degraded and degraded.status == "True" else ""
            yield _frontend_change(key, "problem", before[2] or "none", now[2] or "none", said)


def _transition_change(key: ObjectKey, one: ShownTransition) -> WatchedChange:
    return WatchedChange(
        at=one.at,
        kind=ObjectKind.BACKEND,
        object=str(key),
        what="state",
        before=one.before,
        after=one.after,
        code=one.code,
        detail=one.detail,
    )


def _frontend_change(
    key: ObjectKey, what: str, before: str, after: str, detail: str
) -> WatchedChange:
    return WatchedChange(
        at=SystemClock().now(),
        kind=ObjectKind.FRONTEND,
        object=str(key),
        what=what,
        before=before,
        after=after,
        detail=detail,
    )


def _as_line(one: WatchedChange) -> str:
    at = f"{one.at.astimezone():%H:%M:%S.%f}"[:-3]
    if one.what == "deleted":
        return f"{at}  {one.kind.lower():8}  {make_printable(one.object)}  deleted"
    what = "" if one.what == "state" else f"{one.what} "
    change = f"{what}{make_printable(one.before)} → {paint_cell(colour_state(one.after))}"
    why = make_printable("  ".join(part for part in (one.code, one.detail) if part))
    line = f"{at}  {one.kind.lower():8}  {make_printable(one.object)}  {change}"
    return f"{line}  {why}" if why else line

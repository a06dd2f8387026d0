"""`kubectl vpplb watch`: transitions and failovers as they happen."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import click

from vpplb.cli.kubectl.output import to_json
from vpplb.cli.kubectl.session import Cluster, Flags, flags
from vpplb.cli.kubectl.statuses import status_of
from vpplb.cli.tables import coloured, paint
from vpplb.cli.terminal import say, say_coloured
from vpplb.kube.api_resources import RESOURCES, JsonObject, key_of
from vpplb.kube.errors import ApiError, ApiUnreachable, Gone, KubeError
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.printable import printable
from vpplb.resources.backend import BackendStatus, BackendTransition

RETRY = (0.2, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened: `before` and `after` are states, or pools that serve."""

    at: datetime
    kind: str
    object: str
    what: str
    before: str
    after: str
    code: str = ""
    detail: str = ""


@click.command(name="watch", short_help="Print transitions and failovers as they happen.")
@click.option("--history", is_flag=True, help="Begin with the transitions that are remembered.")
@click.option(
    "-o",
    "--output",
    default="lines",
    show_default=True,
    type=click.Choice(["lines", "json"]),
    help="How to print each; json: an object a line.",
)
@flags(all_namespaces=True)
def command(flags: Flags, history: bool, output: str) -> None:
    """Print a line for each transition of a backend, failover of a pool and change of a frontend.

    It ends with Ctrl-C, and goes on when the API server was away: what happened meanwhile comes
    late, but comes.

    \b
    Examples:   kubectl vpplb watch
                kubectl vpplb watch -A -o json | jq -r 'select(.after == "down") | .object'
    """
    show = _as_json if output == "json" else _as_line
    follower = Follower(lambda one: say_coloured(show(one)), history=history)
    flags.run(lambda cluster: _follow_all(cluster, follower))


async def _follow_all(cluster: Cluster, follower: "Follower") -> None:
    await asyncio.gather(
        *(_follow(cluster, kind, follower) for kind in (ObjectKind.BACKEND, ObjectKind.FRONTEND))
    )


async def _follow(cluster: Cluster, kind: ObjectKind, follower: "Follower") -> None:
    """List, then watch from there; both again whenever that ends, for as long as it takes."""
    failures = 0
    while True:
        try:
            listing = await cluster.console.list(kind, cluster.namespace or None)
            for raw in sorted(listing.items, key=key_of):
                follower.seen(kind, raw)
            follower.begun.add(kind)
            if failures:
                say(f"the API server is back: {RESOURCES[kind].plural}", err=True)
            failures = 0
            await _watch(cluster, kind, listing.resource_version, follower)
        except Gone:
            continue
        except (ApiUnreachable, ApiError) as error:
            if not _passes(error):
                raise
            failures += 1
            if failures == 1:
                say(f"{error}; will try again", err=True)
            await asyncio.sleep(backoff_seconds(failures, *RETRY, jitter=random.random()))


def _passes(error: KubeError) -> bool:
    """Tell whether a failure is one of the moment: no answer, too busy, starting or stopping."""
    return not isinstance(error, ApiError) or error.status == 429 or error.status >= 500


async def _watch(cluster: Cluster, kind: ObjectKind, version: str, follower: "Follower") -> None:
    while True:
        async for change in cluster.console.follow(kind, cluster.namespace, version):
            version = change.object["metadata"]["resourceVersion"]
            if change.type in ("ADDED", "MODIFIED"):
                follower.seen(kind, change.object)
            elif change.type == "DELETED":
                follower.gone(kind, change.object)


@dataclass(slots=True)
class Follower:
    """Tells what is new between two versions of an object. `begun`: kinds that were listed.

    Backends remember their last transitions, so those that nobody watched are told as well.
    """

    tell: Callable[[Happening], None]
    history: bool = False
    begun: set[ObjectKind] = field(default_factory=set)
    _latest: dict[ObjectKey, datetime | None] = field(default_factory=dict)
    _frontends: dict[ObjectKey, tuple[str, str]] = field(default_factory=dict)

    def seen(self, kind: ObjectKind, raw: JsonObject) -> None:
        """Take an object as it is now."""
        for one in self._backend(raw) if kind == ObjectKind.BACKEND else self._frontend(raw):
            self.tell(one)

    def gone(self, kind: ObjectKind, raw: JsonObject) -> None:
        """Take note that an object is deleted."""
        key = key_of(raw)
        self._latest.pop(key, None) if kind == ObjectKind.BACKEND else self._frontends.pop(
            key, None
        )
        self.tell(
            Happening(at=_now(), kind=kind, object=str(key), what="deleted",
                      before="", after="")
        )  # fmt: skip

    def _backend(self, raw: JsonObject) -> Iterator[Happening]:
        key = key_of(raw)
        transitions = status_of(raw, BackendStatus).transitions
        known = key in self._latest or ObjectKind.BACKEND in self.begun
        latest = self._latest.get(key)
        self._latest[key] = transitions[0].at if transitions else latest
        for one in reversed(transitions) if known or self.history else ():
            if latest is None or one.at > latest:
                yield _transition(key, one)

    def _frontend(self, raw: JsonObject) -> Iterator[Happening]:
        key, status = key_of(raw), raw.get("status") or {}
        now = (str(status.get("state") or "unknown"), str(status.get("activePool") or ""))
        before = self._frontends.get(
            key, ("unknown", "") if ObjectKind.FRONTEND in self.begun else now
        )
        self._frontends[key] = now
        if before[0] != now[0]:
            yield _change(key, "state", before[0], now[0], f"{status.get('ready')} backends are up")
        if before[1] != now[1] and before[1] and now[1]:
            yield _change(key, "pool", before[1], now[1], "failover")


def _transition(key: ObjectKey, one: BackendTransition) -> Happening:
    return Happening(
        at=one.at,
        kind="Backend",
        object=str(key),
        what="state",
        before=one.from_.value,
        after=one.to.value,
        code=one.code or "",
        detail=one.detail or "",
    )


def _change(key: ObjectKey, what: str, before: str, after: str, detail: str) -> Happening:
    return Happening(
        at=_now(),
        kind="Frontend",
        object=str(key),
        what=what,
        before=before,
        after=after,
        detail=detail,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _as_line(one: Happening) -> str:
    at = f"{one.at.astimezone():%H:%M:%S.%f}"[:-3]
    if one.what == "deleted":
        return f"{at}  {one.kind.lower():8}  {printable(one.object)}  deleted"
    what = "" if one.what == "state" else f"{one.what} "
    change = f"{what}{printable(one.before)} → {paint(coloured(one.after))}"
    why = printable("  ".join(part for part in (one.code, one.detail) if part))
    line = f"{at}  {one.kind.lower():8}  {printable(one.object)}  {change}"
    return f"{line}  {why}" if why else line


def _as_json(one: Happening) -> str:
    return to_json(one)

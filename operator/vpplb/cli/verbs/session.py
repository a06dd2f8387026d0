"""What every verb works with: a session with the objects that its flags name.

Values are tuples, since each start of a verb pays for them (`verbs.shown_status`).
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import click

from vpplb.cli.terminal import CommandError, print_line
from vpplb.cli.verbs.door import Reach, VerbDoor
from vpplb.kube.api_types import ApiError, JsonObject, KubeError, NotFound, key_of
from vpplb.kube.user_api.user_client import UserClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.printable import join_few

T = TypeVar("T")


class VerbFailure(Exception):
    """Something that the user should know, in one line; the command ends with 1."""


class VerbSession(NamedTuple):
    """The objects that the flags name. `namespace` is empty for all; `labels` is a selector."""

    client: UserClient
    namespace: str
    labels: str = ""

    async def get_object(self, kind: ObjectKind, name: str) -> JsonObject:
        """Read an object; VerbFailure says which there are if it is not there.

        Without a namespace it is that of this name in any.
        """
        if kind.is_namespaced and not self.namespace:
            return await self._find_anywhere(kind, name)
        try:
            namespace = self.namespace if kind.is_namespaced else ""
            return await self.client.get_object(kind, ObjectKey(namespace, name))
        except NotFound:
            there = [one["metadata"]["name"] for one in await self.list_objects(kind)]
        where = f" in namespace {self.namespace}" if kind.is_namespaced else ""
        raise VerbFailure(f"there is no {kind} {name}{where}; {describe_others(name, there)}")

    async def _find_anywhere(self, kind: ObjectKind, name: str) -> JsonObject:
        there = await self.list_objects(kind)
        found = [one for one in there if one["metadata"]["name"] == name]
        if len(found) > 1:
            places = ", ".join(sorted(key_of(one).namespace for one in found))
            raise VerbFailure(f"there is a {kind} {name} in each of {places}: say which by -n")
        if not found:
            names = {one["metadata"]["name"] for one in there}
            raise VerbFailure(f"there is no {kind} {name}; {describe_others(name, names)}")
        return found[0]

    async def list_objects(self, kind: ObjectKind) -> list[JsonObject]:
        """Read all objects of the namespace, or of all namespaces, whatever their labels."""
        return await self._list(kind, "")

    async def select_objects(self, kind: ObjectKind) -> list[JsonObject]:
        """Read those that meet the selector of the flags."""
        return await self._list(kind, self.labels)

    async def _list(self, kind: ObjectKind, labels: str) -> list[JsonObject]:
        try:
            namespace = self.namespace if kind.is_namespaced else ""
            return (await self.client.list_objects(kind, namespace, labels=labels)).items
        except NotFound as error:
            raise VerbFailure(
                f"{error.message} (are the CustomResourceDefinitions installed?)"
            ) from error


async def read_if_allowed(reading: Awaitable[T], otherwise: T, what: str) -> T:
    """Read what would be good to have; say on stderr that it is not known for want of a right."""
    try:
        return await reading
    except ApiError as error:
        if error.status != 403:
            raise
        print_line(f"note: {what} not known: {describe_error(error)}", err=True)
        return otherwise


def describe_others(name: str, there: Iterable[str]) -> str:
    """Say what there is instead of something that is not there."""
    names = sorted(there)
    if not names:
        return "there are none"
    import difflib

    close = difflib.get_close_matches(name, names, n=1) if len(names) > 1 else []
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}there {'is' if len(names) == 1 else 'are'} {join_few(names, most=8)}"


class UsualFlags(NamedTuple):
    """The usual flags as given, and those of the door."""

    door: VerbDoor | None
    reach: Reach = MappingProxyType({})
    namespace: str | None = None
    all_namespaces: bool = False
    labels: str = ""

    def show_namespaces(self, of: Iterable[str]) -> bool:
        """Tell whether what is shown needs its namespaces said, which are `of` these."""
        return self.all_namespaces or (self._is_anywhere and len(set(of)) > 1)

    @property
    def sees_all_namespaces(self) -> bool:
        """Whether nothing is left out for its namespace."""
        return self.all_namespaces or (self._is_anywhere and not self.namespace)

    @property
    def reads_manifests(self) -> bool:
        """Whether objects are of files, which may be wrong, and not of an API server."""
        return self._is_anywhere

    @property
    def _is_anywhere(self) -> bool:
        return self.door is not None and self.door.find_namespace is None

    def run_work(self, work: Callable[[VerbSession], Awaitable[T]], *, needs: str = "") -> T:
        """Do the work of a command; what goes wrong is said in one line, and ends with 1.

        `needs` is a module that the work imports: it is read while the door opens.
        """
        try:
            with _ended_by_sigterm():
                return asyncio.run(self.open_session(work, needs=needs))
        except (KubeError, VerbFailure) as error:
            raise CommandError(describe_error(error)) from error
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    async def open_session(
        self, work: Callable[[VerbSession], Awaitable[T]], *, needs: str = ""
    ) -> T:
        """Reach what the flags name, and do the work on it; a client that is given is it."""
        given = click.get_current_context().obj
        if given is not None or self.door is None:
            assert isinstance(given, UserClient)
            return await work(self._make_session(given, "default"))
        finding = asyncio.ensure_future(self._find_namespace(self.door))
        loading = asyncio.ensure_future(_load_module(needs))
        try:
            async with self.door.open(self.reach) as client:
                await loading
                return await work(self._make_session(client, await finding))
        finally:
            for task in (finding, loading):
                task.cancel()
            await asyncio.gather(finding, loading, return_exceptions=True)

    def _make_session(self, client: UserClient, default: str) -> VerbSession:
        named = self.namespace or ("" if self._is_anywhere else default)
        namespace = "" if self.all_namespaces else named
        return VerbSession(client=client, namespace=namespace, labels=self.labels)

    async def _find_namespace(self, door: VerbDoor) -> str:
        if self.all_namespaces or self.namespace or door.find_namespace is None:
            return self.namespace or ""
        return await door.find_namespace(self.reach)


async def _load_module(name: str) -> None:
    """Import it at once: kubectl, a process of its own, starts meanwhile."""
    if name:
        import_module(name)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the command as an exit does, so that what it has started ends with it."""
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    except ValueError:  # not the main thread: its own affair
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def describe_error(error: Exception) -> str:
    """Say an error in one line, the API server's in its own words."""
    text = error.message if isinstance(error, ApiError) and error.message else str(error)
    return " ".join(text.split())

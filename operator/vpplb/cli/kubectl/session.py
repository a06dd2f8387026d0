"""What every command of the plugin has: kubectl's usual flags, and a session with a cluster."""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from vpplb.cli.kubectl.output import OutputFormat
from vpplb.cli.terminal import CommandError, print_line
from vpplb.kube.api_types import ApiError, JsonObject, KubeError, NotFound
from vpplb.kube.client import UserClient
from vpplb.kube.cluster_access import find_namespace
from vpplb.model.names import ObjectKey, ObjectKind

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class PluginFailure(Exception):
    """Something that the user should know, in one line; the command ends with 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSession:
    """The cluster that the flags name. `namespace` is empty for all namespaces."""

    console: UserClient
    namespace: str

    async def get_object(self, kind: ObjectKind, name: str) -> JsonObject:
        """Read an object of the namespace; Failed says which there are if it is not there."""
        try:
            namespace = self.namespace if kind.is_namespaced else ""
            return await self.console.get_object(kind, ObjectKey(namespace, name))
        except NotFound:
            there = [one["metadata"]["name"] for one in await self.list_objects(kind)]
        where = f" in namespace {self.namespace}" if kind.is_namespaced else ""
        raise PluginFailure(f"there is no {kind} {name}{where}; {describe_others(name, there)}")

    async def list_objects(self, kind: ObjectKind) -> list[JsonObject]:
        """Read all objects of the namespace, or of all namespaces."""
        try:
            namespace = self.namespace if kind.is_namespaced else ""
            return (await self.console.list_objects(kind, namespace or None)).items
        except NotFound as error:
            raise PluginFailure(
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
    close = difflib.get_close_matches(name, names, n=1) if len(names) > 1 else []
    hint = f"did you mean {close[0]}? " if close else ""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"{hint}there {'is' if len(names) == 1 else 'are'} {shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualFlags:
    """The usual flags as given."""

    kubeconfig: Path | None
    context: str | None
    namespace: str | None
    all_namespaces: bool = False

    def run_work(self, work: Callable[[ClusterSession], Awaitable[T]]) -> T:
        """Do the work of a command; what goes wrong is said in one line, and ends with 1."""
        try:
            return asyncio.run(self._run_connected(work))
        except (KubeError, PluginFailure) as error:
            raise CommandError(describe_error(error)) from error
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    async def _run_connected(self, work: Callable[[ClusterSession], Awaitable[T]]) -> T:
        given = click.get_current_context().obj
        console = given or await UserClient.from_config(self.kubeconfig, self.context)
        async with console:
            return await work(
                ClusterSession(console=console, namespace=self._choose_namespace(bool(given)))
            )

    def _choose_namespace(self, given: bool) -> str:
        """Say which namespace; a console that was given has no kubeconfig to look into."""
        if self.all_namespaces:
            return ""
        if self.namespace or given:
            return self.namespace or "default"
        return find_namespace(self.kubeconfig, self.context)


def describe_error(error: Exception) -> str:
    """Say an error in one line, the API server's in its own words."""
    text = error.message if isinstance(error, ApiError) and error.message else str(error)
    return " ".join(text.split())


_KUBECONFIG = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Kubeconfig to use.  [default: $KUBECONFIG, else ~/.kube/config]",
)
_CONTEXT = click.option("--context", help="Context of the kubeconfig.  [default: the current one]")
_NAMESPACE = click.option(
    "-n", "--namespace", help="Namespace to look at.  [default: that of the context]"
)
_ALL = click.option("-A", "--all-namespaces", is_flag=True, help="Look at all namespaces.")


def usual_flags(*, all_namespaces: bool = False) -> Callable[[F], Callable[..., Any]]:
    """Add the usual flags to a command, which gets them as `flags`."""
    options = [_NAMESPACE, *([_ALL] if all_namespaces else []), _CONTEXT, _KUBECONFIG]

    def add_flags(function: F) -> Callable[..., Any]:
        @wraps(function)
        def with_flags(
            kubeconfig: Path | None,
            context: str | None,
            namespace: str | None,
            all_namespaces: bool = False,
            **rest: Any,
        ) -> Any:
            given = UsualFlags(
                kubeconfig=kubeconfig,
                context=context,
                namespace=namespace,
                all_namespaces=all_namespaces,
            )
            return function(flags=given, **rest)

        wrapped: Callable[..., Any] = with_flags
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return add_flags


output = click.option(
    "-o",
    "--output",
    default=OutputFormat.TABLE.value,
    show_default=True,
    type=click.Choice([one.value for one in OutputFormat]),
    callback=lambda _ctx, _param, value: OutputFormat(value),
    help="How to print it.",
)

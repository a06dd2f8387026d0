"""The flags that verbs share, and their completion."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from vpplb.cli.verbs.completion import complete_namespaces
from vpplb.cli.verbs.door import find_door, read_reach
from vpplb.cli.verbs.output import OutputFormat
from vpplb.cli.verbs.session import UsualFlags

F = TypeVar("F", bound=Callable[..., Any])

_NAMESPACE = click.option(
    "-n",
    "--namespace",
    shell_complete=complete_namespaces,
    help="Namespace to look at.  [default: the context's; without a cluster: all]",
)
_ALL = click.option("-A", "--all-namespaces", is_flag=True, help="Look at all namespaces.")
_LABELS = click.option(
    "-l", "--selector", "labels", default="", help="Only those with such labels, as in kubectl get."
)


def usual_flags(
    *, namespace: bool = True, all_namespaces: bool = False, selector: bool = False
) -> Callable[[F], Callable[..., Any]]:
    """Add the usual flags to a command, which gets them as `flags` with those of its door."""
    chosen = ((_NAMESPACE, namespace), (_ALL, all_namespaces), (_LABELS, selector))
    options = [option for option, wanted in chosen if wanted]

    def add_flags(function: F) -> Callable[..., Any]:
        @wraps(function)
        def with_flags(
            namespace: str | None = None,
            all_namespaces: bool = False,
            labels: str = "",
            **rest: Any,
        ) -> Any:
            context = click.get_current_context()
            door = find_door(context)
            reach = read_reach(door, context, rest)
            given = UsualFlags(
                door=door,
                reach=reach,
                namespace=namespace,
                all_namespaces=all_namespaces,
                labels=labels,
            )
            own = {name: value for name, value in rest.items() if name not in reach}
            return function(flags=given, **own)

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
problems_only = click.option(
    "--problems", is_flag=True, help="Only what is not as it should be; nothing: all is well."
)

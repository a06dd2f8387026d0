"""The line with which a program begins: what it is, and where everything is."""

import logging
from collections.abc import Sequence

from vpplb import __version__
from vpplb.telemetry.listen_address import ListenAddress

log = logging.getLogger(__name__)


def log_start(program: str, *, objects: str, http: ListenAddress | None, **more: object) -> None:
    """Log it, once it listens. `objects`: where they come from; `more`: what else it is given.

    What is None is not told.
    """
    parts = {"objects": objects, "http": http or "off", **more}
    said = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)
    log.info("vpplb %s %s begins: %s", __version__, program, said)


def describe_source(server: str, namespaces: Sequence[str]) -> str:
    """Say where a program's objects are: an API server, and which namespaces of it."""
    which = f"namespaces {', '.join(namespaces)}" if namespaces else "all namespaces"
    return f"of {server} ({which})"

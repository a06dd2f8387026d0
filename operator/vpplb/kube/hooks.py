"""What a status writer needs, and what it tells."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from vpplb.kube.api_resources import JsonObject
from vpplb.model.names import ObjectKey, ObjectKind


class StatusClient(Protocol):
    """What the writer needs of `KubeClient`."""

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        """Read an object; NotFound when there is none."""
        ...

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        """Write the status of an object of this version; return the object as it is then."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterHooks:
    """What the writer tells.

    Each result by kind; the seconds from a change until it was written; an object as the server
    has it after a write; and, by its UID, that an object is being written, until `on_answer` was
    told.
    """

    on_write: Callable[[str, str], None] = lambda kind, result: None
    on_delay: Callable[[float], None] = lambda seconds: None
    on_answer: Callable[[ObjectKind, JsonObject], None] = lambda kind, answer: None
    writing: Callable[[str], AbstractContextManager[None]] = lambda uid: nullcontext()

"""Who may act, as `ActionRunner` needs to know it, and what it tells.

A cluster asks its API server, with the person's own token; a router without one has accounts in a
file. Neither is known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from vpplb.model.names import ObjectKey, ObjectKind

SignInKind = Literal["token", "password"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has proved who he is, by a `credential` that no `repr` shows."""

    name: str
    credential: str = field(repr=False)


class NotSignedIn(Exception):
    """What was shown proves nobody; the text says why, and shows nothing of it."""


class AccessUnknown(Exception):
    """Who somebody is, or what he may do, cannot be asked at present; the text says why."""


class EditRefused(Exception):
    """An edit was not made; the text says why, in the words of who refused."""


class PeopleAccess(Protocol):
    """Says who somebody is, and what he may do. What is asked may raise AccessUnknown."""

    sign_in_kind: SignInKind

    async def sign_in(self, given: Mapping[str, object]) -> Person:
        """Tell who signs in with this (NotSignedIn); his credential proves it again later."""

    def remembers(self, *, authorization: str, credential: str) -> bool:
        """Tell whether one of them, the other is empty, is known to prove somebody.

        Nobody is asked, and nothing costly computed.
        """

    async def identify_person(self, credential: str) -> Person:
        """Tell whose credential it is (NotSignedIn)."""

    async def identify_header(self, authorization: str) -> Person:
        """Tell who sends such an `Authorization` header (NotSignedIn)."""

    async def may_edit(self, person: Person, kind: ObjectKind, namespace: str) -> bool:
        """Tell whether he may change objects of that kind there."""

    async def may_read(self, person: Person, path: str) -> bool:
        """Tell whether he may read a path of the HTTP server."""

    async def close(self) -> None:
        """Ask nobody any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """Something that a person did, or tried to do, to a backend. `said` is what came of it."""

    action: str
    backend: ObjectKey
    frontend: ObjectKey | None
    by: str
    at: datetime
    done: bool
    said: str

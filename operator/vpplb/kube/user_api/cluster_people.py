"""People of a cluster: who a token belongs to, and what its user may do, as the API server says."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from vpplb.acting.ports import AccessUnknown, NotSignedIn, Person, SignInKind
from vpplb.kube.api_types import ApiError
from vpplb.kube.user_api.kept_answers import KeptAnswers, NoAnswer
from vpplb.kube.user_api.person_client import PersonClient, is_token
from vpplb.model.names import GROUP, ObjectKind
from vpplb.model.printable import make_printable

T = TypeVar("T")

ANONYMOUS = "system:anonymous"
METRICS = "/metrics"
_REFUSED = (401, 403)
MOST_NAME = 200
"""Characters of a name that are shown."""


@dataclass(slots=True, kw_only=True)
class ClusterPeople:
    """Implements `acting.ports.PeopleAccess`.

    Who may list the Frontends of `namespaces`, or of all where there are none, may read what is
    shown of them; who may `get` the path `/metrics` of the cluster may read that one.
    """

    client: PersonClient
    namespaces: Sequence[str] = ()
    sign_in_kind: SignInKind = "token"
    _names: KeptAnswers[str] = field(default_factory=lambda: KeptAnswers(""))
    _rights: KeptAnswers[bool] = field(default_factory=KeptAnswers)

    async def sign_in(self, given: Mapping[str, object]) -> Person:
        token = given.get("token")
        if not isinstance(token, str):
            raise NotSignedIn("a token is wanted, as `kubectl create token` makes one")
        return await self.identify_person(token.strip())

    def remembers(self, *, authorization: str, credential: str) -> bool:
        token = credential or authorization.partition(" ")[2].strip()
        return self._names.recall_answer(_digest(token)) is not None

    async def identify_header(self, authorization: str) -> Person:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedIn("a bearer token is wanted")
        return await self.identify_person(token.strip())

    async def identify_person(self, credential: str) -> Person:
        if not is_token(credential):
            raise NotSignedIn("what was sent is no token")
        name = await _ask_kept(
            self._names, _digest(credential), lambda: self._find_name(credential)
        )
        if not name:
            raise NotSignedIn("the cluster does not know this token, or it has expired")
        return Person(name=name, credential=credential)

    async def _find_name(self, token: str) -> str:
        """Return whose token it is; empty: nobody's."""
        try:
            name = await self.client.find_name(token)
        except ApiError as error:
            if error.status in _REFUSED:
                return ""
            raise
        return "" if name == ANONYMOUS else make_printable(name)[:MOST_NAME]

    async def may_edit(self, person: Person, kind: ObjectKind, namespace: str) -> bool:
        return await self._ask_right(person, _resource("patch", kind, namespace))

    async def may_read(self, person: Person, path: str) -> bool:
        if path == METRICS:
            asked: Mapping[str, object] = {
                "nonResourceAttributes": {"path": path, "verb": "get"},
            }
            return await self._ask_right(person, asked)
        # Not the path: everybody may `get` `/api/*` of a cluster, by `system:discovery`.
        for namespace in self.namespaces or ("",):
            if not await self._ask_right(person, _resource("list", ObjectKind.FRONTEND, namespace)):
                return False
        return True

    async def close(self) -> None:
        await self.client.close()

    async def _ask_right(self, person: Person, asked: Mapping[str, object]) -> bool:
        name = (_digest(person.credential), json.dumps(asked))
        return await _ask_kept(
            self._rights, name, lambda: self._find_right(person.credential, asked)
        )

    async def _find_right(self, token: str, asked: Mapping[str, object]) -> bool:
        try:
            return await self.client.is_allowed(token, asked)
        except ApiError as error:
            if error.status in _REFUSED:
                return False
            raise


async def _ask_kept(kept: KeptAnswers[T], asked: object, ask: Callable[[], Awaitable[T]]) -> T:
    try:
        return await kept.get_answer(asked, ask)
    except NoAnswer as error:
        raise AccessUnknown(str(error)) from error


def _resource(verb: str, kind: ObjectKind, namespace: str) -> Mapping[str, object]:
    return {
        "resourceAttributes": {
            "verb": verb,
            "group": GROUP,
            "resource": kind.plural,
            "namespace": namespace,
        }
    }


def _digest(token: str) -> bytes:
    """Return what stands for a token where it is remembered."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()

"""One Lease on an API server, and lines to it that are slow, cut or deaf: one line a program."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fakes.api_store import ApiStore
from vpplb.kube.api_types import ApiUnreachable, JsonObject
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind

KEY = ObjectKey("vpplb-system", "vpplb-operator")
MOST_ASKED = 10_000
"""Requests of one program, in tests of hours at most: more come from one that never waits."""


@dataclass(slots=True)
class LeaseStore(ApiStore):
    """The server, as far as the one Lease is concerned."""

    @property
    def lease(self) -> JsonObject | None:
        return self.objects.get((ObjectKind.LEASE, KEY))

    @property
    def holder(self) -> str:
        return str(self.lease["spec"].get("holderIdentity") or "") if self.lease else ""

    def edit_lease(self, **spec: object) -> None:
        """Change the lease's spec as an administrator does."""
        self.merge(ObjectKind.LEASE, KEY, {"spec": spec})

    def delete_lease(self) -> None:
        """Delete the lease as an administrator does; nothing when there is none."""
        if self.lease is not None:
            self.remove(ObjectKind.LEASE, KEY)


@dataclass(slots=True)
class LeaseLine(KubeClient):
    """A program's line to the server: a `KubeClient` for leases.

    A request takes `there` seconds until it is done and `back` until it is answered; whoever asked
    may have gone by then, and it is done nevertheless. `cut`: nothing arrives, and that is known
    at once; `deaf`: everything is done, and no answer comes.
    """

    server: ApiStore
    there: float = 0.0
    back: float = 0.0
    cut: bool = False
    deaf: bool = False
    asked: list[str] = field(default_factory=list)

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        return await self._ask("get", lambda: self.server.read(kind, key))

    async def replace_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        return await self._ask("replace", lambda: self.server.put_whole(kind, key, body))

    async def patch_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        return await self._ask("patch", lambda: self.server.merge(kind, key, body))

    async def _ask(self, verb: str, act: Callable[[], JsonObject]) -> JsonObject:
        self.asked.append(verb)
        assert len(self.asked) < MOST_ASKED, "it asks without a pause"
        if self.cut:
            raise ApiUnreachable("connection refused")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Callable[[], JsonObject]] = loop.create_future()
        loop.call_later(self.there, self._do, act, answer)
        return (await answer)()

    def _do(
        self, act: Callable[[], JsonObject], answer: asyncio.Future[Callable[[], JsonObject]]
    ) -> None:
        outcome = _outcome(act)
        if not self.deaf:
            asyncio.get_running_loop().call_later(self.back, _answer, answer, outcome)


def _outcome(act: Callable[[], JsonObject]) -> Callable[[], JsonObject]:
    """Do it now; return what gives the result, or raises the refusal, later."""
    try:
        result = act()
    except Exception as error:  # what a test makes sure of is told to whoever asked, too
        refusal = error

        def refuse() -> JsonObject:
            raise refusal

        return refuse
    return lambda: result


def _answer(
    answer: asyncio.Future[Callable[[], JsonObject]], outcome: Callable[[], JsonObject]
) -> None:
    if not answer.done():
        answer.set_result(outcome)

"""One Lease on an API server, and lines to it that are slow, cut or deaf: one line a program."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fakes.api_server import apply_merge_patch
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.errors import ApiError, ApiUnreachable, Conflict, NotFound
from vpplb.model.names import ObjectKey, ObjectKind


@dataclass(slots=True)
class FakeLeaseApi:
    """The server: `lease` as it is now, None when there is none; `writes` counts those done."""

    lease: JsonObject | None = None
    writes: int = 0
    _version: int = 0

    @property
    def holder(self) -> str:
        return str(self.lease["spec"].get("holderIdentity") or "") if self.lease else ""

    def put(self, lease: Mapping[str, object]) -> JsonObject:
        """Write the lease, as a new version."""
        self._version += 1
        self.writes += 1
        given = lease.get("metadata")
        metadata = {**(given if isinstance(given, Mapping) else {})}
        metadata["resourceVersion"] = str(self._version)
        made = apply_merge_patch({}, {**lease, "metadata": metadata})  # drops what is None
        assert isinstance(made, dict)
        self.lease = made
        return made

    def edit(self, **spec: object) -> None:
        """Change the lease's spec as an administrator does."""
        assert self.lease is not None
        self.put({**self.lease, "spec": {**self.lease["spec"], **spec}})

    def get(self) -> JsonObject:
        if self.lease is None:
            raise NotFound(404, "NotFound", "no lease")
        return self.lease

    def create(self, body: Mapping[str, object]) -> JsonObject:
        if self.lease is not None:
            raise ApiError(422, "Invalid", "metadata.resourceVersion: must be specified")
        return self.put(body)

    def patch(self, body: Mapping[str, object]) -> JsonObject:
        before, metadata = self.get(), body["metadata"]
        assert isinstance(metadata, Mapping)
        if metadata["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        merged = apply_merge_patch(before, body)
        assert isinstance(merged, dict)
        return self.put(merged)


@dataclass(slots=True)
class LeaseLine:
    """A program's line to the server: implements `kube.leader_election.LeaseClient`.

    A request takes `there` seconds until it is done and `back` until it is answered; whoever asked
    may have gone by then, and it is done nevertheless. `cut`: nothing arrives, and that is known
    at once; `deaf`: everything is done, and no answer comes.
    """

    server: FakeLeaseApi
    there: float = 0.0
    back: float = 0.0
    cut: bool = False
    deaf: bool = False
    asked: list[str] = field(default_factory=list)

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        return await self._ask("get", self.server.get)

    async def replace(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        return await self._ask("replace", lambda: self.server.create(body))

    async def patch(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        return await self._ask("patch", lambda: self.server.patch(body))

    async def _ask(self, verb: str, act: Callable[[], JsonObject]) -> JsonObject:
        self.asked.append(verb)
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

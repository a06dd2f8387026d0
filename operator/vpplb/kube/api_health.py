"""Whether the API server does what it is asked, for readiness: requests, and watches.

A watch proves that it lives by being asked for again: each is made to end after a while, so one
without an answer for longer than that is dead, however quiet the objects are. And one that goes
on in any other way than from its end to its end may have missed something.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from vpplb.kube.api_types import RESOURCES
from vpplb.model.names import ObjectKind

log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0
"""Seconds until a request of a watch without the beginning of an answer has failed."""
GIVEN_UP = 10.0
"""Seconds after its end until a watch is given up that kopf has not asked for again; it is busy at
times."""
FAILING = 3.0
"""Seconds that requests fail before that is told: most failures pass within a moment."""
_RETRIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
"""What kopf asks again after, as after server errors; after other refusals it gives up."""
_EARLY = 2.0
"""Seconds before its time that a watch may end without a reason."""


@dataclass(slots=True)
class RequestHealth:
    """Takes note of how requests end. At first the server counts as well."""

    clock: Callable[[], float] = time.monotonic
    _answered: float = field(init=False)
    _failure: str = ""
    _failing_since: float = 0.0

    def __post_init__(self) -> None:
        self._answered = self.clock()

    def note_answer(self) -> None:
        """Take note that the server did, or refused, what it was asked."""
        self._answered, self._failure = self.clock(), ""

    def note_failure(self, why: str) -> None:
        """Take note that it did neither: no answer, or one about nothing that was asked."""
        self._failing_since = self._failing_since if self._failure else self.clock()
        self._failure = why

    def age(self) -> float:
        """Return how many seconds ago the server last did, or refused, what was asked."""
        return self.clock() - self._answered

    @property
    def trouble(self) -> str:
        """Say why requests have been failing for a while; empty when they are not."""
        seconds = self.clock() - self._failing_since
        if not self._failure or seconds < FAILING:
            return ""
        return f"requests fail for {seconds:.0f} s: {self._failure}"


@dataclass(slots=True)
class WatchRequests:
    """The requests of one watch, of a kind in a namespace or in all. Times are the clock's.

    `doubtful`: what is told may not continue what was told before. `response` is the last one while
    nothing else was asked for, `idle` how often it was looked at since it ended. `gone`: there
    is no such namespace, so that it fails with nobody to blame.
    """

    kind: ObjectKind
    clock: Callable[[], float]
    asked: float
    answered: float
    failure: str = ""
    failing_since: float = 0.0
    requests: int = 0
    doubtful: bool = False
    gone: bool = False
    idle: int = 0
    response: ClientResponse | None = None
    _ends: float = 0.0

    @property
    def plural(self) -> str:
        """Return the name of its kind as people know it from addresses."""
        return self.kind.plural

    def note_request(self, query: Mapping[str, str]) -> None:
        """Take note that the watch, or the list that it begins with, is asked for."""
        self.asked, self.requests = self.clock(), self.requests + 1
        # A list is no continuation; and a watch that ended early met something, such as a server
        # that was restored from a backup.
        self.doubtful |= "watch" not in query or self.asked < self._ends
        self._ends, self.response, self.idle = 0.0, None, 0

    def note_failure(self, why: str) -> None:
        """Take note that there was no answer, or that it was refused."""
        self.failing_since = self.failing_since if self.failure else self.clock()
        self.failure, self.doubtful = why, True

    def note_answer(self, status: int, reason: str, query: Mapping[str, str]) -> bool:
        """Take note of an answer; return whether all should be listed, to make sure."""
        if status != HTTPStatus.OK:
            before = self.failure
            self.note_failure(f"{status} {reason}")
            # A list finds out whether what we may no longer see is gone; once is enough for that.
            newly_forbidden = status == HTTPStatus.FORBIDDEN and self.failure != before
            # "Too large resource version": that of another history, which no watch ever reaches.
            return newly_forbidden or status == HTTPStatus.GATEWAY_TIMEOUT
        self.answered, self.failure, self.gone = self.clock(), "", False
        if "watch" not in query:  # what the watch tells that follows is yet to come
            return False
        self._ends = self.answered + float(query.get("timeoutSeconds", 0)) - _EARLY
        doubtful, self.doubtful = self.doubtful, False
        return doubtful


class WatchHealth:
    """All watches of some kinds: one a namespace (none: one for all).

    `observe` is a middleware for the session that watches: it notes requests and what became of
    them, and alters nothing. On its thread it calls `on_gap` when something may have been
    missed, `on_distrust` with the reason when the server's certificate is not trusted, and
    `on_version` with each version that a watch goes on from.
    """

    def __init__(
        self,
        kinds: Sequence[ObjectKind] = (),
        namespaces: Sequence[str] = (),
        on_gap: Callable[[], None] = lambda: None,
        on_distrust: Callable[[str], None] = lambda why: None,
        on_version: Callable[[ObjectKind, int], None] = lambda kind, version: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_gap, self._on_distrust, self._on_version = on_gap, on_distrust, on_version
        self._clock, self._late, now = clock, "", clock()
        self.ending = ""
        self._watches = {
            RESOURCES[kind].collection_path(namespace): WatchRequests(
                kind, clock, asked=now, answered=now
            )
            for kind in kinds
            for namespace in (namespaces if kind.is_namespaced and namespaces else ("",))
        }

    async def observe(self, request: ClientRequest, handle: ClientHandlerType) -> ClientResponse:
        """Note a request; one without the beginning of an answer in time fails."""
        watch, query = self._find_watch(request.url.path), request.url.query
        if self.ending:
            raise RuntimeError(self.ending)
        if watch is None:  # kopf looks around when it starts
            return await handle(request)
        watch.note_request(query)
        if (version := query.get("resourceVersion", "")).isdecimal():
            self._on_version(watch.kind, int(version))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                response = await handle(request)
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            watch.note_failure(str(error) or "no answer")
            if isinstance(error, aiohttp.ClientSSLError):
                self._on_distrust(str(error))
            raise
        if watch.note_answer(response.status, response.reason or "", query):
            self._on_gap()
        if response.status == HTTPStatus.OK:
            # After a list kopf may be busy for long before it asks for the watch.
            watch.response = response if "watch" in query else None
        elif response.status < 500 and response.status not in _RETRIED:
            self._end_watches(f"the watch of {watch.plural} is refused ({watch.failure})")
        return response

    def _find_watch(self, path: str) -> WatchRequests | None:
        """Find the watch of a path; the API server's URL may have a path too, as behind Rancher."""
        found = (watch for tail, watch in self._watches.items() if path.endswith(tail))
        return next(found, None)

    async def wait_given_up(self) -> None:
        """Return when kopf has given a watch up, and all others are ended.

        kopf would end by itself then, but for watches that may swallow that they are cancelled,
        and go on for ever.
        """
        while not self.ending:
            await asyncio.sleep(GIVEN_UP / 4)
            for watch in self._watches.values():
                closed = watch.response is not None and watch.response.closed
                watch.idle = watch.idle + 1 if closed else 0
                if watch.idle > 4:
                    self._end_watches(f"kopf has given the watch of {watch.plural} up")

    def _end_watches(self, why: str) -> None:
        self.ending = why
        for watch in self._watches.values():
            if watch.response is not None:
                watch.response.close()

    def note_namespace(self, kind: ObjectKind, namespace: str, *, gone: bool) -> None:
        """Take note whether there is a namespace: nobody misses a watch of one that is gone."""
        if watch := self._watches.get(RESOURCES[kind].collection_path(namespace)):
            watch.gone = gone

    def _wanted_watches(self) -> list[WatchRequests]:
        return [watch for watch in self._watches.values() if not watch.gone]

    def ages(self) -> Mapping[str, float]:
        """Return, by the plural of each kind, for how many seconds its watch has had no answer."""
        now, ages = self._clock(), dict[str, float]()
        for watch in self._wanted_watches():
            ages[watch.plural] = max(ages.get(watch.plural, 0.0), now - watch.answered)
        return ages

    def silence(self) -> float:
        """Return for how many seconds the watch has not been asked for that was forgotten."""
        return self._clock() - min(watch.asked for watch in self._watches.values())

    def is_partial(self) -> bool:
        """Tell whether one was never asked for, though others are: its kind was not there."""
        requests = [watch.requests for watch in self._watches.values()]
        return 0 in requests and (any(requests) or self.silence() > ANSWER_TIMEOUT)

    @property
    def trouble(self) -> str:
        """Say which watch is late as it was judged last, or fails for a while; empty: none."""
        now = self._clock()
        failing = (
            f"the watch of {watch.plural} fails for {age:.0f} s ({watch.failure})"
            for watch in self._wanted_watches()
            if watch.failure and (age := now - watch.failing_since) > FAILING
        )
        return self._late or next(failing, "")

    def judge_ages(self, limit: float) -> None:
        """Look whether a watch has had no answer for more than `limit` seconds, and log news."""
        oldest = min(self._wanted_watches(), key=lambda watch: watch.answered, default=None)
        late = ""
        if oldest is not None and (age := self._clock() - oldest.answered) > limit:
            why = f" ({oldest.failure})" if oldest.failure else ""
            late = f"no answer to the watch of {oldest.plural} for {age:.0f} s{why}"
        if late and not self._late:
            log.warning("%s, trying on", late)
        elif self._late and not late:
            log.info("all watches are answered again")
        self._late = late

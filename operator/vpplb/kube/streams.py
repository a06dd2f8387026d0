"""The HTTP side of the watches: a session through which all of kopf's requests go.

It gives kopf our way to the API server, and does what kopf does not:

- It notes when each stream was asked for and when the server last answered, which is how a watch
  proves that it lives: each is made to end after a while and asked for again, so a stream without
  an answer for longer than that is dead, however quiet the objects are.
- An answer has to come soon. Without that, a request that meets a server which takes connections
  and says nothing waits as long as a watch may last.
- kopf begins each watch by a list. The objects of that list are not needed, since the informer
  lists better (by pages, and finds what was deleted); only its version is. So kopf is given an
  empty list, of the version of the informer's own list: its watch continues that one exactly. A
  list that continues nothing, as after 410, is told to the informer, which lists again.
- A watch that failed, or ended before its time, may have met another history of the server (one
  restored from a backup, a CRD that was made anew): that is told to the informer as well.
- What is no reason for kopf to give up does not reach it: a kind that is not there (404) may come.
- A certificate that is not trusted is told, so that the configuration is read anew.
- The echoes of our own writes are taken out.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from vpplb import __version__
from vpplb.kube.api_resources import RESOURCES
from vpplb.kube.cluster_access import Access
from vpplb.kube.echoes import Echoes, Unechoed
from vpplb.model.names import ObjectKind

ANSWER_TIMEOUT = 10.0
"""Seconds until a request without the beginning of an answer has failed."""
_EARLY = 2.0
"""Seconds before its time that a watch may end without a reason."""
_NO_REASON_TO_END = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_NOTHING = "metadata.name=-"
"""A field selector that no object meets: `-` is no name."""


@dataclass(slots=True)
class _Stream:
    kind: ObjectKind
    asked: float
    answered: float
    failure: str = ""
    failing_since: float = 0.0

    def failed(self, why: str, now: float) -> None:
        self.failing_since = self.failing_since if self.failure else now
        self.failure = why


class Streams:
    """The streams of one run of kopf: one a kind and namespace (none: one a kind).

    `continues` gives, for the path of a collection, the version of a list that the watch is to
    continue, or "". `reached` is told the version from which a watch goes on; `doubtful` that one
    continues nothing that is known, or may not; `distrusted` why the server's certificate is not
    trusted. All are called on kopf's thread; all else may be called on any.
    """

    def __init__(
        self,
        kinds: Sequence[ObjectKind],
        namespaces: Sequence[str],
        continues: Callable[[str], str],
        doubtful: Callable[[], None],
        echoes: Echoes,
        reached: Callable[[ObjectKind, int], None] = lambda kind, version: None,
        distrusted: Callable[[str], None] = lambda why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._continues, self._doubtful, self._clock = continues, doubtful, clock
        self._reached, self._distrusted, self._echoes = reached, distrusted, echoes
        self._sessions: list[aiohttp.ClientSession] = []
        self._streams = {
            RESOURCES[kind].collection_path(namespace): _Stream(
                kind, asked=clock(), answered=clock()
            )
            for kind in kinds
            for namespace in (namespaces if kind.namespaced and namespaces else ("",))
        }

    def ages(self) -> Mapping[str, float]:
        """Return, by the plural of each kind, for how many seconds its watch has had no answer."""
        now, ages = self._clock(), dict[str, float]()
        for stream in self._streams.values():
            plural = RESOURCES[stream.kind].plural
            ages[plural] = max(ages.get(plural, 0.0), now - stream.answered)
        return ages

    def silence(self) -> float:
        """Return for how many seconds the stream has not been asked for that kopf forgot."""
        return self._clock() - min(stream.asked for stream in self._streams.values())

    def late(self, limit: float) -> str:
        """Say which watch has had no answer for more than `limit` seconds; empty: none."""
        oldest = min(self._streams.values(), key=lambda stream: stream.answered)
        age = self._clock() - oldest.answered
        if age <= limit:
            return ""
        why = f" ({oldest.failure})" if oldest.failure else ""
        return f"no answer to the watch of {RESOURCES[oldest.kind].plural} for {age:.0f} s{why}"

    def failing(self, limit: float) -> str:
        """Say which watch is refused or broken for more than `limit` seconds; empty: none."""
        now = self._clock()
        for stream in self._streams.values():
            age = now - stream.failing_since
            if stream.failure and age > limit:
                plural = RESOURCES[stream.kind].plural
                return f"the watch of {plural} fails for {age:.0f} s ({stream.failure})"
        return ""

    def session(self, access: Access) -> aiohttp.ClientSession:
        """Open the session, on the loop that will use it."""

        async def through(request: ClientRequest, handle: ClientHandlerType) -> ClientResponse:
            request.headers.update(await access.auth_headers())
            request.server_hostname = access.server_hostname
            stream = self._streams.get(request.url.path)
            if stream is None:  # kopf looks around when it starts
                return await handle(request)
            return await self._ask(stream, request, handle)

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=access.tls if access.tls else False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": f"vpplb/{__version__}"},
            proxy=access.proxy,
            middlewares=(through,),
        )
        self._sessions.append(session)
        return session

    async def close(self) -> None:
        """Close what was opened, on the loop that used it; kopf leaves some open."""
        for session in self._sessions:
            await session.close()
        await asyncio.sleep(0)  # transports close a moment later

    async def _ask(
        self, stream: _Stream, request: ClientRequest, handle: ClientHandlerType
    ) -> ClientResponse:
        stream.asked = self._clock()
        query = request.url.query
        listing = "watch" not in query
        if not listing and (version := query.get("resourceVersion", "")).isdecimal():
            self._reached(stream.kind, int(version))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                response = await (self._list(request, handle) if listing else handle(request))
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            stream.failed(str(error) or "no answer", self._clock())
            if isinstance(error, aiohttp.ClientSSLError):
                self._distrusted(str(error))
            raise
        if response.status != HTTPStatus.OK:
            return self._refused(stream, response)
        if stream.failure:
            self._doubtful()
        stream.answered, stream.failure = self._clock(), ""
        if not listing:
            lasting = float(query.get("timeoutSeconds", 0)) - _EARLY
            content = Unechoed(response.content, self._echoes, lambda: self._ended(stream, lasting))
            response.content = cast(aiohttp.StreamReader, content)
        return response

    def _refused(self, stream: _Stream, response: ClientResponse) -> ClientResponse:
        stream.failed(f"{response.status} {response.reason}", self._clock())
        if response.status == HTTPStatus.GATEWAY_TIMEOUT:  # "Too large resource version"
            self._doubtful()
        if response.status in _NO_REASON_TO_END:
            response.status = HTTPStatus.SERVICE_UNAVAILABLE  # so that kopf asks again
        return response

    def _ended(self, stream: _Stream, lasting: float) -> None:
        """Take note that the server ended a watch: at its time, or because something happened."""
        if self._clock() - stream.answered < lasting:
            self._doubtful()

    async def _list(self, request: ClientRequest, handle: ClientHandlerType) -> ClientResponse:
        """List nothing, as of the version that is to be continued, else as of now."""
        url = request.url.update_query(fieldSelector=_NOTHING)
        if version := self._continues(url.path):
            exactly = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
            request.url = url.update_query(exactly)
            response = await handle(request)
            if response.status == 200:
                return response
            response.release()  # it has expired, most likely
        request.url = url
        response = await handle(request)
        if response.status == 200:
            self._doubtful()
        return response

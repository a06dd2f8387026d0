"""The few requests of the programs to the API server. People's are in `kube.user_api`."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from ssl import SSLError
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from vpplb import __version__
from vpplb.kube.api_health import RequestHealth
from vpplb.kube.api_types import (
    MERGE_PATCH,
    PAGE,
    RESOURCES,
    ApiError,
    ApiUnreachable,
    Conflict,
    Gone,
    JsonObject,
    ObjectListing,
    UntrustedServer,
    check_object,
    read_answer,
    read_page,
)
from vpplb.kube.cluster_access import ClusterAccess, load_access
from vpplb.model.names import ObjectKey, ObjectKind

FIELD_MANAGER = "vpplb"

REQUEST_TIMEOUT = 10.0
LIST_TIMEOUT = 60.0
CONNECT_TIMEOUT = 3.0
"""Seconds until a request counts as unanswered."""

KEPT_ALIVE = 60.0
"""Seconds for which an idle connection is kept: a TLS handshake takes longer than a write. The API
server closes it after 90. They are used in turn, so that the renewals of a usual lease, one each 2
seconds, keep all of an operator's alive."""

RELOAD_EVERY = 5.0
"""Seconds from one reading of the configuration to the next, while it does not help."""


class KubeClient:
    """A client for one API server, used as `async with await KubeClient.from_config() as client`.

    Every method raises ApiUnreachable when there is no answer in time, NotFound, Conflict or
    another ApiError when the answer is a failure. Nothing is retried here but one thing: where
    the server does not know us (401), or we do not trust it (UntrustedServer), the configuration is
    read anew: tokens, certificates and CAs are replaced while programs run.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        reload: Callable[[], Awaitable[ClusterAccess]] | None = None,
        timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        self._access = access
        self._timeout = timeout
        self._reload = reload
        self._reloading = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._reloaded = -math.inf
        self.health = RequestHealth()

    @property
    def server_url(self) -> str:
        return self._access.server

    @property
    def access(self) -> ClusterAccess:
        """The way to it, as last read."""
        return self._access

    @classmethod
    async def from_config(cls, kubeconfig: Path | None = None) -> Self:
        """Make a client from what `load_access` finds; ConfigError when it finds nothing."""

        async def load() -> ClusterAccess:
            return await load_access(kubeconfig)

        return cls(await load(), reload=load)

    async def __aenter__(self) -> Self:
        self._session = open_session(self._access)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def list_objects(self, kind: ObjectKind, namespace: str | None = None) -> ObjectListing:
        """Read all objects of a kind, of one namespace if given, page by page.

        A list that expires between two pages is begun anew in one piece.
        """
        try:
            return await self._list_pages(kind, namespace or "", PAGE)
        except Gone:
            return await self._list_pages(kind, namespace or "", 0)

    async def _list_pages(self, kind: ObjectKind, namespace: str, limit: int) -> ObjectListing:
        items: list[JsonObject] = []
        query = {"limit": str(limit)} if limit else {}
        while True:
            page = await self._send_request(
                "GET", RESOURCES[kind].collection_path(namespace), query=query, timeout=LIST_TIMEOUT
            )
            items += read_page(page)
            if not page["metadata"].get("continue"):
                return ObjectListing(items, page["metadata"]["resourceVersion"])
            query["continue"] = page["metadata"]["continue"]

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        return check_object(await self._send_request("GET", RESOURCES[kind].object_path(key)))

    async def create_object(self, kind: ObjectKind, body: Mapping[str, object]) -> JsonObject:
        """Create an object in the namespace that its metadata names; Conflict when it exists."""
        return check_object(await self._create_object(kind, body))

    async def is_forbidden(self, kind: ObjectKind, body: Mapping[str, object]) -> bool:
        """Tell whether making an object is refused to us, which a dry run asks: nothing is made."""
        try:
            await self._create_object(kind, body, dryRun="All")
        except Conflict:  # it is there, and nobody said that we may not make it
            return False
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return True
            raise
        return False

    async def _create_object(
        self, kind: ObjectKind, body: Mapping[str, object], **query: str
    ) -> JsonObject:
        metadata = body.get("metadata")
        namespace = metadata.get("namespace", "") if isinstance(metadata, Mapping) else ""
        full = {"apiVersion": RESOURCES[kind].api_version, "kind": kind, **body}
        return await self._send_request(
            "POST", RESOURCES[kind].collection_path(namespace), body=full, query=query
        )

    async def replace_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Write a whole object; Conflict when its `resourceVersion` is no longer the newest."""
        full = {"apiVersion": RESOURCES[kind].api_version, "kind": kind, **body}
        path = RESOURCES[kind].object_path(key)
        return check_object(await self._send_request("PUT", path, body=full))

    async def patch_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Merge `body` into an object (RFC 7386) and return the result."""
        path = RESOURCES[kind].object_path(key)
        return check_object(await self._send_request("PATCH", path, body=body))

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        """Write a whole status and return the object.

        Conflict when `version` (`resourceVersion`) is no longer the newest. This costs the API
        server a seventh less than a patch.
        """
        metadata = {"name": key.name, "namespace": key.namespace, "resourceVersion": str(version)}
        body = {
            "apiVersion": RESOURCES[kind].api_version,
            "kind": kind,
            "metadata": {name: value for name, value in metadata.items() if value},
            "status": status,
        }
        path = RESOURCES[kind].object_path(key, "status")
        return check_object(await self._send_request("PUT", path, body=body))

    async def patch_status(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Merge `body`, as `{"status": …}`, into the status and return the object."""
        path = RESOURCES[kind].object_path(key, "status")
        return check_object(await self._send_request("PATCH", path, body=body))

    async def delete_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Delete an object in the background."""
        await self._send_request("DELETE", RESOURCES[kind].object_path(key))

    async def read_path(self, path: str) -> JsonObject:
        """Read what is no object of a kind, such as `/openid/v1/jwks`."""
        return await self._send_request("GET", path)

    async def create_event(self, body: Mapping[str, object]) -> None:
        await self.create_object(ObjectKind.EVENT, body)

    async def _send_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        access, timeout = self._access, timeout or self._timeout
        try:
            return await self._send_once(method, path, query, body, timeout)
        except (ApiError, UntrustedServer) as error:
            refused = isinstance(error, UntrustedServer) or error.status == HTTPStatus.UNAUTHORIZED
            if not refused or not await self._renew_access(access):
                raise
        return await self._send_once(method, path, query, body, timeout)

    async def _renew_access(self, stale: ClusterAccess) -> bool:
        """Read the configuration anew, once for all requests that were refused together.

        Return whether there is another one to try.
        """
        async with self._reloading:
            if self._access is not stale:
                return True
            if self._reload is None or time.monotonic() < self._reloaded + RELOAD_EVERY:
                return False
            self._reloaded = time.monotonic()
            self._access = await self._reload()
            old, self._session = self._session, open_session(self._access)
            if old is not None:
                await old.close()
            return True

    async def _send_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
        timeout: float,
    ) -> JsonObject:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside of its `async with`")
        params = dict(query or {})
        headers = {}
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = MERGE_PATCH if method == "PATCH" else "application/json"
            params.setdefault("fieldManager", FIELD_MANAGER)
        try:
            async with self._session.request(
                method,
                self._access.server + path,
                params=params,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout, connect=CONNECT_TIMEOUT),
            ) as response:
                content = await response.read()
        except TimeoutError as error:
            connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
            said = (
                f"no connection in {CONNECT_TIMEOUT:g} s"
                if connecting
                else f"no answer in {timeout:g} s"
            )
            self.health.note_failure(said)
            raise ApiUnreachable(f"{self._access.server}: {said}") from error
        except (aiohttp.ClientError, OSError) as error:
            self.health.note_failure(str(error))
            distrust = isinstance(error, (aiohttp.ClientSSLError, SSLError))
            kind = UntrustedServer if distrust else ApiUnreachable
            raise kind(f"{self._access.server}: {error}") from error
        if response.status < 500 and response.status not in (401, 429):
            self.health.note_answer()
        else:
            self.health.note_failure(f"{response.status} {response.reason}")
        return read_answer(response.status, response.headers.get("Retry-After"), content)


def open_session(
    access: ClusterAccess, *middlewares: aiohttp.ClientMiddlewareType, connections: int = 100
) -> aiohttp.ClientSession:
    """Open a session with an API server, on the loop that will use it; `connections` 0: any.

    It asks nobody else, so that a redirect takes our token to no other server.
    """
    home = URL(access.server).origin()

    async def authorise(
        request: aiohttp.ClientRequest, handle: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.origin() != home:
            raise aiohttp.ClientConnectionError(f"it redirects to {request.url.origin()}")
        request.headers.update(await access.auth_headers())
        request.server_hostname = access.server_hostname
        return await handle(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            ssl=access.tls if access.tls else False,
            keepalive_timeout=KEPT_ALIVE,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        # As kubectl: what is no object has a type of its own, such as that of a set of keys.
        headers={"Accept": "application/json, */*", "User-Agent": f"vpplb/{__version__}"},
        proxy=access.proxy,
        middlewares=(*middlewares, authorise),
    )

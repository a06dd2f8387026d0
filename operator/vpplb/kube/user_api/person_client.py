"""The requests that a person makes through us: with the person's own token, and nothing of ours.

So the API server itself knows who asks, judges it, and writes it into its audit log; we need no
right for it, and lend nobody ours. No certificate of ours is shown either, which would count
before the token.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ssl import SSLError

import aiohttp

from vpplb import __version__
from vpplb.kube.api_types import (
    JSON_PATCH,
    MERGE_PATCH,
    RESOURCES,
    ApiUnreachable,
    ConfigError,
    JsonObject,
    read_answer,
)
from vpplb.kube.cluster_access import ClusterAccess
from vpplb.model.names import ObjectKey, ObjectKind

PERSON_FIELD_MANAGER = "vpplb-dashboard"
"""Who changed a spec, as `metadata.managedFields` shows it."""
MOST_TOKEN_CHARS = 12 << 10
ANSWER_TIMEOUT = 3.0
"""Seconds for an answer: a scrape that waits longer fails in any case."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What a bearer token can be (RFC 6750); nothing in it ends a header."""
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def check_server(server: str) -> None:
    """ConfigError for an API server whose answers say nothing about a token.

    What listens in the clear (`kubectl proxy`) has signed in itself, and any token is its user's.
    """
    if not server.startswith("https://"):
        raise ConfigError(
            "--http-actions and --http-auth=kubernetes need an API server over https:"
            f" whoever is at {server} counts as itself, whatever token is shown"
        )


def is_token(text: str) -> bool:
    """Tell whether a text could be a token at all."""
    return len(text) <= MOST_TOKEN_CHARS and _TOKEN.fullmatch(text) is not None


class PersonClient:
    """Asks the API server that `find_access` tells of, with the token of whoever asks.

    Every method raises ApiUnreachable when there is no answer in time, and ApiError when the answer
    is a failure: 401 for a token that is nobody's (any more).
    """

    def __init__(self, find_access: Callable[[], ClusterAccess]) -> None:
        self._find_access = find_access
        self._access: ClusterAccess | None = None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def find_name(self, token: str) -> str:
        """Return the name of the user whose token it is."""
        answer = await self._send_request("POST", _REVIEW, token, {})
        return str(answer["status"]["userInfo"]["username"])

    async def is_allowed(self, token: str, asked: Mapping[str, object]) -> bool:
        """Tell whether the user may do what the spec of a SelfSubjectAccessReview asks."""
        answer = await self._send_request("POST", _ACCESS, token, {"spec": asked})
        return answer["status"].get("allowed") is True

    async def patch_object(
        self, token: str, kind: ObjectKind, key: ObjectKey, patch: object
    ) -> JsonObject:
        """Patch an object by a merge patch (a mapping) or a JSON patch (a list), as the user."""
        path = f"{RESOURCES[kind].object_path(key)}?fieldManager={PERSON_FIELD_MANAGER}"
        form = MERGE_PATCH if isinstance(patch, Mapping) else JSON_PATCH
        return await self._send_request("PATCH", path, token, patch, form)

    async def _send_request(
        self, method: str, path: str, token: str, body: object, form: str = "application/json"
    ) -> JsonObject:
        session = await self._open_session()
        assert self._access is not None
        try:
            async with session.request(
                method,
                self._access.server + path,
                data=json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {token}", "Content-Type": form},
                server_hostname=self._access.server_hostname,
                allow_redirects=False,
            ) as response:
                content = await response.read()
        except TimeoutError:
            raise ApiUnreachable(f"no answer in {ANSWER_TIMEOUT:g} s") from None
        except (aiohttp.ClientError, SSLError, OSError) as error:
            raise ApiUnreachable(str(error)) from error
        return read_answer(response.status, response.headers.get("Retry-After"), content)

    async def _open_session(self) -> aiohttp.ClientSession:
        """Give a session for the access of now: it is another one after a CA was replaced."""
        access = self._find_access()
        if self._session is None or self._access is not access:
            old, self._access = self._session, access
            tls = access.trust if access.server.startswith("https") else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32, ssl=tls if tls else True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "User-Agent": f"vpplb/{__version__}"},
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT),
                proxy=access.proxy,
            )
            if old is not None:
                with suppress(asyncio.CancelledError):
                    await old.close()
        return self._session

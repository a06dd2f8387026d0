"""Who an agent is: its ServiceAccount's token, verified by the keys that the cluster publishes.

The keys are kept, and fetched anew every few minutes and when a token names one that is not
known, or an issuer that is not. So agents are let in while the API server is away, and a key that
the cluster takes back is believed for no longer than `REFRESH_EVERY`. What a token says is the API
server's word: for whom it is (`aud`), whose it is (`sub`), until when (`exp`), and on which node
its pod runs. It does not tell what happened since: that of a pod that was deleted is good until it
expires.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import jwt

from vpplb.direct.messages import AUDIENCE, MOST_TOKEN_CHARS
from vpplb.model.names import ObjectKey

log = logging.getLogger(__name__)

ALGORITHMS = frozenset(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
"""Signatures that are believed: of key pairs alone, never `none` nor those of a shared key."""
LEEWAY = 30.0
"""Seconds by which the clocks of the API server and ours may differ."""
MOST_ISSUERS = 4
"""Names of the issuer that are believed: the present one, and those that the cluster had before.
Tokens of a name of before go on until they expire, as long as their key is published."""
MOST_KEYS = 64
MOST_KEY_CHARS = 8 * 1024
"""How many published keys are kept, and how long one may be."""
REFRESH_EVERY = 300.0
"""Seconds from one fetching of the keys to the next."""
RETRY_EVERY = 10.0
"""Seconds between two fetchings at least: whoever sends unknown keys' tokens causes no more."""
PATIENCE = 5.0
"""Seconds that fetching may take."""
_CLAIMS = ["iss", "sub", "aud", "exp", "nbf", "iat"]


class TokenRefused(Exception):
    """A token does not let in; `status` is the HTTP status, the text says why.

    401 where it is not the cluster's token for us, 403 where it is somebody else's.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class KeysUnavailable(TokenRefused):
    """The key that a token names is not known, and cannot be asked for at present (503)."""

    def __init__(self, reason: str) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKeys:
    """What a cluster publishes of its tokens: the issuer's name, and its keys (RFC 7517)."""

    issuer: str
    keys: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """Whose token it was: the agent's node, and its pod, empty where the token names none."""

    node: str
    pod: str = ""


@dataclass(slots=True, kw_only=True)
class TokenVerifier:
    """Tells agents, whose ServiceAccount is `account`, from everybody else.

    `fetch_keys` asks the cluster (KeysUnavailable). `trouble` says why it could not be asked the
    last time, empty when it could: the keys that were fetched before serve all the same.
    """

    fetch_keys: Callable[[], Awaitable[IssuerKeys]]
    account: ObjectKey
    trouble: str = "the cluster's keys have not been fetched yet"
    _issuers: tuple[str, ...] = ()
    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    _fetch_again: float = -math.inf
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        while True:
            await self._refresh_keys()
            await asyncio.sleep(RETRY_EVERY if self.trouble else REFRESH_EVERY)

    async def verify_token(self, token: str, node: str) -> AgentIdentity:
        """Return whose token it is, where that is the agent of `node`; else TokenRefused."""
        key_id = _read_key_id(token)
        if _read_issuer(token) not in self._issuers:  # the cluster may have another name by now
            await self._refresh_keys()
        claims = self._decode_token(token, await self._find_key(key_id))
        if claims["sub"] != self._subject:
            raise _forbid(f"the token is of {claims['sub']}, and agents are {self._subject}")
        identity = _read_identity(claims)
        if not identity.node:
            raise _forbid(
                "the token names no node: it must be that of a projected volume in the agent's pod,"
                " made by an API server of version 1.30 or newer"
            )
        if identity.node != node:
            raise _forbid(f"the token is of an agent on node {identity.node}, not on {node:.253}")
        return identity

    # --- pieces ------------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f"system:serviceaccount:{self.account.namespace}:{self.account.name}"

    async def _find_key(self, key_id: str) -> jwt.PyJWK:
        if key_id not in self._keys:
            await self._refresh_keys()
        if key_id in self._keys:
            return self._keys[key_id]
        if self.trouble:
            raise KeysUnavailable(f"the token's key is not known here: {self.trouble}")
        raise _refuse("the token is signed by a key that the cluster does not publish")

    async def _refresh_keys(self) -> None:
        """Fetch the keys, unless that was done a moment ago; all who ask meanwhile wait for it."""
        async with self._fetching:
            now = asyncio.get_running_loop().time()
            if now < self._fetch_again:
                return
            self._fetch_again = now + RETRY_EVERY
            try:
                async with asyncio.timeout(PATIENCE):
                    fetched = await self.fetch_keys()
            except (KeysUnavailable, TimeoutError) as error:
                self._note_trouble(str(error) or f"no answer in {PATIENCE:g} s")
                return
            keys = _load_keys(fetched.keys)
            if not keys:
                self._note_trouble("the cluster publishes no key that can be used")
                return
            before = [one for one in self._issuers if one != fetched.issuer]
            self._issuers = (fetched.issuer, *before)[:MOST_ISSUERS]
            self._keys, self.trouble = keys, ""

    def _note_trouble(self, why: str) -> None:
        level = logging.DEBUG if self.trouble == why else logging.WARNING
        self.trouble = why
        log.log(level, "agents' tokens are verified by the keys of before (%s)", why)

    def _decode_token(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        """Return what a token says that this key has signed, and that is for us, now."""
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=AUDIENCE,
                issuer=self._issuers,
                leeway=LEEWAY,
                options={"require": _CLAIMS},
            )
        except jwt.PyJWTError as error:
            raise _refuse(_explain_refusal(error)) from None
        except (ValueError, TypeError, RecursionError):  # what no check of the library's foresees
            raise _refuse("the token cannot be read") from None
        return claims


def _refuse(reason: str) -> TokenRefused:
    return TokenRefused(HTTPStatus.UNAUTHORIZED, reason)


def _forbid(reason: str) -> TokenRefused:
    return TokenRefused(HTTPStatus.FORBIDDEN, reason)


def _read_key_id(token: str) -> str:
    """Return the name of the key that a token claims to be signed by."""
    if len(token) > MOST_TOKEN_CHARS:
        raise _refuse(f"the token is longer than {MOST_TOKEN_CHARS} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _refuse("what was sent is no token") from None
    if str(header.get("alg")) not in ALGORITHMS:
        raise _refuse("the token is not signed by a key pair that is believed")
    return str(header.get("kid", ""))


def _read_issuer(token: str) -> object:
    """Return the issuer that a token claims to be of."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _refuse("what was sent is no token") from None


def _load_keys(published: Iterable[Mapping[str, Any]]) -> dict[str, jwt.PyJWK]:
    """Return the keys that signatures can be verified by, by name; others are passed over."""
    keys: dict[str, jwt.PyJWK] = {}
    for one in published:
        if len(keys) >= MOST_KEYS or len(str(one)) > MOST_KEY_CHARS:
            continue
        try:
            if not one.get("kid") or one.get("use", "sig") != "sig":
                continue
            key = jwt.PyJWK(dict(one))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue
        if key.algorithm_name in ALGORITHMS:
            keys[str(one["kid"])] = key
    return keys


def _read_identity(claims: Mapping[str, Any]) -> AgentIdentity:
    """Read where the token's pod runs; an empty node where it does not say."""
    bound = claims.get("kubernetes.io")
    names = {
        part: str(bound[part].get("name", ""))
        for part in ("node", "pod")
        if isinstance(bound, Mapping) and isinstance(bound.get(part), Mapping)
    }
    return AgentIdentity(node=names.get("node", ""), pod=names.get("pod", ""))


def _explain_refusal(error: jwt.PyJWTError) -> str:
    """Say what is wrong with a token, in words that do not show it."""
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired (or the clocks differ)"
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet (or the clocks differ)"
        case jwt.InvalidAudienceError():
            return f"the token is for another audience than {AUDIENCE}"
        case jwt.InvalidIssuerError():
            return "the token is of another issuer than this cluster"
        case jwt.MissingRequiredClaimError():
            return f"the token lacks {error.claim}"
        case jwt.InvalidSignatureError():
            return "the token's signature is wrong"
        case _:
            return "the token cannot be read"

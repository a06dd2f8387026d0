"""The cookies that carry what proves a person: in parts, since browsers drop a large one.

A token with many groups in it is longer than the 4,096 bytes that a browser keeps of a cookie,
which it drops without a word (envoy#27875, oauth2-proxy#644).
"""

import base64
import binascii
from collections.abc import Iterator
from itertools import count

from aiohttp import web

from vpplb.telemetry.request_errors import RequestRefused

LIFETIME = 8 * 3600
"""Seconds for which a sign-in counts, and a browser keeps it: a shift."""
MOST_CREDENTIAL = 12 << 10
"""Bytes of a credential; what is longer goes through no server."""
_PART = 3500
_NAME = "vpplb-session"
_TLS_NAME = f"__Host-{_NAME}"
"""By that prefix no sibling name, and nothing without TLS, can have set it."""


def read_session(request: web.Request, *, tls: bool) -> str:
    """Return what the cookies carry; empty where there is nothing that makes sense."""
    parts = [request.cookies[name] for name in _list_names(request, tls=tls)]
    text = "".join(parts)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def write_session(
    request: web.Request, response: web.StreamResponse, credential: str, *, tls: bool
) -> None:
    """Have a browser keep a credential (RequestRefused: it is too long), and no older part."""
    data = credential.encode()
    if len(data) > MOST_CREDENTIAL:
        raise RequestRefused(
            413, f"the token is longer than {MOST_CREDENTIAL} bytes: a browser cannot carry it"
        )
    text = base64.urlsafe_b64encode(data).decode().rstrip("=")
    parts = [text[at : at + _PART] for at in range(0, len(text), _PART)]
    for number, part in enumerate(parts):
        response.set_cookie(
            _name_part(number, tls=tls), part, max_age=LIFETIME, path="/", secure=tls,
            httponly=True, samesite="Strict",
        )  # fmt: skip
    forget_session(request, response, tls=tls, keep=len(parts))


def forget_session(
    request: web.Request, response: web.StreamResponse, *, tls: bool, keep: int = 0
) -> None:
    """Have a browser forget all parts behind the first `keep`."""
    for name in list(_list_names(request, tls=tls))[keep:]:
        response.del_cookie(name, path="/", secure=tls, httponly=True, samesite="Strict")


def _list_names(request: web.Request, *, tls: bool) -> Iterator[str]:
    for number in count():
        name = _name_part(number, tls=tls)
        if name not in request.cookies:
            return
        yield name


def _name_part(number: int, *, tls: bool) -> str:
    return f"{_TLS_NAME if tls else _NAME}-{number}"

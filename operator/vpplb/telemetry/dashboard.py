"""The dashboard: one page with all that it needs, made from `web/` and kept beside this module.

Its policy allows its own script and style, and questions to the server that it comes from.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from vpplb.telemetry.shared_answers import accepts_gzip, gzip_pieces


def make_route() -> Callable[[web.Request], Awaitable[web.Response]]:
    """Read the page, once; return what answers with it."""
    page = files("vpplb.telemetry").joinpath("dashboard.html").read_bytes()
    packed = b"".join(gzip_pieces(lambda: [page]))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash_element(page, b'script')}",
            f"style-src {_hash_element(page, b'style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    headers = {"Content-Security-Policy": policy, "Vary": "Accept-Encoding"}

    async def serve(request: web.Request) -> web.Response:
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            answer = web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})
        else:
            answer = web.Response(body=page, headers=headers)
        answer.content_type, answer.charset = "text/html", "utf-8"
        return answer

    return serve


def _hash_element(page: bytes, tag: bytes) -> str:
    """Name the content of the page's only element of that tag, as a policy does."""
    found = re.search(b"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
    assert found is not None
    digest = hashlib.sha256(found.group(1)).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

"""Reads what a program of ours tells at its own URL; apart, since it takes long to import."""

import asyncio
import json
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException

from vpplb.kube.api_types import ApiUnreachable, JsonObject, api_error


async def read_url(url: str, *, timeout: float = 10.0) -> JsonObject:
    """GET JSON from a program of ours (ApiUnreachable, ApiError)."""
    status, reason, content = await asyncio.to_thread(_open_url, url, timeout)
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    if status != HTTPStatus.OK or not isinstance(told, dict):
        said = told.get("error") if isinstance(told, dict) else None
        raise api_error(status, "", f"{url}: {said or reason}")
    return told


def _open_url(url: str, timeout: float) -> tuple[int, str, bytes]:
    # A node of ours is not behind the proxy that leads out of the house.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return response.status, response.reason, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, str(error.reason), error.read()
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ApiUnreachable(f"{url}: {str(reason) or f'no answer in {timeout:g} s'}") from error

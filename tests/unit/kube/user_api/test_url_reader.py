"""What a program of ours tells at its own URL."""

import pytest
from aiohttp import web

from fakes.api_http import answering
from vpplb.kube.api_types import ApiError, ApiUnreachable, NotFound
from vpplb.kube.user_api.url_reader import read_url


async def test_a_program_of_ours_is_read_by_its_url() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/good":
            return web.json_response({"node": "n1"})
        if request.path == "/list":
            return web.json_response([])
        if request.path == "/deep":
            return web.Response(text="[" * 100_000)
        return web.json_response({"error": "no such thing"}, status=404)

    async with answering(handler) as server:
        assert await read_url(f"{server}/good") == {"node": "n1"}
        with pytest.raises(NotFound, match="no such thing"):
            await read_url(f"{server}/other")
        with pytest.raises(ApiError):
            await read_url(f"{server}/list")
        with pytest.raises(ApiError):
            await read_url(f"{server}/deep")
    for url in ("http://127.0.0.1:1/good", "nonsense"):
        with pytest.raises(ApiUnreachable, match=url):
            await read_url(url)

"""A proxy that has the dashboard below a path of its own, as a reverse proxy that strips it."""

import asyncio
import threading
from typing import Self

import aiohttp
from aiohttp import web

from lab.dashboard_server import end_other_tasks

_OF_ONE_HOP = {"Transfer-Encoding", "Content-Length", "Connection", "Keep-Alive"}


class PathProxy:
    """Serves as `with PathProxy(port, "/path")` what a server on loopback serves at `/`."""

    def __init__(self, port: int, path: str) -> None:
        self.url = ""
        self._target, self._path = f"http://127.0.0.1:{port}", path
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_get(self._path, self._forward)
        app.router.add_get(self._path + "/{rest:.*}", self._forward)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port, *_ = runner.addresses[0]
        self.url = f"http://{host}:{port}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()
        await end_other_tasks()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs.removeprefix(self._path) or "/"
        path = path if path.startswith("/") else f"/{path}"
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(f"{self._target}{path}", headers=request.headers) as answer,
        ):
            kept = {name: text for name, text in answer.headers.items() if name not in _OF_ONE_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        return response

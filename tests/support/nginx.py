"""nginx as a target of many checks: one page on every address of one port, until it is killed."""

from pathlib import Path
from types import TracebackType
from typing import Self

from support.http_get import http_get
from support.processes import Program, free_port
from support.waiting import wait_for

_CONFIG = """
user root root;
worker_processes 1;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 16384; multi_accept on; accept_mutex off; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen {port} backlog=4096; location / {{ return 200 "ok\\n"; }} }}
}}
"""


class Nginx:
    """`with Nginx(folder)` runs it on `port`; `stop` is as abrupt as a crash."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = free_port()
        self._program: Program | None = None

    def start(self) -> None:
        """Listen; return once it answers."""
        config = self._folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self._folder, port=self.port))
        log = self._folder / "output.log"
        argv: list[str | Path] = ["nginx", "-c", config, "-e", self._folder / "nginx.log"]
        self._program = Program(argv, log=log)
        wait_for(lambda: http_get(f"http://127.0.0.1:{self.port}/")[0] == 200, f"nginx ({log})")

    def stop(self) -> None:
        """Kill it; nothing when it does not run."""
        if self._program is not None:
            self._program.kill()
            self._program = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

"""nginx as a target of many checks: one page on every address of one port, until it is killed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.processes import Program, free_port
from lab.waiting import wait_for

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
    server {{
        listen {port} backlog=4096{deferred};
        {tls}
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""
_TLS = """
        listen {port} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        {sessions}
"""
_SESSIONS = "ssl_session_cache shared:all:8m; ssl_session_tickets on;"
_NO_SESSIONS = "ssl_session_cache off; ssl_session_tickets off;"


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxTls:
    """A second port, with TLS: `certificate` is a PEM file of certificate and key."""

    port: int
    certificate: Path
    resumption: bool

    def __str__(self) -> str:
        sessions = _SESSIONS if self.resumption else _NO_SESSIONS
        return _TLS.format(port=self.port, certificate=self.certificate, sessions=sessions)


class Nginx:
    """`with Nginx(folder)` runs it on `port`; `stop` is as abrupt as a crash.

    `port` is a free one if none is named. `deferred`: it wakes for requests, not for connections
    (TCP_DEFER_ACCEPT), which costs it and the client a tenth less. `inside` is a command that runs
    what is behind it, such as nsenter; it has to become that program, not to start it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        tls: NginxTls | None = None,
        deferred: bool = False,
        inside: Sequence[str] = (),
    ) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = port or free_port()
        self._tls = tls
        self._deferred = " deferred" if deferred else ""
        self._inside = inside
        self._program: Program | None = None

    @property
    def pid(self) -> int:
        """Process id, while it runs."""
        assert self._program is not None
        return self._program.pid

    def start(self) -> None:
        """Listen; return once connections are taken."""
        config, log = self._folder / "nginx.conf", self._folder / "output.log"
        config.write_text(
            _CONFIG.format(
                folder=self._folder, port=self.port, deferred=self._deferred, tls=self._tls or ""
            )
        )
        listening = self._folder / "nginx.pid"  # written when it listens, in any namespace
        listening.unlink(missing_ok=True)
        nginx = ["nginx", "-c", str(config), "-e", str(self._folder / "nginx.log")]
        self._program = Program([*self._inside, *nginx], log=log)
        wait_for(listening.exists, f"nginx ({log})")

    def stop(self) -> None:
        """Kill it; nothing when it does not run."""
        if self._program is not None:
            self._program.kill()
            self._program = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

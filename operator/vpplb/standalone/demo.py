"""The main job on one machine: real servers, real probes, and a VPP that may be simulated.

A server is taken down after a few seconds, then all others of its pool, so that one can watch how
the rest share the load and how the next pool takes over. Everything is real but, where no VPP
runs, VPP.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import NamedTuple

from vpplb.files.findings import BadManifests
from vpplb.files.manifests import load_manifests
from vpplb.model.check import HttpProbe
from vpplb.model.health import HealthState, HealthTransition
from vpplb.model.names import ObjectKey
from vpplb.plan.ops import Op, SetConf
from vpplb.plan.render import op_text
from vpplb.resources.allowances import AddressAllowances
from vpplb.simulator.server import VppSimulator
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.standalone_parts import StandaloneOptions
from vpplb.sync.ports import CallOutcome, VppInfo
from vpplb.telemetry.listen_address import ListenAddress
from vpplb.vpp.lb import PapiLoadBalancer

WATCH = 4.0
"""Seconds that a state is left for people to look at."""
PATIENCE = 30.0
"""Seconds after which a step that has not happened counts as failed."""
SHARES_EVERY = 1.0
"""Seconds between readings of VPP, which show the true shares."""


_ALLOWED = AddressAllowances(loopback=True)
"""Its servers are on this machine."""


class DemoFailed(Exception):
    """A step of the demonstration did not happen; the text says which."""


class _HealthyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # In one piece: a probe hangs up as soon as it has seen what it needs.
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the display is the operator's."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking DNS for the host's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Take a probe's hanging up for what it is: the end of the request."""


class _QuietServer6(_QuietServer):
    address_family = socket.AF_INET6


class WebServer:
    """A web server that answers 200 to everything, until it is stopped. IPv4 and IPv6."""

    def __init__(self, where: ListenAddress) -> None:
        self._where = where
        self._server: _QuietServer | None = None

    def start(self) -> None:
        """Listen; DemoFailed when it cannot, such as when the port is taken."""
        try:
            kind = _QuietServer6 if ":" in str(self._where.host) else _QuietServer
            self._server = kind((self._where.host or "", self._where.port), _HealthyHandler)
        except OSError as error:
            why = error.strerror or error
            raise DemoFailed(
                f"a web server of the demo cannot listen on {self._where}: {why}"
            ) from error
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class OverheardLoadBalancer(PapiLoadBalancer):
    """Tells what VPP is told."""

    def __init__(self, socket: Path, tell: Callable[[str], None]) -> None:
        super().__init__(socket)
        self._tell = tell

    async def connect(self) -> VppInfo:
        info = await super().connect()
        self._tell(f"connected to VPP {info.version}")
        return info

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        for op in ops:
            where = "" if isinstance(op, SetConf) else f"{op.vip}: "
            self._tell(f"VPP ← {where}{op_text(op)}")
        return await super().apply_ops(ops)


class _PoolWithStandby(NamedTuple):
    """A pool that serves, its backends but the victim, and whose it is."""

    frontend: ObjectKey
    name: str
    others: tuple[ObjectKey, ...]


class FailoverDemo:
    """Runs the folder's manifests against servers of its own; BadManifests when they are wrong.

    `vpp_api_socket` None: a simulator is started on sockets in `directory`; else VPP's stats
    socket is looked for beside it. `tell` is given one line for people each time something happens.
    """

    def __init__(
        self,
        folder: Path,
        directory: Path,
        vpp_api_socket: Path | None,
        http_address: str,
        tell: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._simulated = vpp_api_socket is None
        self._socket = vpp_api_socket or directory / "api.sock"
        self._stats_socket = self._socket.with_name("stats.sock")
        self._servers = _make_servers(folder)
        options = StandaloneOptions(
            folder=folder,
            vpp_api_socket=self._socket,
            vpp_stats_socket=self._stats_socket,
            state_file=directory / "state.json",
            http_address=http_address,
            sync_interval=SHARES_EVERY,
            allowed=_ALLOWED,
        )
        vpp = OverheardLoadBalancer(self._socket, tell)
        self.standalone = StandaloneApp(
            options, vpp, on_transition=self._tell_transition, indexes=vpp.vip_indexes
        )

    async def run(self, stop: asyncio.Event, *, once: bool) -> None:
        """Play both failovers; then end if `once`, else go on until `stop` is set.

        DemoFailed when a step does not happen in time, a port is taken, or there is nothing to
        play with.
        """
        if not self._servers:
            raise DemoFailed("no backend of the manifests is checked by HTTP")
        async with AsyncExitStack() as stack:
            if self._simulated:
                simulator = VppSimulator(self._socket, stats_socket=self._stats_socket)
                await simulator.start()
                stack.push_async_callback(simulator.stop)
            for server in self._servers.values():
                server.start()
                stack.callback(server.stop)
            running = asyncio.create_task(self.standalone.run(stop))
            playing = asyncio.create_task(self._play_failovers(once=once))
            await asyncio.wait({running, playing}, return_when=asyncio.FIRST_COMPLETED)
            if once or (playing.done() and playing.exception()):
                stop.set()
            await running
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            if playing.done() and not playing.cancelled():
                playing.result()

    async def _play_failovers(self, *, once: bool) -> None:
        victim = next(iter(self._servers))
        await self._wait_until("all backends are up", lambda: self._all_are_up(self._servers))
        await asyncio.sleep(WATCH)
        self._tell(f"*** the server of {victim.name} is taken down")
        await self._take_down([victim])
        pool = self._find_pool_with_standby(victim)
        if pool is not None:
            await asyncio.sleep(WATCH)
            await self._fail_over(pool)
        await asyncio.sleep(WATCH)
        down = [victim, *(pool.others if pool else ())]
        self._tell(f"*** back again: {_join_names(down)}")
        for backend in down:
            self._servers[backend].start()
        await self._wait_until(
            f"{_join_names(down)} with weight in VPP again",
            lambda: (
                self._all_are_up(down) and all(self._weights_in_vpp(one) != {0} for one in down)
            ),
        )
        await asyncio.sleep(SHARES_EVERY)
        self._tell("*** that was the failover" + ("" if once else "; it runs on until Ctrl-C"))

    async def _take_down(self, backends: Sequence[ObjectKey]) -> None:
        for backend in backends:
            self._servers[backend].stop()
        for backend in backends:
            await self._wait_until(
                f"{backend.name} has weight 0 in VPP", partial(self._is_out, backend)
            )

    async def _fail_over(self, pool: "_PoolWithStandby") -> None:
        """Take down what still serves of the pool; return when the next pool serves."""
        self._tell(f"*** so are the others of pool {pool.name}: {_join_names(pool.others)}")
        await self._take_down(pool.others)
        await self._wait_until(
            f"the pool after {pool.name} serves {pool.frontend.name}",
            lambda: self._active_pool(pool.frontend) not in ("", pool.name),
        )
        self._tell(f"*** pool {self._active_pool(pool.frontend)} serves {pool.frontend.name}")

    def _find_pool_with_standby(self, victim: ObjectKey) -> "_PoolWithStandby | None":
        """Find the pool that serves with the victim, where another pool could follow it."""
        for key, view in sorted(self.standalone.reconciler.views.items()):
            members = [one.member for one in view.decision.members]
            pool = view.decision.active_pool
            mates = {one.backend for one in members if one.pool == pool}
            after = {one.backend for one in members if one.pool != pool and one.weight} - mates
            if victim in mates and mates <= set(self._servers) and after & set(self._servers):
                return _PoolWithStandby(key, pool, tuple(sorted(mates - {victim})))
        return None

    def _active_pool(self, frontend: ObjectKey) -> str:
        return self.standalone.reconciler.views[frontend].decision.active_pool

    def _all_are_up(self, backends: Iterable[ObjectKey]) -> bool:
        return all(self._backend_state(one) is HealthState.UP for one in backends)

    def _is_out(self, backend: ObjectKey) -> bool:
        return not self._all_are_up([backend]) and self._weights_in_vpp(backend) == {0}

    def _backend_state(self, backend: ObjectKey) -> HealthState:
        return self.standalone.reconciler.get_health(backend).state

    def _weights_in_vpp(self, backend: ObjectKey) -> set[int]:
        address = self.standalone.reconciler.store.backends[backend].address
        observed = self.standalone.syncer.vips.observed.values()
        return {vip.servers[address].weight for vip in observed if address in vip.servers}

    async def _wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():  # noqa: ASYNC110 (three parts would have to signal it)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise DemoFailed(f"not within {PATIENCE:g} s: {what}") from None

    def _tell_transition(self, transition: HealthTransition) -> None:
        change = f"{transition.from_state.value} → {transition.to_state.value}"
        self._tell(f"{transition.backend.name} {change} ({transition.code} {transition.detail})")


def _join_names(backends: Iterable[ObjectKey]) -> str:
    return ", ".join(one.name for one in backends)


def _make_servers(folder: Path) -> dict[ObjectKey, WebServer]:
    """Make a server for each backend of the folder that is checked by HTTP."""
    loaded = load_manifests([folder], _ALLOWED)
    if loaded.findings:
        raise BadManifests(loaded.findings)
    servers = {}
    for key, backend in sorted(loaded.backends.items()):
        check = loaded.health_checks.get(backend.health_check) if backend.health_check else None
        if check is not None and isinstance(check.probe, HttpProbe) and not check.probe.tls:
            servers[key] = WebServer(ListenAddress(str(backend.address), check.probe.port))
    return servers

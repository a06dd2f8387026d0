"""kopf, which watches: handlers that hand over what they are told, and the thread it lives in.

kopf has a thread and an event loop of its own, because it takes every task of its loop for one
of its own and cancels them all when it stops; there it may also stall or restart without
anybody noticing. Its handlers are `on.event` alone: no finalizers, no annotations, so deleting
an object never blocks. They await nothing and never raise; the informer does the rest.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import kopf

from vpplb.kube.backoff import backoff
from vpplb.kube.informer import Informer
from vpplb.kube.kinds import Kind

log = logging.getLogger(__name__)

_NOBODY: Any = "vpplb"
"""What kopf names itself to its peers. There are none, but without it kopf asks for the name of
the process's user, which in a container need not exist."""

RESTART = (0.5, 10.0)
STOP_TIMEOUT = 5.0
LASTING = 10.0
"""Seconds after which a watch that was begun anew counts as well."""


@dataclass(slots=True)
class Watch:
    """Watches the informer's kinds, in `namespaces` (none: all), and tells the informer.

    `trouble` says why the watch ended, until it has lasted for a while again; empty when all is
    well.
    """

    informer: Informer
    namespaces: Sequence[str] = ()
    trouble: str = ""

    async def run(self) -> None:
        """Watch until cancelled; a kopf that fails is started anew."""
        failures = 0
        while True:
            lasting = asyncio.get_running_loop().call_later(LASTING, self._lasts)
            error = await self._run_once()
            lasting.cancel()
            failures = failures + 1 if self.trouble else 1
            self.trouble = f"the watch ended: {error or 'no reason given'}"
            log.warning("%s, will begin anew", self.trouble)
            await asyncio.sleep(backoff(failures, *RESTART))

    def _lasts(self) -> None:
        self.trouble = ""

    async def _run_once(self) -> BaseException | None:
        """Run kopf in a thread until it ends; return why. Cancelling this stops it."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        stop = threading.Event()

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        def work() -> None:
            error: BaseException | None = None
            try:
                kopf.run(
                    registry=_registry(self.informer, loop),
                    settings=_settings(),
                    standalone=True,
                    identity=_NOBODY,
                    clusterwide=not self.namespaces,
                    namespaces=self.namespaces,
                    stop_flag=stop,
                )
            except Exception as caught:
                error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(end, error)

        thread = threading.Thread(target=work, name="kopf", daemon=True)
        thread.start()
        try:
            return await ended
        finally:
            stop.set()
            thread.join(STOP_TIMEOUT)


def _registry(informer: Informer, loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(kopf.login_via_client)
    for kind in informer.kinds:
        _register(registry, kind, informer, loop)
    return registry


def _register(
    registry: kopf.OperatorRegistry,
    kind: Kind,
    informer: Informer,
    loop: asyncio.AbstractEventLoop,
) -> None:
    # A coroutine, since kopf runs plain functions in a pool of threads, out of order.
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)
    async def saw(event: kopf.RawEvent, **_: Any) -> None:
        loop.call_soon_threadsafe(informer.event, kind, event["type"], dict(event["object"]))


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.error_backoffs = (0.1, 0.2, 0.5, 1, 2, 5)
    settings.queueing.error_delays = (1, 2, 5)
    settings.queueing.exit_timeout = 0.5
    return settings


class _NoSignalsHere(logging.Filter):
    """Drops kopf's warning that it does not handle signals: our main thread does."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "signals are ignored" not in record.getMessage()


logging.getLogger("kopf._core.reactor.running").addFilter(_NoSignalsHere())

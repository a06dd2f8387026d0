"""kopf, which watches: handlers that hand over what they are told, and the thread it lives in.

kopf has a thread and an event loop of its own, because it cancels every task of its loop when it
stops. Its handlers are `on.event` alone: no finalizers, no annotations, so deleting an object never
blocks. They await nothing and never raise; a filter drops what is not newer.

A watch that is dead heals (decision 0014): the server is asked to end each after `period` seconds,
kopf ends it itself a little later. Where kopf gives up, or no longer asks, another is begun.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import kopf

from vpplb.kube.api_health import WatchHealth
from vpplb.kube.api_types import PAGE, RESOURCES
from vpplb.kube.client import CONNECT_TIMEOUT, open_session
from vpplb.kube.cluster_access import ClusterAccess, load_access
from vpplb.kube.object_cache import EventInbox, ObjectCache
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKind

log = logging.getLogger(__name__)

_NOBODY: Any = "vpplb"  # else kopf asks who runs the process: a container need not know
PERIOD, STOP_TIMEOUT = 30.0, 5.0  # seconds: of one request of a watch; that a thread has to stop
RESTART = (0.5, 10.0)  # seconds until kopf is started again: after its first end, and at most
RETRY = (0.1, 2.0)
_BACKOFFS = [backoff_seconds(n, *RETRY, jitter=random.random()) for n in range(1, 1000)]
"""Seconds from one attempt of a request to the next; after half an hour kopf gives up."""
LASTING = 10.0  # seconds after which a watch that was begun anew counts as well
MOST_LEFT_BEHIND = 3  # threads that could not be stopped, after which only a new process helps


class ObjectWatch:
    """Tells `cache` what changes of `kinds` in `namespaces` (none: all).

    A watch lasts `period` seconds before it is asked for again; after twice that time without an
    answer there is `trouble`. `on_gap` is called when it may have missed something, `load`, on
    kopf's thread, to find the API server.
    """

    def __init__(
        self,
        kinds: Sequence[ObjectKind],
        cache: ObjectCache,
        namespaces: Sequence[str],
        on_gap: Callable[[], None],
        *,
        period: float = PERIOD,
        load: Callable[[], Awaitable[ClusterAccess]] = load_access,
    ) -> None:
        self._kinds, self._cache, self._namespaces = kinds, cache, namespaces
        self._on_gap, self._period, self._load = on_gap, period, load
        self.health = WatchHealth()
        self._reasons = asyncio.Queue[str]()
        self._ended, self._ended_at = "", 0.0
        self._left_behind: list[threading.Thread] = []

    @property
    def trouble(self) -> str:
        """Say why the watch ended, until it has lasted again, or which fails or has no answer."""
        lasts = time.monotonic() > self._ended_at + LASTING
        return (not lasts and self._ended) or self.health.trouble

    @property
    def beyond_repair(self) -> str:
        """Say that only a new process helps; empty when it would not."""
        left = sum(thread.is_alive() for thread in self._left_behind)
        return f"{left} threads hang that watched" if left >= MOST_LEFT_BEHIND else ""

    def begin_anew(self, why: str) -> None:
        """End the watch that runs and begin another, with the configuration as it is then."""
        self._reasons.put_nowait(why)

    async def run(self) -> None:
        """Watch until cancelled; a kopf that ends or hangs is started anew."""
        failures = 0
        while True:
            begun = time.monotonic()
            self._ended = f"the watch ended: {await self._run_kopf()}"
            log.warning("%s, will begin anew", self._ended)
            self._on_gap()
            failures = failures + 1 if time.monotonic() < begun + LASTING else 1
            wait = backoff_seconds(failures, *RESTART, jitter=random.random())
            self._ended_at = time.monotonic() + wait
            await asyncio.sleep(wait)

    async def _run_kopf(self) -> str:
        """Run kopf in a thread until it ends or hangs; return why. Cancelling this stops it."""
        call = partial(_call, asyncio.get_running_loop())
        gap, distrust = partial(call, self._on_gap), partial(call, self.begin_anew)
        note = partial(call, self._cache.note_version)
        self.health = health = WatchHealth(self._kinds, self._namespaces, gap, distrust, note)
        # New, since a thread that was left behind may still give a reason or tell an event.
        self._reasons = reasons = asyncio.Queue[str]()
        inbox, stop = EventInbox(self._cache.apply_events, self._cache.is_known), threading.Event()

        def operate() -> None:
            reason = "no reason given"
            try:
                asyncio.run(self._operate(health, inbox, stop))
            except Exception as error:
                reason = str(error)
            call(reasons.put_nowait, health.ending or reason)

        thread = threading.Thread(target=operate, name="kopf", daemon=True)
        thread.start()
        try:
            return await self._wait_for_reason(health, reasons)
        finally:
            stop.set()
            inbox.close()
            await asyncio.to_thread(thread.join, STOP_TIMEOUT)
            if thread.is_alive():
                self._left_behind.append(thread)

    async def _wait_for_reason(self, health: WatchHealth, reasons: asyncio.Queue[str]) -> str:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period / 6):  # `wait_for` may lose a cancellation
                    return await reasons.get()
            if health.silence() > 2 * self._period:
                return f"kopf has asked for nothing for {health.silence():.0f} s"
            health.judge_ages(2 * self._period)

    async def _operate(self, health: WatchHealth, inbox: EventInbox, stop: threading.Event) -> None:
        """Run kopf until `stop`, or until it gives up; on the loop of its thread."""
        # Nobody waits for some of its tasks: kopf has logged what they failed with.
        asyncio.get_running_loop().set_exception_handler(lambda _, what: log.debug("%s", what))
        registry, sessions = kopf.OperatorRegistry(), list[aiohttp.ClientSession]()

        # By default kopf waits a minute after a login that failed.
        @kopf.on.login(registry=registry, backoff=RETRY[1])
        async def login(**_: Any) -> kopf.AiohttpSession:
            access = await self._load()
            sessions.append(open_session(access, health.observe, connections=0))
            return kopf.AiohttpSession(server=access.server, aiohttp_session=sessions[-1])

        listen = partial(kopf.on.event, registry=registry)
        for kind in self._kinds:
            is_news, put = partial(inbox.is_news, kind), partial(inbox.put_event, kind)
            listen(*RESOURCES[kind], id=kind.plural, when=is_news)(put)
        # Begun before kopf, which cancels all tasks that come after it.
        guarding = asyncio.create_task(health.wait_given_up())
        guarding.add_done_callback(lambda _: stop.set())
        try:
            await kopf.operator(
                registry=registry, settings=_settings(self._period), standalone=True,
                identity=_NOBODY, clusterwide=not self._namespaces, namespaces=self._namespaces,
                stop_flag=stop,
            )  # fmt: skip
        finally:
            guarding.cancel()  # and `stop` is set: a thread of kopf's waits for it
            for session in sessions:  # kopf leaves some open
                await session.close()
            await asyncio.sleep(0)  # transports close a moment later


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """Call on a loop of another thread, unless that is over."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)


class _NoDiffs(kopf.MultiDiffBaseStorage):
    """Keeps nothing of an object: by default kopf copies each, a tenth of the operator's CPU."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()


def _settings(period: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffs([])
    settings.persistence.progress_storage = kopf.MultiProgressStorage([])  # there is no progress
    settings.process.ultimate_exiting_timeout = None  # or it kills the process when it is stuck
    settings.scanning.disabled = True
    settings.networking.connect_timeout = CONNECT_TIMEOUT
    settings.networking.request_timeout = period
    settings.networking.error_backoffs = _BACKOFFS
    settings.watching.chunk_size = PAGE
    settings.watching.server_timeout = max(1, int(period))  # the API server takes whole seconds
    settings.watching.client_timeout = period * 7 / 6
    # Also cuts the waits between attempts short, so a server that says "Retry-After: an hour"
    # is asked again before that.
    settings.watching.inactivity_timeout = period * 4 / 3
    settings.queueing.exit_timeout = 0.5
    settings.queueing.idle_timeout = 0.02  # each object that changed keeps a task for so long
    return settings

"""kopf, which watches: handlers that hand over what they are told, and the thread it lives in.

kopf has a thread and an event loop of its own, because it takes every task of its loop for one
of its own and cancels them all when it stops; there it may also stall or restart without
anybody noticing. Its handlers are `on.event` alone: no finalizers, no annotations, so deleting
an object never blocks. They await nothing and never raise; the informer does the rest.

A watch that is dead heals (decision 0014): the server is asked to end each watch after `period`
seconds, kopf ends it itself a little later, and whatever fails is asked for again within two
seconds, for as long as it takes. A kopf that no longer asks is left behind, and another begun.
"""

import asyncio
import itertools
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import kopf

from vpplb.kube.api_resources import RESOURCES, JsonObject
from vpplb.kube.cluster_access import Access, load_access
from vpplb.kube.echoes import Echoes
from vpplb.kube.inbox import Inbox
from vpplb.kube.informer import Informer
from vpplb.kube.streams import Streams
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKind

log = logging.getLogger(__name__)

_FIRST = asyncio.FIRST_COMPLETED
_NOBODY: Any = "vpplb"
"""What kopf names itself to its peers. There are none, but without it kopf asks for the name of
the process's user, which in a container need not exist."""

PERIOD = 30.0
RESTART = (0.5, 10.0)
RETRY = (0.1, 2.0)
"""First and longest wait before a request is made again, in seconds."""
CONNECT_TIMEOUT = 3.0
STOP_TIMEOUT = 5.0
FAILING = 3.0
"""Seconds that a watch fails before that is told: most failures pass within a moment."""
LASTING = 10.0
"""Seconds after which a watch that was begun anew counts as well."""
MOST_LEFT_BEHIND = 3
"""Threads that could not be stopped, after which only a new process helps."""


@dataclass(slots=True)
class Watch:
    """Watches the informer's kinds, in `namespaces` (none: all), and tells the informer.

    A watch lasts `period` seconds before it is asked for again; one that is dead is noticed a
    sixth of that later, and after twice that time without an answer there is `trouble`. `load`
    finds the way to the API server; it is called on kopf's thread.
    """

    informer: Informer
    namespaces: Sequence[str] = ()
    period: float = PERIOD
    load: Callable[[], Awaitable[Access]] = load_access
    _echoes: Echoes = field(default_factory=Echoes)
    _streams: Streams | None = None
    _ended: str = ""
    _late: str = ""
    _left_behind: list[threading.Thread] = field(default_factory=list)
    _anew: asyncio.Future[str] | None = None

    def __post_init__(self) -> None:
        self.informer.on_rewound = lambda: self.begin_anew("the server's history has changed")

    @property
    def trouble(self) -> str:
        """Say why the watch ended, until it has lasted again, or which fails or has no answer."""
        failing = self._streams.failing(FAILING) if self._streams is not None else ""
        return self._ended or self._late or failing

    def begin_anew(self, why: str) -> None:
        """End the watch that runs and begin another, with the configuration as it is then."""
        if self._anew is not None and not self._anew.done():
            self._anew.set_result(why)

    @property
    def beyond_repair(self) -> str:
        """Say that only a new process helps; empty when it would not."""
        left = sum(thread.is_alive() for thread in self._left_behind)
        return f"{left} threads hang that watched" if left >= MOST_LEFT_BEHIND else ""

    def ages(self) -> Mapping[str, float]:
        """Return, by plural, for how many seconds the watch of each kind has had no answer."""
        return self._streams.ages() if self._streams is not None else {}

    def wrote(self, kind: ObjectKind, answer: JsonObject) -> None:
        """Take an object as the answer to a write of our own has it; the watch's echo is not."""
        metadata = answer["metadata"]
        try:
            self.informer.cache.apply_event(kind, "MODIFIED", answer)
        except Exception:  # a bug: as in the inbox, it must not cost us the others
            log.exception("%s %s could not be taken in", kind, metadata["name"])
        else:
            self._echoes.expect(metadata["resourceVersion"], metadata["uid"])

    def writing(self, uid: str) -> AbstractContextManager[None]:
        """Expect the answer to a write of our own to this object, until `wrote` took it."""
        return self._echoes.writing(uid)

    async def run(self) -> None:
        """Watch until cancelled; a kopf that ends or hangs is started anew."""
        failures = 0
        while True:
            lasting = asyncio.get_running_loop().call_later(LASTING, self._lasts)
            try:
                reason = await self._run_once()
            finally:
                lasting.cancel()
            failures = failures + 1 if self._ended else 1
            self._ended = f"the watch ended: {reason}"
            log.warning("%s, will begin anew", self._ended)
            await asyncio.sleep(backoff_seconds(failures, *RESTART, jitter=random.random()))

    def _lasts(self) -> None:
        self._ended = ""

    async def _run_once(self) -> str:
        """Run kopf in a thread until it ends or hangs; return why. Cancelling this stops it."""
        loop = asyncio.get_running_loop()
        inbox = Inbox(self.informer.cache.apply_event)
        streams = Streams(
            self.informer.kinds,
            self.namespaces,
            continues=self.informer.take_version,
            doubtful=lambda: _call(loop, self.informer.suspect),
            echoes=self._echoes,
            reached=self.informer.cache.note_version,
            distrusted=lambda why: _call(loop, partial(self.begin_anew, why)),
        )
        self._streams = streams
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        self._anew = anew = loop.create_future()
        stop = threading.Event()

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        def work() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(self._kopf(streams, inbox, stop))
            except Exception as caught:
                error = caught
            _call(loop, partial(end, error))

        thread = threading.Thread(target=work, name="kopf", daemon=True)
        thread.start()
        try:
            return await self._until_ended(ended, anew, streams)
        finally:
            stop.set()
            await asyncio.wait({ended}, timeout=STOP_TIMEOUT)
            if not ended.done():
                self._left_behind.append(thread)

    async def _kopf(self, streams: Streams, inbox: Inbox, stop: threading.Event) -> None:
        """Run kopf; on the loop of its thread."""
        asyncio.get_running_loop().set_exception_handler(_unheard)
        try:
            await kopf.operator(
                registry=self._registry(streams, inbox),
                settings=_settings(self.period),
                standalone=True,
                identity=_NOBODY,
                clusterwide=not self.namespaces,
                namespaces=self.namespaces,
                stop_flag=stop,
            )
        finally:
            await streams.close()

    def _registry(self, streams: Streams, inbox: Inbox) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        # By default kopf waits a minute after a login that failed.
        @kopf.on.login(registry=registry, backoff=RETRY[1])
        async def login(**_: Any) -> kopf.AiohttpSession:
            access = await self.load()
            session = streams.session(access)
            return kopf.AiohttpSession(server=access.server, aiohttp_session=session)

        for kind in self.informer.kinds:
            _register(registry, kind, inbox)
        return registry

    async def _until_ended(
        self,
        ended: asyncio.Future[BaseException | None],
        anew: asyncio.Future[str],
        streams: Streams,
    ) -> str:
        while True:
            futures: set[asyncio.Future[Any]] = {ended, anew}
            await asyncio.wait(futures, timeout=self.period / 6, return_when=_FIRST)
            if anew.done():
                return anew.result()
            if ended.done():
                return str(ended.result() or "no reason given")
            silence = streams.silence()
            if silence > 2 * self.period:
                return f"kopf has asked for nothing for {silence:.0f} s"
            self._judge(streams.late(2 * self.period))

    def _judge(self, late: str) -> None:
        if late and not self._late:
            log.warning("%s, trying on", late)
        elif self._late and not late:
            log.info("all watches are answered again")
        self._late = late


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Call on a loop of another thread, unless that is over."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _unheard(_: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Take what nobody waited for: kopf has logged it, or was being stopped."""
    log.debug("in kopf: %s", context.get("exception") or context.get("message"))


def _register(registry: kopf.OperatorRegistry, kind: ObjectKind, inbox: Inbox) -> None:
    # A coroutine, since kopf runs plain functions in a pool of threads, out of order.
    @kopf.on.event(
        RESOURCES[kind].group,
        RESOURCES[kind].version,
        RESOURCES[kind].plural,
        registry=registry,
        id=RESOURCES[kind].plural,
    )
    async def saw(event: kopf.RawEvent, **_: Any) -> None:
        inbox.put(kind, event["type"], dict(event["object"]))


class _Patience:
    """The waits between attempts: without end, since a kopf that gives up has to begin anew."""

    def __iter__(self) -> Iterator[float]:
        return (
            backoff_seconds(failures, *RETRY, jitter=random.random())
            for failures in itertools.count(1)
        )


class _NoDiffs(kopf.DiffBaseStorage):
    """Keeps nothing of an object: handlers of events need no difference to what was.

    By default kopf copies every object that it is told of, a tenth of the operator's CPU.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        pass


def _settings(period: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.process.ultimate_exiting_timeout = None  # or it kills the process when it is stuck
    settings.scanning.disabled = True
    settings.networking.connect_timeout = CONNECT_TIMEOUT
    settings.networking.request_timeout = period
    settings.networking.error_backoffs = _Patience()
    settings.watching.server_timeout = max(1, int(period))  # the API server takes whole seconds
    settings.watching.client_timeout = period * 7 / 6
    # Also cuts the waits between attempts short, so a server that says "Retry-After: an hour"
    # is asked again before that.
    settings.watching.inactivity_timeout = period * 4 / 3
    settings.queueing.error_delays = (1, 2, 5)
    settings.queueing.exit_timeout = 0.5
    settings.queueing.idle_timeout = 1.0
    return settings


class _Noise(logging.Filter):
    """Drops what kopf says that we know or say ourselves.

    That it does not handle signals: our main thread does. That it will retry: it does so for as
    long as it takes, and `Watch` says when that becomes long.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        return "signals are ignored" not in said and "failed; will retry" not in said


for _name in ("_core.reactor.running", "_core.reactor.observation", "_cogs.clients.watching"):
    logging.getLogger(f"kopf.{_name}").addFilter(_Noise())

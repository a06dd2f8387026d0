"""The HTTP paths by which people sign in and act, and the check of who may read.

Nothing that proves a person is ever told on: not in an answer, a log, an event or an error.
"""

import asyncio
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from vpplb.acting.action_request import BadRequest, parse_request
from vpplb.acting.action_runner import ActionRunner
from vpplb.acting.ports import AccessUnknown, NotSignedIn, PeopleAccess, Person
from vpplb.telemetry.request_errors import RequestRefused
from vpplb.telemetry.request_limits import NamedLimits
from vpplb.telemetry.request_trust import check_own_page, check_private, is_over_tls, name_peer
from vpplb.telemetry.session_cookies import forget_session, read_session, write_session

log = logging.getLogger(__name__)

SESSION = "/api/v1/session"
ACTIONS = "/api/v1/actions"
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/livez", SESSION})
"""What is read without signing in: the kubelet's probes, and the page on which one does it."""
MOST_BODY = 64 << 10
MOST_FIELD = 32 << 10
"""Bytes of a header: cookies of a large token, and those of others that a proxy passes on."""

BODY_WITHIN = 10.0
"""Seconds for a body to come whole: nothing else ends a connection that is being answered."""
MOST_BODIES = 32
"""Bodies that are being sent at a time: the other connections are for who reads, and for health."""

_AnswerJson = Callable[..., web.Response]


def _limit_failures() -> NamedLimits:
    return NamedLimits(rate=1 / 12, burst=5, all_rate=1.0, all_burst=50)


def _limit_strangers() -> NamedLimits:
    return NamedLimits(rate=1.0, burst=30, all_rate=20.0, all_burst=200)


def _limit_actions() -> NamedLimits:
    return NamedLimits(rate=2.0, burst=30, all_rate=50.0, all_burst=200)


@dataclass(slots=True, kw_only=True)
class PeopleRoutes:
    """Serves people whom `access` knows. `runner` None: nothing can be acted on.

    With `guards_reading` everything but `OPEN_PATHS` is for whoever may read it.
    """

    access: PeopleAccess | None = None
    runner: ActionRunner | None = None
    guards_reading: bool = False
    failures: NamedLimits = field(default_factory=_limit_failures)
    strangers: NamedLimits = field(default_factory=_limit_strangers)
    actions: NamedLimits = field(default_factory=_limit_actions)
    _bodies: int = 0

    def add_routes(self, router: web.UrlDispatcher, answer: _AnswerJson) -> None:
        """Add the paths; `answer` makes an answer of JSON's types."""

        def route(handler: Callable[[web.Request, _AnswerJson], Any]) -> Any:
            async def handle(request: web.Request) -> web.StreamResponse:
                response: web.StreamResponse = await handler(request, answer)
                return response

            return handle

        router.add_get(SESSION, route(self._get_session))
        if self.access is not None:
            router.add_post(SESSION, route(self._post_session))
            router.add_delete(SESSION, route(self._delete_session))
        if self.runner is not None:
            router.add_post(ACTIONS, route(self._post_actions))

    # --- reading -----------------------------------------------------------------------------

    async def check_reader(self, request: web.Request) -> None:
        """RequestRefused where reading is not for everybody, nor for this one."""
        if not self.guards_reading or request.path in OPEN_PATHS:
            return
        assert self.access is not None
        person = await self._find_person(request)
        try:
            allowed = await self.access.may_read(person, request.path)
        except AccessUnknown as error:
            raise RequestRefused(503, str(error)) from None
        if not allowed:
            raise RequestRefused(403, f"{person.name} may not read this")

    async def _find_person(self, request: web.Request) -> Person:
        """Tell who asks, by header or cookie (RequestRefused)."""
        assert self.access is not None
        header = request.headers.get("Authorization")
        session = "" if header else read_session(request, tls=is_over_tls(request))
        if not header and not session:
            raise _ask_sign_in("sign in first, or send a bearer token")
        check_private(request)
        # A password in a header can be guessed as well as one in a form.
        guessed = bool(header) and self.access.sign_in_kind == "password"
        limits = self.failures if guessed else self.strangers
        if self.access.remembers(authorization=header or "", credential=session):
            return await self._identify(request, header, session)
        with _counting(limits, name_peer(request), "too many that prove nobody"):
            return await self._identify(request, header, session)

    async def _identify(self, request: web.Request, header: str | None, session: str) -> Person:
        assert self.access is not None
        try:
            if header:
                return await self.access.identify_header(header)
            return await self.access.identify_person(session)
        except NotSignedIn as error:
            if header and self.access.sign_in_kind == "password":
                log.warning("%s could not sign in: %s", name_peer(request), error)
            raise _ask_sign_in(str(error)) from None
        except AccessUnknown as error:
            raise RequestRefused(503, str(error)) from None

    # --- signing in --------------------------------------------------------------------------

    async def _get_session(self, request: web.Request, answer: _AnswerJson) -> web.Response:
        person, trouble = None, ""
        if self.access is not None:
            try:
                person = await self._find_person(request)
            except RequestRefused as error:
                if error.status in (429, 503):
                    raise
                trouble = str(error) if error.status == 403 else ""
        response = answer(self._describe_session(person, trouble))
        if person is None:
            forget_session(request, response, tls=is_over_tls(request))
        return response

    def _describe_session(self, person: Person | None, trouble: str = "") -> Mapping[str, object]:
        return {
            "acting": self.runner is not None,
            "signIn": self.access.sign_in_kind if self.access is not None else None,
            "reading": "signedIn" if self.guards_reading else "everybody",
            "signedIn": person is not None,
            "name": person.name if person is not None else "",
            **({"trouble": trouble} if trouble else {}),
        }

    async def _post_session(self, request: web.Request, answer: _AnswerJson) -> web.Response:
        assert self.access is not None
        check_own_page(request)
        check_private(request)
        given = await self._read_body(request)
        if not isinstance(given, dict):
            raise RequestRefused(400, "not a JSON object")
        with _counting(self.failures, name_peer(request), "too many failures to sign in"):
            person = await self._sign_in(request, given)
        response = answer(self._describe_session(person))
        write_session(request, response, person.credential, tls=is_over_tls(request))
        log.info("%s signs in from %s", person.name, name_peer(request))
        return response

    async def _sign_in(self, request: web.Request, given: Mapping[str, object]) -> Person:
        assert self.access is not None
        try:
            return await self.access.sign_in(given)
        except NotSignedIn as error:
            log.warning("%s could not sign in: %s", name_peer(request), error)
            raise _ask_sign_in(str(error)) from None
        except AccessUnknown as error:
            raise RequestRefused(503, str(error)) from None

    async def _delete_session(self, request: web.Request, answer: _AnswerJson) -> web.Response:
        check_own_page(request)
        response = web.Response(status=204)
        forget_session(request, response, tls=is_over_tls(request))
        return response

    # --- acting ------------------------------------------------------------------------------

    async def _post_actions(self, request: web.Request, answer: _AnswerJson) -> web.Response:
        assert self.runner is not None
        check_own_page(request)
        person = await self._find_person(request)
        _take_turn(self.actions, person.name, "too many actions")
        try:
            asked = parse_request(await self._read_body(request))
            return answer(await self.runner.run(person, asked))
        except BadRequest as error:
            raise RequestRefused(400, str(error)) from None
        except AccessUnknown as error:
            raise RequestRefused(503, str(error)) from None

    async def _read_body(self, request: web.Request) -> object:
        if self._bodies >= MOST_BODIES:
            raise RequestRefused(
                503, f"{MOST_BODIES} requests are being sent", {"Retry-After": "1"}
            )
        self._bodies += 1
        try:
            async with asyncio.timeout(BODY_WITHIN):
                return json.loads(await request.read())
        except TimeoutError:
            raise RequestRefused(408, f"no whole body within {BODY_WITHIN:g} s") from None
        except ConnectionError:  # nobody is there to be answered, and it is no fault of ours
            raise RequestRefused(400, "the body was not sent whole") from None
        except (ValueError, RecursionError):
            raise RequestRefused(400, "not JSON") from None
        finally:
            self._bodies -= 1

    async def close(self) -> None:
        """Begin nothing any more; drains that are under way leave their backends paused."""
        if self.runner is not None:
            self.runner.close()
        if self.access is not None:
            await self.access.close()


def _ask_sign_in(said: str) -> RequestRefused:
    return RequestRefused(401, said, {"WWW-Authenticate": "Bearer"})


@contextmanager
def _counting(limits: NamedLimits, name: str, said: str) -> Iterator[None]:
    """Count who proves nobody inside.

    It counts from the beginning: a hundred at once would else all be within the limit. Whoever is
    answered by 401 has had his turn; any other outcome was none.
    """
    _take_turn(limits, name, said)
    try:
        yield
    except RequestRefused as error:
        if error.status != 401:
            limits.give_back(name, asyncio.get_running_loop().time())
        raise
    else:
        limits.give_back(name, asyncio.get_running_loop().time())


def _take_turn(limits: NamedLimits, name: str, said: str) -> None:
    """Count one, or RequestRefused (429)."""
    now = asyncio.get_running_loop().time()
    wait = limits.seconds_until(name, now)
    if wait:
        raise RequestRefused(
            429, f"{said}: again in {math.ceil(wait)} s", {"Retry-After": str(math.ceil(wait))}
        )
    limits.take_turn(name, now)

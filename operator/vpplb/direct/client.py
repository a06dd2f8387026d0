"""`OperatorConnections`: the agent's end of the direct road, one connection to each operator.

All operators that are known are connected to at once, since whichever leads next shall be heard
without a new connection. Each tells its role, and of all others that it knows; so what is known
follows the operators by itself: one that fails, and of which no other tells, is forgotten. While
none is connected, what was known last is tried, or what is told from outside (`set_operators`).

An operator is believed if its certificate has the fingerprint that was published for it. What it
sends that is not as described ends the connection, which is tried again ever later.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from vpplb.direct.messages import (
    MOST_BYTES,
    MOST_OPERATORS,
    PATH,
    PROTOCOL,
    AgentHello,
    DecisionBatch,
    Message,
    MessageError,
    OperatorAddress,
    OperatorRole,
    ProgrammedReport,
    VipsRequest,
    dump_hello,
    dump_report,
    load_message,
)
from vpplb.direct.operator_directory import is_usable
from vpplb.direct.operator_refusal import raise_for_refusal
from vpplb.direct.own_token import read_token
from vpplb.model.backoff import backoff_seconds

log = logging.getLogger(__name__)

RETRY = (0.2, 5.0)
"""Seconds before connecting again, doubled from the first to the last."""
STRANGER_RETRY = (1.0, 60.0)
"""The same where somebody else answers at its address, to whom each try costs a handshake: what was
published is of a process that is no more, and stands there for a quarter of an hour."""
ROLE_TIMEOUT = 5.0
"""Seconds from the first packet to an operator's word who it is."""
HEARTBEAT = 6.0
"""Seconds of silence after which an operator is asked for a sign of life. It has half as many to
answer, so a dead one is noticed within 10."""
CLOSE_TIMEOUT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedLeader:
    """Who leads, of the operators that are connected: the one of the newest term."""

    identity: str
    term: int


class OperatorListener(Protocol):
    """Who wants to know what operators say. Must neither block nor raise."""

    def on_term(self, term: int) -> None:
        """An operator has told of this term, whether it leads in it or not."""

    def on_leader(self, leader: ConnectedLeader | None) -> None:
        """Another leader is connected than before, or one of another term, or none any more."""

    def on_batch(self, batch: DecisionBatch) -> None:
        """An operator that says it leads has sent this."""

    def on_request(self, request: VipsRequest, connection: "OperatorConnection") -> None:
        """An operator asks what VPP has, and waits for the answer on this connection."""

    def on_operators(self, operators: Sequence[OperatorAddress]) -> None:
        """These are now all operators that are known; they are others than before."""


@dataclass(slots=True, kw_only=True)
class OperatorConnection:
    """A connection as it is now: `role` None where there is none, and `trouble` says why.

    `failures` counts attempts in a row. `messages` is what has come since the start, `heard_at` the
    loop's time of the last.
    """

    role: OperatorRole | None = None
    trouble: str = "not connected yet"
    failures: int = 0
    messages: int = 0
    heard_at: float | None = None
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _opened: float = 0.0

    def open(self, socket: aiohttp.ClientWebSocketResponse, role: OperatorRole) -> None:
        if self._socket is not socket:
            self._opened = asyncio.get_running_loop().time()
        self._socket, self.role, self.trouble = socket, role, ""

    def close(self, trouble: str) -> None:
        """Take note that it is over, or was none; one that was short counts as one that failed."""
        lasted = self.role and asyncio.get_running_loop().time() - self._opened > RETRY[1]
        self.failures = 1 if lasted else self.failures + 1
        self._socket, self.role, self.trouble = None, None, trouble

    def note_message(self) -> None:
        self.messages += 1
        self.heard_at = asyncio.get_running_loop().time()

    async def send_text(self, text: str) -> None:
        """Send to the operator (OSError)."""
        if self._socket is None:
            raise ConnectionError("not connected")
        try:
            await self._socket.send_str(text)
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error


class OperatorConnections:
    """Keeps the connections of the agent of `node`, and tells `listener` what comes.

    `hello` is asked at each connection, and `token_file` read: the kubelet renews it.
    """

    def __init__(
        self,
        node: str,
        token_file: Path,
        listener: OperatorListener,
        hello: Callable[[], AgentHello],
    ) -> None:
        self._node, self._token_file = node, token_file
        self._listener, self._hello = listener, hello
        self._connections: dict[OperatorAddress, OperatorConnection] = {}
        self._leader: ConnectedLeader | None = None
        self._changed, self._disconnected = asyncio.Event(), asyncio.Event()
        self._disconnected.set()

    # --- what is known -----------------------------------------------------------------------

    @property
    def connections(self) -> dict[OperatorAddress, OperatorConnection]:
        """All operators that are known, each with its connection."""
        return dict(self._connections)

    @property
    def leader(self) -> ConnectedLeader | None:
        return self._leader

    @property
    def is_connected(self) -> bool:
        """Whether any operator is connected."""
        return not self._disconnected.is_set()

    async def wait_disconnected(self) -> None:
        """Return when no operator is connected."""
        await self._disconnected.wait()

    def set_operators(self, operators: Iterable[OperatorAddress]) -> None:
        """Take these for all there are, unless some are connected: those know better."""
        if self._disconnected.is_set():
            self._set_known(operators)

    def add_operators(self, operators: Iterable[OperatorAddress]) -> None:
        """Take these for some of those that there are; whoever is connected stays."""
        connected = (one for one, at in self._connections.items() if at.role)
        self._set_known([*connected, *operators, *self._connections])

    async def send_report(self, report: ProgrammedReport) -> bool:
        """Send to the leader; return whether there was one to send it to."""
        return await self._send_leader(dump_report(report))

    async def send_hello(self) -> bool:
        """Say hello to the leader again: a later term was heard of since than its own."""
        return await self._send_leader(dump_hello(self._hello()))

    async def _send_leader(self, text: str) -> bool:
        for one in self._connections.values():
            if self._leader is not None and one.role is not None and _leads(one.role, self._leader):
                try:
                    await one.send_text(text)
                except OSError as error:
                    log.debug("the leader is not reached: %s", error)
                    return False
                return True
        return False

    # --- the connections ---------------------------------------------------------------------

    async def run(self) -> None:
        """Connect to whoever is known, until cancelled."""
        tasks: dict[OperatorAddress, asyncio.Task[None]] = {}
        async with (
            aiohttp.ClientSession(middlewares=(raise_for_refusal,)) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                self._changed.clear()
                for operator in tasks.keys() - self._connections.keys():
                    tasks.pop(operator).cancel()
                for operator, connection in self._connections.items():
                    if operator not in tasks:
                        keeping = self._keep_connected(session, operator, connection)
                        tasks[operator] = group.create_task(keeping)
                await self._changed.wait()

    async def _keep_connected(
        self,
        session: aiohttp.ClientSession,
        operator: OperatorAddress,
        connection: OperatorConnection,
    ) -> None:
        told = ""
        while True:
            retry = RETRY
            try:
                await self._converse(session, operator, connection)
            except (
                aiohttp.ClientError,
                OSError,
                ValueError,
            ) as error:  # TimeoutError is of OSError
                why = _explain(error)
                if isinstance(error, aiohttp.ServerFingerprintMismatch):
                    retry = STRANGER_RETRY
            except Exception as error:  # a bug, which must not cost us the other operators
                log.exception("operator %s", operator.identity)
                why = repr(error)
            else:
                why = "it has closed the connection"
            connection.close(why)
            # Each reason once: an operator that is gone is tried again and again.
            level = logging.DEBUG if why == told and connection.failures > 1 else logging.WARNING
            log.log(level, "operator %s at %s: %s", operator.identity, operator.address, why)
            told = why
            self._note_roles()
            jitter = random.random()
            await asyncio.sleep(backoff_seconds(connection.failures, *retry, jitter=jitter))

    async def _converse(
        self,
        session: aiohttp.ClientSession,
        operator: OperatorAddress,
        connection: OperatorConnection,
    ) -> None:
        """Connect, and listen until the connection ends (ClientError, OSError, ValueError)."""
        token = await asyncio.to_thread(read_token, self._token_file)
        connecting = session.ws_connect(
            f"https://{operator.address}{PATH.format(node=self._node)}",
            headers={"Authorization": f"Bearer {token}"},
            protocols=(PROTOCOL,),
            ssl=aiohttp.Fingerprint(bytes.fromhex(operator.fingerprint)),
            heartbeat=HEARTBEAT,
            max_msg_size=MOST_BYTES + 1,  # the first size that aiohttp refuses
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
        )
        async with asyncio.timeout(ROLE_TIMEOUT) as limit, connecting as socket:
            if socket.protocol != PROTOCOL:
                raise MessageError(f"it does not speak {PROTOCOL}")
            await socket.send_str(dump_hello(self._hello()))
            while True:
                received = await socket.receive()
                if received.type is aiohttp.WSMsgType.CLOSE and received.extra:
                    raise ConnectionError(f"it has closed the connection: {received.extra:.200}")
                if received.type in _CLOSED:
                    return
                if received.type is aiohttp.WSMsgType.ERROR:  # too long, or no sign of life
                    raise ConnectionError(f"{received.data}")
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise MessageError("it sends what is no text")
                connection.note_message()
                match load_message(received.data):
                    case OperatorRole() as role:
                        limit.reschedule(None)
                        self._take_role(operator, connection, socket, role)
                    case other:
                        self._take_message(connection, other)

    def _take_message(self, connection: OperatorConnection, message: Message | None) -> None:
        """Hand on what an operator says beside its role; MessageError for what it may not say."""
        match message:
            case DecisionBatch() as batch:
                if connection.role is None or not connection.role.leads:
                    raise MessageError("it sends decisions and does not say that it leads")
                self._listener.on_batch(batch)
            case VipsRequest() as request:
                self._listener.on_request(request, connection)
            case None:  # of a version that is newer
                pass
            case other:
                raise MessageError(f"it sends what only agents do: {type(other).__name__}")

    def _take_role(
        self,
        operator: OperatorAddress,
        connection: OperatorConnection,
        socket: aiohttp.ClientWebSocketResponse,
        role: OperatorRole,
    ) -> None:
        if role.identity != operator.identity:
            raise MessageError(f"it is {role.identity!r:.100}")
        before = connection.role
        if before is None or (before.leads, before.term) != (role.leads, role.term):
            what = f"leads in term {role.term}" if role.leads else f"stands by ({role.why})"
            log.info("operator %s at %s %s", operator.identity, operator.address, what)
        connection.open(socket, role)
        self._note_roles()
        self._listener.on_term(role.term)

    # --- what their roles say together -------------------------------------------------------

    def _note_roles(self) -> None:
        """Conclude who leads, and which operators there are."""
        roles = {address: one.role for address, one in self._connections.items() if one.role}
        if roles:
            self._disconnected.clear()
            told = (one for role in roles.values() for one in role.operators)
            # Whom nobody tells of is forgotten once it fails: what one knows may be out of date.
            untried = (one for one, at in self._connections.items() if not at.failures)
            self._set_known([*roles, *told, *untried])
        else:
            self._disconnected.set()
        leading = [role for role in roles.values() if role.leads]
        newest = max(leading, key=lambda role: role.term, default=None)
        leader = ConnectedLeader(identity=newest.identity, term=newest.term) if newest else None
        if leader != self._leader:
            self._leader = leader
            self._listener.on_leader(leader)

    def _set_known(self, operators: Iterable[OperatorAddress]) -> None:
        usable = dict.fromkeys(filter(is_usable, operators))
        known = list(usable)[:MOST_OPERATORS]
        if set(known) == self._connections.keys():
            return
        self._connections = {
            one: self._connections.get(one) or OperatorConnection() for one in known
        }
        self._changed.set()
        self._listener.on_operators(known)


_CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


def _leads(role: OperatorRole, leader: ConnectedLeader) -> bool:
    return role.leads and (role.identity, role.term) == (leader.identity, leader.term)


def _explain(error: Exception) -> str:
    match error:
        case aiohttp.ServerFingerprintMismatch():
            return "its certificate is not the one that was published for it"
        case TimeoutError():
            return f"it does not say who it is within {ROLE_TIMEOUT:g} s"
    return str(error) or repr(error)

"""The lb plugin of one VPP behind its binary-API socket: the adapter of `LoadBalancer`."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from vpplb.model.vip import IPAddress, VipId
from vpplb.plan.ops import AddVip, DelVip, Op, SetWeight
from vpplb.plan.settings import HeapSpace
from vpplb.sync.ports import CallOutcome, LoadBalancerGone, ObservedVpp, VppInfo
from vpplb.vpp import codec, listing
from vpplb.vpp.client import NAME, TIMEOUT, CallHook, Connection, connect
from vpplb.vpp.lock import VppLock
from vpplb.vpp.messages import Fields
from vpplb.vpp.nat import NatGuard
from vpplb.vpp.retvals import NOT_SENT, in_words

MOST_LINES = 500_000
"""Lines of a CLI answer: each takes a microsecond to read, with nothing else done meanwhile."""
_MOVING = {AddVip, DelVip}
"""Ops after which the VIPs' indexes are others."""


class PapiLoadBalancer:
    """Implements `sync.ports.LoadBalancer`.

    `timeout` is in seconds, for each call and for connecting. `on_call` is told each answered
    message with its retval, `on_leftovers` at each reading how many clients named as we are VPP
    has beside this one. Who programs VPP gives the `lock` that keeps others from it.
    """

    def __init__(
        self,
        socket: Path,
        *,
        timeout: float = TIMEOUT,
        on_call: CallHook = lambda _message, _retval: None,
        lock: VppLock | None = None,
        on_leftovers: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._socket, self._timeout, self._on_call = socket, timeout, on_call
        self._on_leftovers, self._lock = on_leftovers, lock
        self._connection: Connection | None = None
        self._indexes: Mapping[VipId, int] | None = None
        self._nat = NatGuard()

    async def connect(self) -> VppInfo:
        """Connect anew (LoadBalancerGone, LoadBalancerUnsuitable)."""
        await self.close()
        if self._lock is not None:
            self._lock.take()
        self._nat = NatGuard()
        connection = await connect(self._socket, on_call=self._on_call, timeout=self._timeout)
        self._connection = connection
        version, ping = await asyncio.gather(
            connection.call("show_version", {}), connection.call("control_ping", {})
        )
        return VppInfo(version=_text(version["version"]), pid=_number(ping["vpe_pid"]))

    async def read(self) -> ObservedVpp:
        """Read VIPs, servers and settings, in one go (LoadBalancerGone)."""
        observed, self._indexes, removed = await self._look()
        self._nat.read(observed.table, removed)
        shown = await _printed(self._connected(), codec.SHOW_CLIENTS)
        ours = codec.clients_named(NAME, shown)
        self._on_leftovers(max(ours - 1, 0))
        return observed

    async def look(self) -> tuple[ObservedVpp, Mapping[VipId, int]]:
        """Read likewise for whoever wants to show it, with where each VIP's counters are.

        Nothing is remembered, so it may be called beside whoever programs.
        """
        observed, indexes, _ = await self._look()
        return observed, indexes

    async def _look(
        self,
    ) -> tuple[ObservedVpp, Mapping[VipId, int], Iterable[tuple[VipId | None, IPAddress]]]:
        connection = self._connected()
        vips, servers, shown, conf = await asyncio.gather(
            connection.dump("lb_vip_dump", codec.EVERY_VIP),
            connection.dump("lb_as_v2_dump", codec.EVERYTHING),
            _printed(connection, listing.SHOW_VIPS),
            connection.call("lb_conf_get", {}),
        )
        shown_vips = listing.read(shown)
        table, strange = codec.table(vips, servers, shown_vips)
        observed = ObservedVpp(table=table, strange=strange, conf=codec.conf(conf))
        return observed, shown_vips.indexes, codec.lingering(servers)

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        """Send the ops; one outcome an op, in order (LoadBalancerGone).

        Weights go before whatever else waits to be sent: they are how a failover is made.
        """
        connection = self._connected()
        unsent: dict[int, CallOutcome] = {}
        requests: list[tuple[str, Fields]] = []
        for index, op in enumerate(ops):
            try:
                if refusal := self._nat.refusal(op):
                    raise codec.NotSendable(refusal)
                requests.append(codec.request(op))
            except codec.NotSendable as error:
                unsent[index] = CallOutcome(op, NOT_SENT, str(error))
        failover = all(isinstance(op, SetWeight) for op in ops)
        answers = iter(await connection.call_many(requests, urgent=failover))
        if not _MOVING.isdisjoint(map(type, ops)):
            self._indexes = None
        outcomes = [
            unsent.get(index) or _outcome(op, next(answers)) for index, op in enumerate(ops)
        ]
        for outcome in outcomes:
            if not outcome.message:
                self._nat.applied(outcome.op)
        return outcomes

    async def vip_indexes(self) -> Mapping[VipId, int]:
        """Return where each VIP's counters are (LoadBalancerGone).

        VPP is asked only if VIPs were added or deleted here since it told last.
        """
        connection = self._connected()
        if self._indexes is None:
            self._indexes = listing.read(await _printed(connection, listing.SHOW_VIPS)).indexes
        return self._indexes

    async def read_heap(self) -> HeapSpace | None:
        """Read VPP's free memory and threads; None where it does not tell (LoadBalancerGone)."""
        connection = self._connected()
        memory, threads = await asyncio.gather(
            connection.call("cli_inband", listing.SHOW_HEAP),
            connection.call("cli_inband", listing.SHOW_THREADS),
        )
        return listing.heap(_text(memory["reply"]), _text(threads["reply"]))

    async def ping(self) -> None:
        """Return when VPP has answered (LoadBalancerGone)."""
        await self._connected().call("control_ping", {})

    async def close(self) -> None:
        """Take leave of VPP and disconnect; never hangs, never raises."""
        if self._connection is not None:
            connection, self._connection, self._indexes = self._connection, None, None
            await connection.leave()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise LoadBalancerGone("not connected")
        return self._connection


async def _printed(connection: Connection, command: Fields) -> str:
    """Return what a CLI command prints; LoadBalancerGone when that is more than can be true."""
    text = _text((await connection.call("cli_inband", command))["reply"])
    if (lines := text.count("\n")) > MOST_LINES:
        connection.lose(f"VPP's CLI prints {lines} lines, over {MOST_LINES}")
        raise LoadBalancerGone(connection.lost or "")
    return text


def _outcome(op: Op, answer: Fields) -> CallOutcome:
    retval = _number(answer["retval"])
    return CallOutcome(op, retval, in_words(retval))


def _number(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value


def _text(value: int | bytes) -> str:
    assert isinstance(value, bytes)
    return value.split(b"\0", 1)[0].decode(errors="replace")

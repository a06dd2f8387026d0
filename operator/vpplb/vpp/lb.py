"""The lb plugin of one VPP behind its binary-API socket: the adapter of `LoadBalancer`."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from vpplb.model.vip import IPAddress, VipId
from vpplb.plan.ops import AddVip, DelVip, Op, SetWeight
from vpplb.plan.settings import HeapSpace
from vpplb.sync.ports import CallOutcome, LoadBalancerGone, ObservedVpp, VppInfo
from vpplb.vpp import cli_output, codec
from vpplb.vpp.client import NAME, TIMEOUT, ApiConnection, CallHook, open_connection
from vpplb.vpp.lock import VppLock
from vpplb.vpp.message_fields import Fields
from vpplb.vpp.nat_guard import NatGuard

MOST_LINES = 500_000
"""Lines of a CLI answer: each takes a microsecond to read, with nothing else done meanwhile."""
_MOVING = {AddVip, DelVip}
"""Ops after which the VIPs' indexes are others."""
NOT_SENT = -10_000
"""Not VPP's: the call was refused here, since VPP would not have refused it."""
_WORDS = {
    -1: "unspecified error",
    -6: "no such entry",
    -7: "invalid value",
    -9: "not implemented",
    -70: "not a power of two",
    -73: "invalid argument: VIPs of one prefix must have the same encapsulation",
    -81: "exists already, or an all-port and a per-port VIP exclude each other on one prefix",
    -97: "wrong address family for this encapsulation",
}
"""VPP's return values (vnet/error.h, as lb.c uses them)."""


class PapiLoadBalancer:
    """Implements `sync.ports.LoadBalancer`.

    `timeout` is in seconds, for each call and for connecting. `on_call` is told each answered
    message with its retval, `on_stale_clients` at each reading how many clients named as we are VPP
    has beside this one. Who programs VPP gives the `lock` that keeps others from it.
    """

    def __init__(
        self,
        socket: Path,
        *,
        timeout: float = TIMEOUT,
        on_call: CallHook = lambda _message, _retval: None,
        lock: VppLock | None = None,
        on_stale_clients: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._socket, self._timeout, self._on_call = socket, timeout, on_call
        self._on_stale_clients, self._lock = on_stale_clients, lock
        self._connection: ApiConnection | None = None
        self._indexes: Mapping[VipId, int] | None = None
        self._nat = NatGuard()

    async def connect(self) -> VppInfo:
        """Connect anew (LoadBalancerGone, LoadBalancerUnsuitable)."""
        await self.close()
        if self._lock is not None:
            self._lock.acquire()
        self._nat = NatGuard()
        connection = await open_connection(
            self._socket, on_call=self._on_call, timeout=self._timeout
        )
        self._connection = connection
        version, ping = await asyncio.gather(
            connection.call("show_version", {}), connection.call("control_ping", {})
        )
        return VppInfo(version=_as_text(version["version"]), pid=_as_int(ping["vpe_pid"]))

    async def read(self) -> ObservedVpp:
        """Read VIPs, servers and settings, in one go (LoadBalancerGone)."""
        observed, self._indexes, removed = await self._read_all()
        self._nat.on_table_read(observed.table, removed)
        shown = await _run_cli(self._live_connection(), codec.SHOW_CLIENTS)
        ours = codec.count_clients(NAME, shown)
        self._on_stale_clients(max(ours - 1, 0))
        return observed

    async def read_with_indexes(self) -> tuple[ObservedVpp, Mapping[VipId, int]]:
        """Read likewise for whoever wants to show it, with where each VIP's counters are.

        Nothing is remembered, so it may be called beside whoever programs.
        """
        observed, indexes, _ = await self._read_all()
        return observed, indexes

    async def _read_all(
        self,
    ) -> tuple[ObservedVpp, Mapping[VipId, int], Iterable[tuple[VipId | None, IPAddress]]]:
        connection = self._live_connection()
        vips, servers, shown, conf = await asyncio.gather(
            connection.dump("lb_vip_dump", codec.EVERY_VIP),
            connection.dump("lb_as_v2_dump", codec.EVERYTHING),
            _run_cli(connection, cli_output.SHOW_VIPS),
            connection.call("lb_conf_get", {}),
        )
        shown_vips = cli_output.parse_vips(shown)
        table, strange = codec.decode_table(vips, servers, shown_vips)
        observed = ObservedVpp(table=table, strange=strange, conf=codec.decode_conf(conf))
        return observed, shown_vips.indexes, codec.lingering_servers(servers)

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        """Send the ops; one outcome an op, in order (LoadBalancerGone).

        Weights go before whatever else waits to be sent: they are how a failover is made.
        """
        connection = self._live_connection()
        unsent: dict[int, CallOutcome] = {}
        requests: list[tuple[str, Fields]] = []
        for index, op in enumerate(ops):
            try:
                if refusal := self._nat.refusal_of(op):
                    raise codec.NotSendable(refusal)
                requests.append(codec.encode_op(op))
            except codec.NotSendable as error:
                unsent[index] = CallOutcome(op, NOT_SENT, str(error))
        failover = all(isinstance(op, SetWeight) for op in ops)
        answers = iter(await connection.call_many(requests, urgent=failover))
        if not _MOVING.isdisjoint(map(type, ops)):
            self._indexes = None
        outcomes = [
            unsent.get(index) or _make_outcome(op, next(answers)) for index, op in enumerate(ops)
        ]
        for outcome in outcomes:
            if not outcome.message:
                self._nat.on_applied(outcome.op)
        return outcomes

    async def vip_indexes(self) -> Mapping[VipId, int]:
        """Return where each VIP's counters are (LoadBalancerGone).

        VPP is asked only if VIPs were added or deleted here since it told last.
        """
        connection = self._live_connection()
        if self._indexes is None:
            self._indexes = cli_output.parse_vips(
                await _run_cli(connection, cli_output.SHOW_VIPS)
            ).indexes
        return self._indexes

    async def read_heap(self) -> HeapSpace | None:
        """Read VPP's free memory and threads; None where it does not tell (LoadBalancerGone)."""
        connection = self._live_connection()
        memory, threads = await asyncio.gather(
            connection.call("cli_inband", cli_output.SHOW_HEAP),
            connection.call("cli_inband", cli_output.SHOW_THREADS),
        )
        return cli_output.parse_heap(_as_text(memory["reply"]), _as_text(threads["reply"]))

    async def ping(self) -> None:
        """Wait for an answer of VPP (LoadBalancerGone)."""
        await self._live_connection().call("control_ping", {})

    async def close(self) -> None:
        """Deregister and disconnect; never hangs, never raises."""
        if self._connection is not None:
            connection, self._connection, self._indexes = self._connection, None, None
            await connection.close()

    def _live_connection(self) -> ApiConnection:
        if self._connection is None:
            raise LoadBalancerGone("not connected")
        return self._connection


async def _run_cli(connection: ApiConnection, command: Fields) -> str:
    """Return what a CLI command prints; LoadBalancerGone when that is more than can be true."""
    text = _as_text((await connection.call("cli_inband", command))["reply"])
    if (lines := text.count("\n")) > MOST_LINES:
        connection.abort(f"VPP's CLI prints {lines} lines, over {MOST_LINES}")
        raise LoadBalancerGone(connection.lost or "")
    return text


def _make_outcome(op: Op, answer: Fields) -> CallOutcome:
    retval = _as_int(answer["retval"])
    return CallOutcome(op, retval, in_words(retval))


def _as_int(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value


def _as_text(value: int | bytes) -> str:
    assert isinstance(value, bytes)
    return value.split(b"\0", 1)[0].decode(errors="replace")


def in_words(retval: int) -> str:
    """Say what a return value means, number included; empty for 0."""
    return f"{_WORDS.get(retval, 'refused by VPP')} ({retval})" if retval else ""

"""A simulated VPP that follows a real one: it is told what the agent tells the real one."""

import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from lab.vpp_tap import CHANGING, VppTap
from vpplb.model.vip import Encap, IPAddress, LbConf, VipId
from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.rows import Key, NewVip, Retval


class ShadowVpp:
    """One TCP VIP with GRE4, beginning with `weights`, then following the calls noted by `tap`.

    From then on there may be changes of weights only: anything else is an AssertionError.
    """

    def __init__(
        self,
        tap: VppTap,
        vip: VipId,
        weights: Mapping[IPAddress, int],
        *,
        table_length: int,
        conf: LbConf,
    ) -> None:
        self._tap, self._followed = tap, len(tap.calls)
        self._key = Key(int(vip.prefix.network_address), 128, TCP, vip.port)
        self._target = vip.prefix.network_address
        self._lb = LoadBalancerState(time.monotonic)
        self._lb.set_settings(
            *(conf.ipv4_source, conf.ipv6_source), conf.sticky_buckets_per_core, conf.flow_timeout
        )
        _accept(self._lb.add_vip(self._key, NewVip(encap=Encap.GRE4, table_length=table_length)))
        for address, weight in weights.items():
            _accept(self._lb.add_server(self._key, int(address), weight))

    def forward(self, source: IPAddress, ports: Iterable[int]) -> dict[int, IPAddress | None]:
        """Return the server of a packet from each port, after all that the agent said until now.

        As in the real VPP, a flow is remembered from its first packet on.
        """
        self._follow()
        port = self._key.port
        return {
            each: self._lb.forward(FiveTuple(source, self._target, TCP, each, port))
            for each in ports
        }

    def _follow(self) -> None:
        calls = self._tap.calls[self._followed :]
        self._followed += len(calls)
        for call in calls:
            if call.name not in CHANGING:
                continue
            assert call.weight_set is not None, f"not a change of weight: {call.name}"
            address, weight, flush = call.weight_set
            server = int(IPv4Address(address))
            _accept(self._lb.set_weight(self._key, server, weight, flush=flush))


def _accept(answer: Retval) -> None:
    assert answer is Retval.OK, answer

"""Servers that a NAT VIP must not be given yet: VPP would abort when it is removed one day.

VPP quirk: NAT made anew. What comes back from a server is translated by one mapping for its address
and port, whichever VIP it is of. The mapping is made with the server and freed when the garbage of
a removed one is collected (lb.c, lb_vip_add_ass and lb_vip_garbage_collection), a minute or two
later. A server that is added meanwhile, to the VIP made anew or to another, loses its mapping
then; and when it is collected itself there is none left to free, which ends VPP.
"""

from collections.abc import Iterable

from vpplb.model.vip import Encap, IPAddress, VipId, VipSettings, VipTable
from vpplb.plan.ops import AddServer, AddVip, DelServer, Op

NAT = (Encap.NAT4, Encap.NAT6)


class NatGuard:
    """Knows VPP's NAT servers and lingering ones: as last read, and as ops have changed them."""

    def __init__(self) -> None:
        self._settings: dict[VipId, VipSettings] = {}
        self._servers: dict[IPAddress, set[VipId]] = {}
        self._lingering: set[IPAddress] = set()

    def on_table_read(
        self, table: VipTable, removed: Iterable[tuple[VipId | None, IPAddress]]
    ) -> None:
        """Take what VPP has, and the servers that it has not forgotten, with their VIPs.

        Of a VIP that is gone it is not said whether it was by NAT: it may have been, unless it
        was known here.
        """
        self._settings |= {vip: found.settings for vip, found in table.items()}
        self._servers = {}
        for vip, found in table.items():
            for address in found.servers if found.settings.encap in NAT else ():
                self._servers.setdefault(address, set()).add(vip)
        self._lingering = {at for vip, at in removed if vip is None or self._may_be_nat(vip)}

    def refusal_of(self, op: Op) -> str:
        """Say why an op must not be sent now; empty when it may."""
        if not isinstance(op, AddServer) or not self._is_nat(op.vip):
            return ""
        if op.address in self._lingering:
            return f"VPP has not forgotten {op.address} yet, which takes it two minutes"
        port = self._settings[op.vip].target_port
        for other in sorted(self._servers.get(op.address, ()), key=lambda vip: vip.sort_key):
            if other != op.vip and self._settings[other].target_port == port:
                return f"{other} has {op.address} with the same port {port}"
        return ""

    def on_applied(self, op: Op) -> None:
        match op:
            case AddVip(vip=vip, settings=settings):
                self._settings[vip] = settings
            case AddServer(vip=vip, address=address) if self._is_nat(vip):
                self._servers.setdefault(address, set()).add(vip)
            case DelServer(vip=vip, address=address) if self._is_nat(vip):
                self._servers.get(address, set()).discard(vip)
                self._lingering.add(address)
            case _:
                pass

    def _is_nat(self, vip: VipId) -> bool:
        return vip in self._settings and self._may_be_nat(vip)

    def _may_be_nat(self, vip: VipId) -> bool:
        return vip not in self._settings or self._settings[vip].encap in NAT

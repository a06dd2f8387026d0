"""What a change of a VIP does to new flows: each server's exact share, and what changes hands.

New flows are spread by VPP's table alone (`maglev_table`), so both are counted in buckets. Flows
that exist stay with their servers, but for those that are flushed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vpplb.model.vip import IPAddress, Vip, VipId, address_order
from vpplb.plan.maglev_table import EMPTY, fill_table, order_servers


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerShare:
    """What a server gets: `weight` 0 to 100, and `buckets` of the `length` of its VIP's table."""

    weight: int
    buckets: int
    length: int

    @property
    def part(self) -> float:
        """The share of new flows, 0 to 1."""
        return self.buckets / self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class VipForecast:
    """A VIP before and after; None where it is not there.

    `servers` has each server of either side, in `address_order`, with its share then and now.
    `changed` of `buckets` are another server's afterwards (or no server's), by the longer table.
    """

    vip: VipId
    before: Vip | None
    after: Vip | None
    servers: Mapping[IPAddress, tuple[ServerShare | None, ServerShare | None]]
    changed: int
    buckets: int

    @property
    def changed_part(self) -> float:
        """The part of new flows that go to another server than before, 0 to 1."""
        return self.changed / self.buckets


def forecast_vip(vip: VipId, before: Vip | None, after: Vip | None) -> VipForecast:
    """Compare a VIP before and after a change; one of the two is there."""
    old, new = _list_owners(before), _list_owners(after)
    shares = _count_shares(before, old), _count_shares(after, new)
    addresses = sorted({*shares[0], *shares[1]}, key=address_order)
    buckets = max(len(old), len(new))
    # A flow's bucket is its hash modulo the length, so a longer table repeats a shorter one.
    changed = sum(old[n % len(old)] != new[n % len(new)] for n in range(buckets))
    return VipForecast(
        vip=vip,
        before=before,
        after=after,
        servers={a: (shares[0].get(a), shares[1].get(a)) for a in addresses},
        changed=changed,
        buckets=buckets,
    )


def _list_owners(vip: Vip | None) -> list[IPAddress | None]:
    if vip is None:
        return [None]
    weights = {address: server.weight for address, server in vip.servers.items()}
    servers = order_servers(weights)
    owners = fill_table(weights, vip.settings.table_length)
    return [None if owner == EMPTY else servers[owner] for owner in owners]


def _count_shares(vip: Vip | None, owners: list[IPAddress | None]) -> dict[IPAddress, ServerShare]:
    if vip is None:
        return {}
    return {
        address: ServerShare(
            weight=server.weight, buckets=owners.count(address), length=len(owners)
        )
        for address, server in vip.servers.items()
    }

"""The wanted state of a frontend's VIP: what goes into `Frontend.status.dataplane`.

Flush is an act and status is a level, so each server has a flush epoch: a number that grows
when the server enters a state in which its flows are to be cut. An agent flushes when the
number is greater than the last it applied, so a flush is neither lost nor repeated. It is taken
from the clock, so that it also grows across a frontend that was deleted and made anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.problem import Problem
from vpplb.model.vip import AppServer, IPAddress, Vip, VipSettings, address_order
from vpplb.plan.newflows import choose_length, distortion
from vpplb.plan.pools import MemberWeight, PoolDecision, flushes
from vpplb.plan.resolve import ResolvedFrontend, ResolvedMember


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What was decided before, from memory or from the frontend's status after a restart.

    `states` are those that decided (`MemberWeight.acting`).
    """

    vip: Vip | None = None
    states: Mapping[ObjectKey, HealthState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendConfig:
    """What follows from configuration alone, computed when that changes and not with health.

    `distortion` is the greatest relative deviation of a server's share of new flows from its
    due share, over all pools at their configured weights (0.1: a tenth more or less).
    `servers` are the addresses in `address_order`, each with the places of its members.
    """

    resolved: ResolvedFrontend
    settings: VipSettings
    distortion: float
    servers: tuple[tuple[IPAddress, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendView:
    """What is decided for a frontend.

    `desired` None: its VIP must not exist. `invalid`: what is wrong with a newer version that
    is not in force. `suspect`: backends of it fell silent in a way that casts doubt on the prober.
    """

    config: FrontendConfig
    decision: PoolDecision
    desired: Vip | None
    invalid: tuple[Problem, ...] = ()
    suspect: bool = False


def configure(resolved: ResolvedFrontend, previous: Previous) -> FrontendConfig:
    """Choose the settings of the VIP; a table length that serves is kept."""
    frontend = resolved.frontend
    pools = configured_weights(resolved.members)
    present = previous.vip.settings.table_length if previous.vip is not None else None
    length = frontend.table_length or choose_length(pools, present)
    return FrontendConfig(
        resolved=resolved,
        settings=VipSettings(
            encap=resolved.encap,
            dscp=frontend.dscp,
            target_port=frontend.target_port,
            src_ip_sticky=frontend.src_ip_sticky,
            table_length=length,
        ),
        distortion=max((distortion(pool, length) for pool in pools), default=0.0),
        servers=_places(resolved.members),
    )


def _places(
    members: Sequence[ResolvedMember],
) -> tuple[tuple[IPAddress, tuple[int, ...]], ...]:
    places: dict[IPAddress, list[int]] = {}
    for place, member in enumerate(members):
        places.setdefault(member.address, []).append(place)
    return tuple((address, tuple(places[address])) for address in sorted(places, key=address_order))


def configured_weights(members: Iterable[ResolvedMember]) -> list[dict[IPAddress, int]]:
    """Return the configured weight by server for each pool: what may be in the table at once."""
    pools: dict[str, dict[IPAddress, int]] = {}
    for member in members:
        weights = pools.setdefault(member.pool, {})
        weights[member.address] = max(weights.get(member.address, 0), member.weight)
    return list(pools.values())


def desired_vip(
    config: FrontendConfig, decision: PoolDecision, previous: Previous, *, epoch: int
) -> Vip | None:
    """Return the VIP that every agent shall program; None when it must not exist.

    `decision` is that of the config's members, in their order. `epoch` is the present in seconds:
    what a server's flush epoch becomes when a flush is due.
    """
    if config.resolved.withdrawn:
        return None
    flush_on_down = config.resolved.frontend.flush_on_down
    before: Mapping[IPAddress, AppServer] = previous.vip.servers if previous.vip else {}
    servers = {
        address: _server(
            before.get(address),
            [decision.members[place] for place in places],
            previous.states,
            flush_on_down=flush_on_down,
            epoch=epoch,
        )
        for address, places in config.servers
    }
    return Vip(settings=config.settings, servers=MappingProxyType(servers))


def _server(
    before: AppServer | None,
    weights: list[MemberWeight],
    states: Mapping[ObjectKey, HealthState],
    *,
    flush_on_down: bool,
    epoch: int,
) -> AppServer:
    """Make one application server of all members that have its address."""
    weight = max(one.effective for one in weights)
    if before is None:  # new to VPP: it has no flows to cut
        return AppServer(weight=weight)
    # What the state before has cut is not asked for: flush_on_down may have been another then, and
    # cutting flows that are cut already costs nothing.
    due = weight == 0 and any(
        flushes(one.acting, flush_on_down=flush_on_down)
        and states.get(one.member.backend, one.acting) is not one.acting
        for one in weights
    )
    flushed = max(before.flush_epoch + 1, epoch) if due else before.flush_epoch
    return AppServer(weight=weight, flush_epoch=flushed)

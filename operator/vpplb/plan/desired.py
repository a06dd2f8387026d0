"""The wanted state of a frontend's VIP: what goes into `Frontend.status.dataplane`.

Flush is an act and status is a level, so each server has a flush epoch: a number that grows
when the server enters a state in which its flows are to be cut. An agent flushes when the
number is greater than the last it applied, so a flush is neither lost nor repeated. It is taken
from the clock, so that it also grows across a frontend that was deleted and made anew.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from vpplb.model.decision_order import UNORDERED, DecisionOrder
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.objects import NodeSelector
from vpplb.model.problem import Problem
from vpplb.model.vip import AppServer, IPAddress, Vip, VipId, VipSettings, address_order
from vpplb.plan.flattening import cap_weight, find_flattened, length_for, over_the_top, pool_weights
from vpplb.plan.pools import MemberWeight, PoolDecision, does_flush
from vpplb.plan.resolved import ResolvedFrontend
from vpplb.plan.serving_start import ServingStart

_Name = TypeVar("_Name", bound=Hashable)

NEW = AppServer(weight=0)
"""A server before anything was decided about it."""


class DecisionContent(NamedTuple):
    """What nodes act on: while it is the same, the decision keeps its order.

    `withdrawn`: the VIP must not exist. Neither that nor a `vip`: nothing is decided, and nodes
    keep what they have. `selector` are the labels of the nodes that carry it.
    """

    vip_id: VipId | None = None
    vip: Vip | None = None
    selector: NodeSelector = ()
    withdrawn: bool = False


UNDECIDED = DecisionContent()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousDecision:
    """What was decided before, from memory or from the frontend's status after a restart.

    `states` are those that decided (`MemberWeight.acting`); `addresses` those of the backends, as
    far as the status tells them.
    """

    content: DecisionContent = UNDECIDED
    order: DecisionOrder = UNORDERED
    states: Mapping[ObjectKey, HealthState] = field(default_factory=dict)
    addresses: Mapping[ObjectKey, IPAddress] = field(default_factory=dict)

    @property
    def vip(self) -> Vip | None:
        return self.content.vip


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendConfig:
    """What follows from configuration alone, computed when that changes and not with health.

    `servers` are the addresses in `address_order`, each with the places of its members; `places`
    are those of each backend.
    `flattened` says whose share of new flows is not its due, `over_the_top` who has more weight
    than VPP is given; each is empty where nobody is.
    """

    resolved: ResolvedFrontend
    settings: VipSettings
    servers: tuple[tuple[IPAddress, tuple[int, ...]], ...]
    places: Mapping[ObjectKey, tuple[int, ...]]
    flattened: str = ""
    over_the_top: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendView:
    """What is decided for a frontend.

    `desired` None: there is no VIP, and nodes that have it give it up where it is `withdrawn`.
    `order` is the decision's place among all on this frontend. `invalid`: what is wrong with a
    newer version that is not in force. `suspect`: backends of it fell silent in a way that casts
    doubt on the prober.
    """

    config: FrontendConfig
    decision: PoolDecision
    desired: Vip | None
    order: DecisionOrder
    invalid: tuple[Problem, ...] = ()
    suspect: bool = False

    @property
    def withdrawn(self) -> bool:
        """Whether its VIP must not exist."""
        return self.config.resolved.gives_up_vip

    def weights_of(self, backend: ObjectKey) -> tuple[MemberWeight, ...]:
        """Return what a backend gets as a member of each pool that it is in."""
        return tuple(self.decision.members[place] for place in self.config.places.get(backend, ()))


def choose_settings(resolved: ResolvedFrontend, previous: PreviousDecision) -> FrontendConfig:
    """Choose the settings of the VIP.

    A table length is chosen only for a VIP that is not there: another one would make it anew.
    """
    frontend = resolved.frontend
    by_address = _join_places(member.address for member in resolved.members)
    servers = tuple((one, by_address[one]) for one in sorted(by_address, key=address_order))
    pools = pool_weights(resolved.members, servers)
    present = previous.vip.settings.table_length if previous.vip is not None else None
    length = frontend.table_length or present or length_for(pools)
    return FrontendConfig(
        resolved=resolved,
        settings=VipSettings(
            encap=resolved.encap,
            dscp=frontend.dscp,
            target_port=frontend.target_port,
            src_ip_sticky=frontend.src_ip_sticky,
            table_length=length,
        ),
        servers=servers,
        places=_join_places(member.backend for member in resolved.members),
        flattened=find_flattened(pools, length),
        over_the_top=over_the_top(pools),
    )


def _join_places(names: Iterable[_Name]) -> dict[_Name, tuple[int, ...]]:
    places: dict[_Name, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return {name: tuple(found) for name, found in places.items()}


def desired_vip(
    config: FrontendConfig, start: ServingStart, previous: PreviousDecision, *, epoch: int
) -> Vip | None:
    """Return the VIP that every agent shall program; None when it must not exist.

    The decision of `start` is that of the config's members, in their order. `epoch` is the present
    in seconds: what a server's flush epoch becomes when a flush is due.
    """
    if config.resolved.is_withdrawn:
        return None
    members = start.decision.members
    flush_on_down = config.resolved.frontend.flush_on_down
    before: Mapping[IPAddress, AppServer] = previous.vip.servers if previous.vip else {}
    servers = {
        address: _merge_members(
            before.get(address),
            [members[place] for place in places],
            previous.states,
            flush_on_down=flush_on_down,
            epoch=epoch,
        )
        for address, places in config.servers
    }
    for address, places in config.servers if start.undecided else ():
        if any(members[place].member.backend in start.undecided for place in places):
            weight, was = servers[address].weight, before.get(address, NEW)
            servers[address] = AppServer(weight, was.flush_epoch, undecided=True)
    return Vip(
        settings=config.settings,
        servers=MappingProxyType(servers),
        tentative=start.tentative,
        any_length=config.resolved.frontend.table_length is None,
    )


def content_of(config: FrontendConfig, vip: Vip | None) -> DecisionContent:
    """Return what nodes are told of the decision on a frontend."""
    if vip is None:
        return DecisionContent(withdrawn=config.resolved.gives_up_vip)
    frontend = config.resolved.frontend
    return DecisionContent(frontend.vip, vip, frontend.node_selector)


def remember_decision(
    start: ServingStart,
    content: DecisionContent,
    order: DecisionOrder,
    previous: PreviousDecision,
) -> PreviousDecision:
    """Return what was decided, for the next time.

    The states of those that are undecided stay, so that a flush is due when they are decided.
    """
    states = {one.member.backend: one.acting for one in start.decision.members}
    for backend in start.undecided:
        states[backend] = previous.states.get(backend, HealthState.UNKNOWN)
    return PreviousDecision(content=content, order=order, states=states)


def _merge_members(
    before: AppServer | None,
    weights: list[MemberWeight],
    states: Mapping[ObjectKey, HealthState],
    *,
    flush_on_down: bool,
    epoch: int,
) -> AppServer:
    """Make one application server of all members that have its address."""
    weight = cap_weight(sum(one.effective for one in weights))
    if before is None:  # new to VPP: it has no flows to cut
        return AppServer(weight=weight)
    # What the state before has cut is not asked for: flush_on_down may have been another then, and
    # cutting flows that are cut already costs nothing.
    due = weight == 0 and any(
        does_flush(one.acting, flush_on_down=flush_on_down)
        and states.get(one.member.backend, one.acting) is not one.acting
        for one in weights
    )
    flushed = max(before.flush_epoch + 1, epoch) if due else before.flush_epoch
    same = (weight, flushed, False) == (before.weight, before.flush_epoch, before.undecided)
    return before if same else AppServer(weight=weight, flush_epoch=flushed)

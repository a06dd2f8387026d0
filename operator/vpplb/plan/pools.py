"""Which pool of a frontend is active, and the effective weight of every member.

The active pool is the first that has a backend counting as up with a weight above 0. Members
of it that count as up carry their configured weight, all others carry 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKey
from vpplb.plan.resolved import ResolvedMember


class MemberWeight(NamedTuple):
    """A member with its state as measured and the weight that it gets (0 to 100).

    `held`: it is down, but counts as up. A tuple: each transition makes one for each member.
    """

    member: ResolvedMember
    state: HealthState
    effective: int
    held: bool = False

    @property
    def acting(self) -> HealthState:
        """The state that decides."""
        return HealthState.UP if self.held else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDecision:
    """What a frontend does: `state` is up, down or unknown.

    `members` are in the order that was given. `active_pool` is empty when no pool can serve.
    """

    active_pool: str
    members: tuple[MemberWeight, ...]
    state: HealthState

    @property
    def ready(self) -> tuple[int, int]:
        """Backends that count as up, and all: each backend once, however many pools it is in."""
        backends = {m.member.backend for m in self.members}
        up = {m.member.backend for m in self.members if m.acting is HealthState.UP or m.effective}
        return len(up), len(backends)


def decide_weights(
    members: Sequence[ResolvedMember], health: Mapping[ObjectKey, BackendHealth]
) -> PoolDecision:
    """Decide for one frontend; `members` in the order of pools, unheard-of ones are unknown."""
    nothing = BackendHealth()
    healths = [health.get(member.backend, nothing) for member in members]
    active = next(
        (
            member.pool
            for member, one in zip(members, healths, strict=True)
            if one.counts_as_up and member.weight > 0
        ),
        "",
    )
    weights = tuple(
        MemberWeight(
            member=member,
            state=one.state,
            effective=member.weight if member.pool == active and one.counts_as_up else 0,
            held=one.state is HealthState.DOWN and one.held,
        )
        for member, one in zip(members, healths, strict=True)
    )
    return PoolDecision(active_pool=active, members=weights, state=_join_states(weights))


def _join_states(weights: Sequence[MemberWeight]) -> HealthState:
    if any(weight.effective for weight in weights):
        return HealthState.UP
    if all(weight.state is HealthState.UNKNOWN for weight in weights):
        return HealthState.UNKNOWN
    return HealthState.DOWN


def does_flush(state: HealthState, *, flush_on_down: bool) -> bool:
    """Whether the flows of a backend in this state are cut."""
    match state:
        case HealthState.DISABLED:
            return True
        case HealthState.DOWN:
            return flush_on_down
        case _:
            return False

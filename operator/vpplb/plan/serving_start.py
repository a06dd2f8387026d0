"""How a VIP begins to serve, while not every server of it has a verdict.

Two rules, each bounded in time.

*What VPP has stays.* A frontend on which nothing was decided before may be about a VIP in service:
made by hand, or by us before statuses were lost. So what is decided is tentative until each
server has a verdict: an agent that finds the VIP serving leaves it as it is, but for what a
person took out (`plan.fitting`). When the time for first verdicts is over, those that have one
decide; while none of them is up, servers of which nothing is known go on as they are.

*Nobody takes it all.* Where no server has a weight, the first gets none before enough of its pool
is known, or a moment after somebody was up; one server would get all flows. A VIP in service
waits for nobody, and neither does one with a single backend.
"""

from dataclasses import dataclass, field, replace

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Vip
from vpplb.plan.pools import MemberWeight, PoolDecision

COMPANY = 1.0
"""Seconds that the first weight of a VIP waits for others once somebody is up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingVerdicts:
    """What is not known of a frontend on which nothing was decided before.

    `unheard` are its backends without any verdict, `missing` says that some do not exist (yet);
    within `patience` seconds all should be known.
    """

    unheard: frozenset[ObjectKey] = frozenset()
    missing: bool = False
    patience: float = 0.0

    def __bool__(self) -> bool:
        return self.missing or bool(self.unheard)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWaits:
    """Since when a frontend waits: for verdicts, and for company of who is up. None: not."""

    verdicts: float | None = None
    company: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingStart:
    """What is decided, with the rules applied.

    `undecided` are the backends whose servers VPP keeps as they are while it is `tentative`.
    `again` is when to look again though nothing has happened, None: no need.
    """

    decision: PoolDecision
    tentative: bool = False
    undecided: frozenset[ObjectKey] = frozenset()
    waits: StartWaits = field(default_factory=StartWaits)
    again: float | None = None


def start_serving(
    decision: PoolDecision,
    *,
    before: Vip | None,
    lack: MissingVerdicts,
    waits: StartWaits,
    now: float,
) -> ServingStart:
    """Apply the rules to a decision.

    `before` is what was decided last. `now` and `waits` are seconds of a clock that never goes
    back.
    """
    ends = []
    company = verdicts = None
    withheld = tentative = False
    if _takes_all(decision, before):
        company = now if waits.company is None else waits.company
        ends.append(company + COMPANY)
        withheld = now < ends[-1]
    over = False
    if (before is None or before.tentative) and (lack or withheld):
        verdicts = now if waits.verdicts is None else waits.verdicts
        ends.append(verdicts + lack.patience)
        over = now >= ends[-1]
        tentative = withheld or not over or not decision.active_pool
    return ServingStart(
        decision=_not_yet(decision) if withheld else decision,
        tentative=tentative,
        undecided=_keep_undecided(decision, before, lack, over=over) if tentative else frozenset(),
        waits=StartWaits(verdicts=verdicts, company=company),
        again=min((end for end in ends if end > now), default=None),
    )


def _takes_all(decision: PoolDecision, before: Vip | None) -> bool:
    """Whether the first that is up would get what others should have a share of.

    Others are those that may be up as well: of its pool, if they weigh as much, and of any pool
    that is preferred.
    """
    active = decision.active_pool
    if not active or (before is not None and any(one.weight for one in before.servers.values())):
        return False
    up = unheard = 0
    preferred = True
    for one in decision.members:
        preferred = preferred and one.member.pool != active
        if one.member.pool == active:
            up += one.effective
        if one.state is HealthState.UNKNOWN and not one.effective and one.member.weight:
            if preferred:
                return True
            unheard += one.member.weight * (one.member.pool == active)
    return unheard >= up


def _not_yet(decision: PoolDecision) -> PoolDecision:
    members = tuple(one._replace(effective=0) for one in decision.members)
    return replace(decision, active_pool="", members=members, state=HealthState.UNKNOWN)


def _keep_undecided(
    decision: PoolDecision, before: Vip | None, lack: MissingVerdicts, *, over: bool
) -> frozenset[ObjectKey]:
    """Return whom VPP keeps: all but those that a person took out; in the end nobody that is down.

    Backends that are unknown since a person enabled or resumed them have to prove themselves.
    """

    def kept(one: MemberWeight) -> bool:
        match one.acting:
            case HealthState.UP:
                return True
            case HealthState.DOWN:
                was = before.servers.get(one.member.address) if before is not None else None
                return not over and (was is None or was.undecided)
            case _:
                return one.member.backend in lack.unheard

    return frozenset(one.member.backend for one in decision.members if kept(one))

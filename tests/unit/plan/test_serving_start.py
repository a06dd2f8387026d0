from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from data.objects import address, backend, frontend, in_state, key, pool
from vpplb.model.decision_order import UNORDERED
from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.objects import Frontend
from vpplb.model.vip import AppServer, Vip
from vpplb.plan.desired import (
    PreviousDecision,
    choose_settings,
    content_of,
    desired_vip,
    remember_decision,
)
from vpplb.plan.pools import decide_weights
from vpplb.plan.resolve import resolve_group
from vpplb.plan.serving_start import (
    COMPANY,
    MissingVerdicts,
    ServingStart,
    StartWaits,
    start_serving,
)

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN
PAUSED, DISABLED = HealthState.PAUSED, HealthState.DISABLED
NAMES = "abcd"
BACKENDS = {b.key: b for b in (backend(n, f"10.0.0.{i}") for i, n in enumerate(NAMES, 1))}
PATIENCE = 5.0

ONE_POOL = frontend("f", pool("p", a=10, b=10, c=10))
SPARE = frontend("f", pool("p", a=10, b=10), pool("s", c=10, d=10))


@dataclass
class ServingLife:
    """A frontend through time; nothing was decided on it before."""

    one: Frontend
    previous: PreviousDecision = field(default_factory=PreviousDecision)
    waits: StartWaits = field(default_factory=StartWaits)

    def at(self, now: float, **states: HealthState) -> ServingStart:
        """Go on to this time with these states; those that are not named are unheard of."""
        resolved = resolve_group([self.one], BACKENDS.get, lambda _: None)[self.one.key]
        healths: Mapping[str, BackendHealth] = {n: in_state(s) for n, s in states.items()}
        of = {key(name): health for name, health in healths.items()}
        unheard = frozenset({m.backend for m in resolved.members} - of.keys())
        start = start_serving(
            decide_weights(resolved.members, of),
            before=self.previous.vip,
            lack=MissingVerdicts(
                unheard=unheard, missing=bool(resolved.unresolved), patience=PATIENCE
            )
            if self.previous.vip is None or self.previous.vip.tentative
            else MissingVerdicts(),
            waits=self.waits,
            now=now,
        )
        config = choose_settings(resolved, self.previous)
        content = content_of(config, desired_vip(config, start, self.previous, epoch=int(now)))
        self.previous = remember_decision(start, content, UNORDERED, self.previous)
        self.waits = start.waits
        return start

    @property
    def vip(self) -> Vip:
        assert self.previous.vip is not None
        return self.previous.vip

    @property
    def weights(self) -> str:
        """Return the weights, those that VPP keeps if it has any with a question mark."""
        return " ".join(
            f"{one.weight}{'?' if one.undecided else ''}" for one in self.vip.servers.values()
        )


def test_what_vpp_has_stays_until_each_server_has_a_verdict() -> None:
    life = ServingLife(ONE_POOL)
    life.at(0)
    assert (life.vip.tentative, life.weights) == (True, "0? 0? 0?")
    life.at(2, a=UP, b=DOWN)
    assert (life.vip.tentative, life.weights) == (True, "0? 0? 0?")
    assert life.at(2.5, a=UP, b=DOWN, c=UP).again is None
    assert (life.vip.tentative, life.weights) == (False, "10 0 10")


def test_who_is_down_when_it_is_decided_is_flushed_then_and_not_before() -> None:
    life = ServingLife(ONE_POOL)
    b = address("10.0.0.2")
    life.at(10)
    life.at(11, b=DOWN)
    assert life.vip.servers[b] == AppServer(weight=0, undecided=True)
    life.at(12, a=UP, b=DOWN, c=UP)
    assert life.vip.servers[b] == AppServer(weight=0, flush_epoch=12)
    life.at(13, a=UP, b=DOWN, c=UP)
    assert life.vip.servers[b].flush_epoch == 12


def test_whom_a_person_took_out_is_out_at_once() -> None:
    life = ServingLife(ONE_POOL)
    life.at(0, a=PAUSED, b=DISABLED)
    assert (life.vip.tentative, life.weights) == (True, "0 0 0?")


def test_the_wait_for_verdicts_ends_and_then_those_decide_that_have_one() -> None:
    life = ServingLife(ONE_POOL)
    assert life.at(100).again == 100 + PATIENCE
    life.at(100 + PATIENCE - 0.1, a=DOWN, b=UP)
    assert life.vip.tentative
    life.at(100 + PATIENCE + COMPANY, a=DOWN, b=UP)
    assert (life.vip.tentative, life.weights) == (False, "0 10 0")


def test_while_nobody_is_up_those_of_whom_nothing_is_known_go_on() -> None:
    life = ServingLife(ONE_POOL)
    life.at(0)
    life.at(PATIENCE, a=DOWN)
    assert (life.vip.tentative, life.weights) == (True, "0 0? 0?")
    assert life.vip.servers[address("10.0.0.1")].flush_epoch == 5
    assert life.at(99, a=DOWN).again is None  # nobody is woken for nothing
    life.at(100, a=DOWN, c=UP)  # and yet nobody gets all for a moment
    assert (life.vip.tentative, life.weights) == (True, "0 0? 0?")
    life.at(100 + COMPANY, a=DOWN, c=UP)
    assert (life.vip.tentative, life.weights) == (False, "0 0 10")


def test_the_next_operator_goes_on_with_what_is_tentative_and_asks_nobody_back_in() -> None:
    life = ServingLife(ONE_POOL)
    life.at(0)
    life.at(PATIENCE, a=DOWN)
    after = ServingLife(ONE_POOL, previous=life.previous)
    after.at(50, a=DOWN)
    assert after.vip == life.vip


def test_a_vip_whose_backends_do_not_exist_yet_is_tentative() -> None:
    life = ServingLife(frontend("f", pool("p", nobody=10)))
    life.at(0)
    assert life.vip.tentative
    life.one = frontend("f", pool("p", a=10, b=10))
    life.at(1)
    assert (life.vip.tentative, life.weights) == (True, "0? 0?")


def test_once_decided_a_vip_is_never_tentative_again() -> None:
    life = ServingLife(frontend("f", pool("p", a=10)))
    life.at(0, a=UP)
    life.one = frontend("f", pool("p", a=10, b=10))
    life.at(1, a=DOWN)
    assert (life.vip.tentative, life.weights) == (False, "0 0")


def test_the_first_weight_waits_until_more_are_up_than_unknown() -> None:
    life = ServingLife(ONE_POOL)
    shown = life.at(0, a=UP)
    assert (life.weights, shown.again) == ("0? 0? 0?", COMPANY)
    assert (shown.decision.state, shown.decision.active_pool) == (UNKNOWN, "")
    life.at(0.1, a=UP, b=UP)
    assert life.weights == "10? 10? 0?"


def test_the_first_weight_waits_no_longer_than_a_second_since_somebody_was_up() -> None:
    life = ServingLife(ONE_POOL)
    life.at(0)
    life.at(3, a=UP)
    life.at(3 + COMPANY - 0.01, a=UP)
    assert life.weights == "0? 0? 0?"
    life.at(3 + COMPANY, a=UP)
    assert life.weights == "10? 0? 0?"


@pytest.mark.parametrize("others", [DOWN, PAUSED, DISABLED])
def test_the_first_weight_does_not_wait_for_those_that_are_known(others: HealthState) -> None:
    life = ServingLife(ONE_POOL)
    life.at(0, a=UP, b=others, c=others)
    assert (life.vip.tentative, life.weights) == (False, "10 0 0")


def test_a_vip_with_one_backend_waits_for_nobody() -> None:
    life = ServingLife(frontend("f", pool("p", a=10)))
    life.at(0)
    life.at(0.1, a=UP)
    assert (life.vip.tentative, life.weights) == (False, "10")


def test_a_spare_pool_waits_for_a_preferred_one_that_is_unknown_but_not_for_long() -> None:
    life = ServingLife(SPARE)
    life.at(0, c=UP, d=UP)
    assert life.weights == "0? 0? 0? 0?"
    life.at(COMPANY, c=UP, d=UP)
    assert life.weights == "0? 0? 10? 10?"
    life.at(PATIENCE, c=UP, d=UP)
    assert (life.vip.tentative, life.weights) == (False, "0 0 10 10")


def test_a_failover_of_a_vip_in_service_waits_for_nobody() -> None:
    life = ServingLife(SPARE)
    life.at(0, a=UP, b=DOWN, c=UP, d=UP)
    life.at(10, a=DOWN, b=DOWN, c=UP)
    assert life.weights == "0 0 10 0"


def test_an_adopted_vip_stays_while_its_first_weight_waits() -> None:
    """Who was resumed just now is unknown, yet no reason to take the service down."""
    life = ServingLife(frontend("f", pool("p", a=10, b=10)))
    life.at(0)
    resumed = start_serving(
        decide_weights(
            resolve_group([life.one], BACKENDS.get, lambda _: None)[life.one.key].members,
            {key("a"): in_state(UP)},
        ),
        before=life.vip,
        lack=MissingVerdicts(patience=PATIENCE),
        waits=life.waits,
        now=1.0,
    )
    assert resumed.tentative
    assert resumed.undecided == {key("a")}

from dataclasses import replace

import pytest

from data.objects import address, backend, frontend, in_state, key, pool
from vpplb.model.decision_order import UNORDERED
from vpplb.model.health import HealthState
from vpplb.model.objects import Frontend
from vpplb.model.vip import AppServer, Encap, Vip
from vpplb.plan.desired import (
    DecisionContent,
    PreviousDecision,
    choose_settings,
    content_of,
    desired_vip,
    remember_decision,
)
from vpplb.plan.pools import decide_weights
from vpplb.plan.resolve import resolve_group
from vpplb.plan.resolved import ResolvedFrontend
from vpplb.plan.serving_start import ServingStart

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN
PAUSED, DISABLED = HealthState.PAUSED, HealthState.DISABLED
BACKENDS = {b.key: b for b in (backend("a", "10.0.0.1"), backend("b", "10.0.0.2"))}
A = address("10.0.0.1")


def resolved(one: Frontend) -> ResolvedFrontend:
    return resolve_group([one], BACKENDS.get, lambda _: None)[one.key]


class FrontendLife:
    """A frontend through successive states of its backends."""

    def __init__(self, one: Frontend) -> None:
        self.resolved = resolved(one)
        self.previous = PreviousDecision()
        self.time = 1000

    def to(self, *, held: str = "", **states: HealthState) -> Vip:
        """Go to these states; those that are `held` count as up while they are down."""
        self.time += 10
        health = {key(name): in_state(state) for name, state in states.items()}
        health |= {key(name): in_state(DOWN, held=True) for name in held}
        start = ServingStart(decision=decide_weights(self.resolved.members, health))
        config = choose_settings(self.resolved, self.previous)
        vip = desired_vip(config, start, self.previous, epoch=self.time)
        assert vip is not None
        content = content_of(config, vip)
        self.previous = remember_decision(start, content, UNORDERED, self.previous)
        return vip


def test_all_servers_of_all_pools_are_programmed_in_address_order() -> None:
    vip = FrontendLife(frontend("f", pool("p", b=10), pool("s", a=20))).to(a=UP, b=UP)
    assert dict(vip.servers) == {A: AppServer(weight=0), address("10.0.0.2"): AppServer(weight=10)}
    assert list(vip.servers) == [A, address("10.0.0.2")]


def test_a_server_that_goes_down_is_flushed_once() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10, b=10)))
    assert life.to(a=UP, b=UP).servers[A].flush_epoch == 0
    assert life.to(a=DOWN, b=UP).servers[A] == AppServer(weight=0, flush_epoch=1020)
    assert life.to(a=DOWN, b=DOWN).servers[A].flush_epoch == 1020
    assert life.to(a=UP, b=UP).servers[A] == AppServer(weight=10, flush_epoch=1020)
    assert life.to(a=DOWN, b=UP).servers[A].flush_epoch == 1050


def test_a_server_that_is_held_is_flushed_when_it_is_let_go_and_not_before() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10), pool("s", b=10)))
    life.to(a=UP, b=UP)
    vip = life.to(held="ab")
    assert [(one.weight, one.flush_epoch) for one in vip.servers.values()] == [(10, 0), (0, 0)]
    vip = life.to(a=DOWN, held="b")
    assert [(one.weight, one.flush_epoch) for one in vip.servers.values()] == [(0, 1030), (10, 0)]
    vip = life.to(a=DOWN, b=UP)
    assert [(one.weight, one.flush_epoch) for one in vip.servers.values()] == [(0, 1030), (10, 0)]


def test_a_standby_that_is_held_is_flushed_when_it_is_let_go_too() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10), pool("s", b=10)))
    life.to(a=UP, b=UP)
    assert life.to(a=UP, held="b").servers[address("10.0.0.2")].flush_epoch == 0
    assert life.to(a=UP, b=DOWN).servers[address("10.0.0.2")].flush_epoch == 1030


def test_flush_on_down_false_drains_but_disable_still_flushes() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10), flush_on_down=False))
    life.to(a=UP)
    assert life.to(a=DOWN).servers[A] == AppServer(weight=0)
    assert life.to(a=DISABLED).servers[A].flush_epoch == 1030


def test_disabling_flushes_also_when_the_weight_is_already_zero() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10)))
    life.to(a=UP)
    assert life.to(a=PAUSED).servers[A] == AppServer(weight=0, flush_epoch=0)
    assert life.to(a=DISABLED).servers[A] == AppServer(weight=0, flush_epoch=1030)


def test_a_pool_switch_drains_without_flush() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10), pool("s", b=10)))
    life.to(a=PAUSED, b=UP)
    vip = life.to(a=UP, b=UP)
    assert [one.flush_epoch for one in vip.servers.values()] == [0, 0]
    assert [one.weight for one in vip.servers.values()] == [10, 0]


def test_the_epoch_grows_even_when_the_clock_goes_back() -> None:
    life = FrontendLife(frontend("f", pool("p", a=10)))
    life.to(a=UP)
    life.to(a=DOWN)
    life.to(a=UP)
    life.time = 0
    assert life.to(a=DOWN).servers[A].flush_epoch == 1021


def test_a_withdrawn_frontend_has_no_vip() -> None:
    one, two = frontend("x", pool("p", a=1), age=2), frontend("y", pool("p", a=1), age=1)
    nothing = ServingStart(decision=decide_weights([], {}))
    loser = resolve_group([one, two], BACKENDS.get, lambda _: None)[two.key]
    assert (
        desired_vip(
            choose_settings(loser, PreviousDecision()), nothing, PreviousDecision(), epoch=1
        )
        is None
    )


def test_a_backend_in_two_pools_is_one_server_and_the_first_effective_weight_counts() -> None:
    vip = FrontendLife(frontend("f", pool("p", a=10), pool("s", a=90))).to(a=UP)
    assert dict(vip.servers) == {A: AppServer(weight=10)}


@pytest.mark.parametrize(("given", "length"), [(None, 1024), (256, 256)])
def test_table_length_is_chosen_where_it_is_not_given(given: int | None, length: int) -> None:
    vip = FrontendLife(frontend("f", pool("p", a=100, b=100), table_length=given)).to(a=UP, b=UP)
    assert vip.settings.table_length == length


def test_the_present_table_length_is_kept_whatever_becomes_of_the_weights() -> None:
    life = FrontendLife(frontend("f", pool("p", a=100, b=100)))
    now = life.to(a=UP, b=UP)
    short = replace(now, settings=replace(now.settings, table_length=64))
    life.previous = replace(life.previous, content=DecisionContent(vip=short))
    life.resolved = resolved(frontend("f", pool("p", a=100, b=37)))
    assert life.to(a=UP, b=UP).settings.table_length == 64
    assert "with a table of 64 buckets" in choose_settings(life.resolved, life.previous).flattened


def test_a_length_that_a_person_takes_back_stays() -> None:
    life = FrontendLife(frontend("f", pool("p", a=100, b=100), table_length=4096))
    life.to(a=UP, b=UP)
    life.resolved = resolved(frontend("f", pool("p", a=100, b=100)))
    assert life.to(a=UP, b=UP).settings.table_length == 4096


def test_the_weights_of_backends_of_one_address_add_up_to_what_vpp_takes() -> None:
    known = {b.key: b for b in (backend("a", "10.0.0.1"), backend("b", "10.0.0.1"))}

    def weight(**of: int) -> int:
        judged = resolve_group([frontend("f", pool("p", **of))], known.get, lambda _: None)
        config = choose_settings(judged[key("f")], PreviousDecision())
        up = {key("a"): in_state(UP), key("b"): in_state(UP)}
        start = ServingStart(decision=decide_weights(config.resolved.members, up))
        vip = desired_vip(config, start, PreviousDecision(), epoch=1)
        assert vip is not None
        return vip.servers[A].weight

    assert weight(a=30, b=50) == 80
    assert weight(a=30, b=90) == 100


def test_immutable_settings_come_from_the_frontend() -> None:
    one = frontend("f", pool("p", a=1), encap=Encap.NAT4, target_port=8080, src_ip_sticky=True)
    settings = FrontendLife(one).to(a=UP).settings
    assert (settings.encap, settings.target_port, settings.src_ip_sticky) == (
        Encap.NAT4,
        8080,
        True,
    )

import pytest

from data.objects import address, in_state, key
from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKey
from vpplb.plan.pools import decide_weights, does_flush
from vpplb.plan.resolved import ResolvedMember

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN
PAUSED, DISABLED = HealthState.PAUSED, HealthState.DISABLED


def member(pool: str, name: str, weight: int = 100) -> ResolvedMember:
    return ResolvedMember(
        pool=pool, backend=key(name), address=address(f"10.0.0.{ord(name)}"), weight=weight
    )


def states(**by_name: HealthState) -> dict[ObjectKey, BackendHealth]:
    return {key(name): in_state(state) for name, state in by_name.items()}


def held_down(*names: str) -> dict[ObjectKey, BackendHealth]:
    return {key(name): in_state(DOWN, held=True) for name in names}


@pytest.mark.parametrize(
    ("state", "held", "effective"),
    [
        (UP, False, 7),
        (UNKNOWN, True, 7),
        (UNKNOWN, False, 0),
        (PAUSED, False, 0),
        (DOWN, False, 0),
        (DOWN, True, 7),
        (DISABLED, False, 0),
    ],
)
def test_effective_weight_in_the_only_pool(state: HealthState, held: bool, effective: int) -> None:
    health = {key("a"): in_state(state, held=held)}
    assert decide_weights([member("p", "a", 7)], health).members[0].effective == effective


def test_up_in_another_pool_than_the_active_one_carries_nothing() -> None:
    decision = decide_weights([member("p", "a"), member("s", "b")], states(a=UP, b=UP))
    assert decision.active_pool == "p"
    assert [one.effective for one in decision.members] == [100, 0]


def test_a_pool_whose_weights_are_all_zero_does_not_win_over_a_standby() -> None:
    decision = decide_weights([member("p", "a", 0), member("s", "b")], states(a=UP, b=UP))
    assert decision.active_pool == "s"
    assert [one.effective for one in decision.members] == [0, 100]


def test_failover_to_the_next_pool_that_can_serve_and_back() -> None:
    members = [member("p", "a"), member("s", "b"), member("t", "c")]
    assert decide_weights(members, states(a=DOWN, b=PAUSED, c=UP)).active_pool == "t"
    assert decide_weights(members, states(a=UP, b=PAUSED, c=UP)).active_pool == "p"


def test_a_held_verdict_keeps_the_pool_active() -> None:
    health = {key("a"): in_state(UNKNOWN, held=True), key("b"): in_state(UP)}
    assert decide_weights([member("p", "a"), member("s", "b")], health).active_pool == "p"


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({"a": UP, "b": DOWN}, UP),
        ({"a": UNKNOWN, "b": UNKNOWN}, UNKNOWN),
        ({"a": UNKNOWN, "b": DOWN}, DOWN),
        ({"a": PAUSED, "b": DISABLED}, DOWN),
    ],
)
def test_state_of_the_frontend(found: dict[str, HealthState], state: HealthState) -> None:
    assert decide_weights([member("p", "a"), member("p", "b")], states(**found)).state is state


def test_a_frontend_without_members_is_unknown() -> None:
    assert decide_weights([], {}).state is UNKNOWN


def test_what_is_held_while_down_shows_as_down_and_acts_as_up() -> None:
    decision = decide_weights([member("p", "a"), member("s", "b")], held_down("a", "b"))
    assert (decision.active_pool, decision.state, decision.ready) == ("p", UP, (2, 2))
    assert [(one.state, one.acting) for one in decision.members] == [(DOWN, UP)] * 2


def test_ready_counts_a_backend_once_however_many_pools_it_is_in() -> None:
    members = [member("p", "a"), member("p", "b"), member("s", "a")]
    assert decide_weights(members, states(a=UP, b=DOWN)).ready == (1, 2)


@pytest.mark.parametrize(
    ("state", "flush_on_down", "expected"),
    [
        (UP, True, False),
        (UNKNOWN, True, False),
        (PAUSED, True, False),
        (DOWN, True, True),
        (DOWN, False, False),
        (DISABLED, True, True),
        (DISABLED, False, True),
    ],
)
def test_which_states_cut_flows(state: HealthState, flush_on_down: bool, expected: bool) -> None:
    assert does_flush(state, flush_on_down=flush_on_down) is expected

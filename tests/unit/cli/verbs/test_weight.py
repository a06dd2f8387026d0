"""`kubectl vpplb weight`: an edit that never hits another entry."""

import pytest

from data.cluster_objects import TWO, InPool, decided_frontend
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.kube.api_types import ApiError
from vpplb.model.names import ObjectKind

SPARE = InPool("spare", "c", "10.0.0.3", effective=0)


def cluster() -> FakeUserClient:
    return FakeUserClient((ObjectKind.FRONTEND, decided_frontend(members=[*TWO, SPARE])))


def weights(console: FakeUserClient) -> dict[str, int]:
    pools = console.of(ObjectKind.FRONTEND, "web")["spec"]["pools"]
    return {one["name"]: one["weight"] for pool in pools for one in pool["backends"]}


def test_it_sets_the_weight_of_that_backend_in_that_pool_and_says_so() -> None:
    console = cluster()
    result = call(console, "weight", "web", "main", "b", "5")
    assert result.output == "frontend web, pool main: b weight 100 → 5\n"
    assert weights(console) == {"a": 100, "b": 5, "c": 100}
    assert call(console, "weight", "web", "main", "b", "5").output == (
        "frontend web, pool main: b already has weight 5\n"
    )
    assert len(console.edits) == 1


def test_pools_that_are_edited_meanwhile_are_read_anew() -> None:
    console = cluster()

    def reorder() -> None:
        console.before_edit = lambda: None
        console.of(ObjectKind.FRONTEND, "web")["spec"]["pools"][0]["backends"].reverse()

    console.before_edit = reorder
    assert call(console, "weight", "web", "main", "b", "5").exit_code == 0
    assert weights(console) == {"b": 5, "a": 100, "c": 100}
    assert len(console.edits) == 2


def test_pools_that_are_edited_all_the_time_are_left_alone() -> None:
    console = cluster()
    console.before_edit = console.of(ObjectKind.FRONTEND, "web")["spec"]["pools"].reverse
    result = call(console, "weight", "web", "main", "b", "5")
    assert (result.exit_code, weights(console)) == (1, {"a": 100, "b": 100, "c": 100})
    assert "being edited by somebody else; nothing was changed" in result.output


def test_a_refusal_that_no_edit_explains_is_told() -> None:
    console = cluster()

    def refuse() -> None:
        raise ApiError(422, "Invalid", "no, never")

    console.before_edit = refuse
    result = call(console, "weight", "web", "main", "b", "5")
    assert (result.exit_code, result.output) == (1, "Error: no, never\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wob", "main", "b"), "there is no Frontend wob in namespace default; there is web"),
        (("web", "mian", "b"),
         "frontend web has no pool mian; did you mean main? there are main, spare"),
        (("web", "spare", "b"), "pool spare of frontend web has no b; there is c"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_those_that_there_are(
    arguments: tuple[str, ...], said: str
) -> None:
    result = call(cluster(), "weight", *arguments, "5")
    assert (result.exit_code, result.output) == (1, f"Error: {said}\n")


@pytest.mark.parametrize("number", ["101", "-1", "half"])
def test_a_weight_is_a_number_from_0_to_100(number: str) -> None:
    assert call(cluster(), "weight", "web", "main", "b", "--", number).exit_code == 2


def test_wait_says_how_long_it_took_and_what_the_backend_gets() -> None:
    console = cluster()

    def operate() -> None:
        members = [TWO[0], TWO[1]._replace(weight=50, effective=50), SPARE]
        decided = decided_frontend(members=members, status={"observedGeneration": 2})
        console.of(ObjectKind.FRONTEND, "web")["status"] = decided["status"]

    console.after_edit = operate
    result = call(console, "weight", "web", "main", "b", "50", "--wait")
    assert result.output.splitlines()[1] == (
        "frontend web programmed after 0.0 s: b gets 34.2 % of new flows"
    )

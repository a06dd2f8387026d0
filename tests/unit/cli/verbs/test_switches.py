"""`pause`, `resume`, `disable` and `enable`."""

from typing import Any

import pytest

from data.cluster_objects import InPool, decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.model.names import ObjectKind


@pytest.mark.parametrize(
    ("verb", "before", "patch", "says"),
    [
        ("pause", {}, {"paused": True}, "paused"),
        ("resume", {"paused": True}, {"paused": False}, "resumed"),
        ("disable", {}, {"enabled": False}, "disabled"),
        ("enable", {"enabled": False}, {"enabled": True}, "enabled"),
    ],
)
def test_each_verb_sets_its_field_and_says_so_once(
    verb: str, before: dict[str, Any], patch: dict[str, bool], says: str
) -> None:
    console = FakeUserClient((ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", **before)))
    assert call(console, verb, "a").output == f"backend a {says}\n"
    assert [body for _, body in console.edits] == [{"spec": patch}]
    assert call(console, verb, "a").output == f"backend a already {says}\n"
    assert len(console.edits) == 1


def test_several_are_switched_and_a_name_given_twice_is_one() -> None:
    console = FakeUserClient(
        *(
            (ObjectKind.BACKEND, decided_backend(name, "10.0.0.1", namespace="shop"))
            for name in "ab"
        )
    )
    result = call(console, "pause", "a", "b", "a", "-n", "shop")
    assert result.output == "backend a paused\nbackend b paused\n"


def test_a_mistyped_name_leaves_nothing_half_done() -> None:
    console = FakeUserClient((ObjectKind.BACKEND, decided_backend("nginx0", "10.0.0.1")))
    result = call(console, "disable", "nginx0", "nginx")
    assert result.exit_code == 1
    assert result.output == (
        "Error: there is no Backend nginx in namespace default; there is nginx0\n"
    )
    assert console.edits == []


def test_resuming_what_is_disabled_is_said_to_have_no_effect_yet() -> None:
    console = FakeUserClient(
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", paused=True, enabled=False))
    )
    assert "no effect until it is enabled" in call(console, "resume", "a").output


@pytest.mark.parametrize(
    ("verb", "done", "spec", "other"),
    [
        ("enable", "enabled", {"paused": True}, "paused: `resume` has it probed again"),
        ("resume", "resumed", {"enabled": False}, "disabled: `enable` lets it serve again"),
    ],
)
def test_what_stays_out_by_the_other_switch_is_said_and_no_success_to_wait_for(
    verb: str, done: str, spec: dict[str, Any], other: str
) -> None:
    out = "paused" if "paused" in spec else "disabled"
    raw = decided_backend("a", "10.0.0.1", out, **spec)
    console = FakeUserClient((ObjectKind.BACKEND, raw))
    result = call(console, verb, "a")
    assert (result.exit_code, result.output) == (0, f"backend a already {done}, but {other}\n")
    waited = call(console, verb, "a", "--wait")
    assert waited.exit_code == 1
    assert f"Error: out all the same: a; {other}\n" in waited.output


def test_enabling_what_is_also_paused_says_what_lets_it_serve() -> None:
    raw = decided_backend("a", "10.0.0.1", "disabled", enabled=False, paused=True)
    said = call(FakeUserClient((ObjectKind.BACKEND, raw)), "enable", "a").output
    assert said == "backend a enabled, but paused: `resume` has it probed again\n"


def test_a_verb_without_a_backend_is_wrong_usage() -> None:
    assert call(FakeUserClient(), "pause").exit_code == 2


def test_wait_returns_when_backend_and_frontends_show_it() -> None:
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend()),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1")),
    )

    def operate() -> None:
        console.of(ObjectKind.BACKEND, "a")["status"] |= {
            "state": "paused", "code": "", "observedGeneration": 2,
        }  # fmt: skip
        members = [InPool("main", "a", "10.0.0.1", "paused"), InPool("main", "b", "10.0.0.2")]
        console.of(ObjectKind.FRONTEND, "web")["status"] = decided_frontend(members=members)[
            "status"
        ]

    console.after_edit = operate
    assert call(console, "pause", "a", "--wait").output == (
        "backend a paused\nbackend a is paused on all nodes after 0.0 s\n"
    )


def test_wait_gives_up_in_time_and_says_what_is_missing() -> None:
    console = FakeUserClient((ObjectKind.BACKEND, decided_backend("a", "10.0.0.1")))
    result = call(console, "pause", "a", "--wait", "--timeout", "1ms")
    assert result.exit_code == 1
    assert result.output == (
        "backend a paused\n"
        "Error: not within 0.001 s: the operator has not seen backend a at generation 2\n"
    )

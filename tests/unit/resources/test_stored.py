"""What is read of objects that another version may have stored."""

from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest

from data.manifests import accepted, backend, frontend, health_check, manifest, refused
from data.objects import key
from vpplb.resources.allowances import EVERYTHING
from vpplb.resources.base import StatusModel
from vpplb.resources.fields import Count
from vpplb.resources.parse import PARSERS
from vpplb.resources.raw_fields import read_selector
from vpplb.resources.stored import (
    is_check_understood,
    read_backend,
    read_dataplane,
    read_frontend,
    read_health_check,
    read_status,
    stand_in_for_backend,
    stand_in_for_frontend,
)

READERS: dict[str, Any] = {
    "Frontend": partial(read_frontend, allowed=EVERYTHING),
    "Backend": partial(read_backend, allowed=EVERYTHING),
    "HealthCheck": partial(read_health_check, allowed=EVERYTHING),
    "Dataplane": read_dataplane,
}


@pytest.mark.parametrize("case", accepted(), ids=str)
def test_what_a_file_may_hold_is_read_alike(case: Any) -> None:
    kind = str(case.object["kind"])
    read = READERS[kind](case.object)
    assert (read.value, read.problems) == (PARSERS[kind](case.object, EVERYTHING), ())


@pytest.mark.parametrize("case", refused(), ids=str)
def test_what_a_file_may_not_hold_is_a_problem_unless_it_is_only_unknown(case: Any) -> None:
    read = READERS.get(str(case.object.get("kind")))
    if read is None or "metadata" in case.field:
        return
    found = read(case.object)
    said = [*found.problems, *(found.value.ignored if found.value else ())]
    assert said or case.field in ("apiVersion", "kind") or "." not in case.field


def test_an_unknown_field_is_passed_over_wherever_it_is() -> None:
    pools = [{"name": "main", "drain": 1, "backends": [{"name": "a", "zone": "x", "weight": 7}]}]
    read = read_frontend(frontend(pools=pools, announce={"minReady": 1}))
    assert read.value is not None
    assert read.value.pools[0].members == ((key("a"), 7),)
    assert sorted(problem.field for problem in read.value.ignored) == [
        "spec.announce",
        "spec.pools[0].backends[0].zone",
        "spec.pools[0].drain",
    ]


def test_what_is_null_is_absent() -> None:
    read = read_health_check(health_check(type="TCP", port=80, http=None, tls=None, jitter=None))
    assert read == read_health_check(health_check(type="TCP", port=80))


@pytest.mark.parametrize("spec", [{"port": 80}, {"port": 0}, {"port": 80, "jitter": 1}], ids=str)
def test_whether_a_check_is_understood_is_told_without_making_it(spec: dict[str, Any]) -> None:
    raw = health_check(type="TCP", **spec)
    assert (
        is_check_understood(raw) is (read_health_check(raw).value is not None) is bool(spec["port"])
    )


def test_an_unknown_value_of_a_known_field_is_not_guessed_at() -> None:
    read = read_health_check(health_check(type="GRPC", port=80))
    assert read.value is None
    assert [problem.field for problem in read.problems] == ["spec.type"]


def test_a_dataplane_is_read_field_by_field() -> None:
    odd = {"paused": False, "ipv4SourceAddress": "192.0.2.7", "flowTimeout": 40, "roads": []}
    read = read_dataplane(manifest("Dataplane", "n1", odd))
    assert read.value is not None
    assert (read.value.spec.paused, str(read.value.spec.ipv4_source_address)) == (
        False,
        "192.0.2.7",
    )
    assert [problem.field for problem in read.problems] == ["spec.flowTimeout"]


@pytest.mark.parametrize("spec", [None, {}, {"paused": None}])
def test_a_dataplane_without_a_word_on_it_is_not_paused(spec: object) -> None:
    read = read_dataplane(manifest("Dataplane", "n1", spec))
    assert read.value is not None
    assert not read.value.spec.paused


@pytest.mark.parametrize("paused", ["yes", 1, {}, {"until": "noon"}])
def test_a_pause_that_is_not_understood_keeps_the_hands_off(paused: object) -> None:
    read = read_dataplane(manifest("Dataplane", "n1", {"paused": paused}))
    assert read.value is not None
    assert read.value.spec.paused
    assert read.problems


@pytest.mark.parametrize(
    ("selector", "understood"),
    [
        ({}, {}),
        (None, {}),
        ({"zone": "a"}, {"zone": "a"}),
        ({"zone": ["a"]}, None),
        ([{"key": "zone"}], None),
    ],
)
def test_a_selector(selector: object, understood: object) -> None:
    raw = manifest("Frontend", "web", {"nodeSelector": selector})
    assert read_selector(raw) == understood


def test_a_status_is_read_field_by_field() -> None:
    class Status(StatusModel):
        total: Count = 0
        name: str = ""

    assert read_status({"status": {"total": "x", "name": "n", "new": 1}}, Status).name == "n"
    assert read_status({"status": "text"}, Status) == Status()


def test_a_backend_is_stood_in_for_at_the_address_that_is_in_force() -> None:
    raw = backend(address="fe80::1%eth0", healthCheckRef={"name": "check"})
    assert stand_in_for_backend(raw) is None
    found = stand_in_for_backend(raw, None, ip_address("10.0.0.1"))
    assert found is not None
    assert (found.address, found.health_check) == (ip_address("10.0.0.1"), key("check"))


def test_a_backend_whose_check_is_not_understood_is_not_assumed_to_be_up() -> None:
    found = stand_in_for_backend(backend(healthCheckRef=["check"]))
    assert found is not None
    assert found.health_check is not None


def test_a_frontend_of_which_nothing_was_decided_has_no_stand_in() -> None:
    assert stand_in_for_frontend(frontend(encap="VXLAN")) is None

"""What people are told where nobody probes."""

from datetime import UTC, datetime, timedelta

from data.cluster_objects import decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from in_memory.plugin import call, told
from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.fields import format_time

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def election(age: timedelta) -> tuple[ObjectKind, JsonObject]:
    """Return the lease of an operator that renewed it that long before `console`'s clock."""
    spec = {
        "holderIdentity": "op_1",
        "leaseDurationSeconds": 15,
        "renewTime": format_time(AT - age),
    }
    metadata = {"name": "vpplb-operator", "namespace": "kube-system"}
    return ObjectKind.LEASE, {"metadata": metadata, "spec": spec}


def console(age: timedelta) -> FakeUserClient:
    made = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend()),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1")),
        election(age),
    )
    made.clock = AT
    return made


FRESH, STALE = timedelta(seconds=3), timedelta(minutes=5)
SAID = "nobody has probed since: op_1 does not renew its lease"


def test_a_status_that_nobody_keeps_is_said_to_be_old_and_its_state_unknown() -> None:
    assert told(console(FRESH), "status")[1][2] == "up"
    row = told(console(STALE), "status")[1]
    assert row[2] == "unknown"
    assert row[-1] == f"Stale: up as of 2026-01-01T11:55:00Z, {SAID}"
    assert told(console(STALE), "status", "--problems")[1] == row
    page = call(console(STALE), "status", "web").stdout
    assert "\nunknown, pool main serves" in page
    assert SAID in page


def test_a_backend_that_nobody_probes_is_unknown() -> None:
    assert told(console(FRESH), "backends")[1][2] == "up"
    row = told(console(STALE), "backends")[1]
    assert row[2] == "unknown"
    assert SAID in row[-1]


def test_whoever_waits_is_told_at_once_that_nobody_acts_on_it() -> None:
    result = call(console(STALE), "pause", "a", "--wait", "--timeout", "300ms")
    assert result.exit_code == 1
    assert result.stderr.count(SAID) == 2


def test_where_the_lease_may_not_be_read_that_is_said_and_statuses_stand() -> None:
    client = console(STALE)
    client.forbidden = {(ObjectKind.LEASE, "")}
    result = call(client, "status")
    assert "who leads is not known" in result.stderr
    assert "Stale" not in result.stdout


def test_an_election_of_another_name_counts_and_leases_of_others_do_not() -> None:
    spec = {"holderIdentity": "op_2", "leaseDurationSeconds": 15, "renewTime": format_time(AT)}
    for written, state in ((None, "unknown"), ({"vpplb.dev/operator-01": "{}"}, "up")):
        metadata = {"name": "another", "namespace": "kube-system", "annotations": written}
        made = console(STALE)
        made.objects[ObjectKind.LEASE, ObjectKey("kube-system", "another")] = {
            "metadata": metadata,
            "spec": spec,
        }
        assert told(made, "status")[1][2] == state

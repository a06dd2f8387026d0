"""Whether anybody probes for a namespace, as the Lease of the election tells."""

from datetime import timedelta

import pytest

from data.objects import NOON
from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.probing_silence import find_silence
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.resources.fields import format_time


def lease(*records: JsonObject) -> JsonObject:
    """Return a lease with these records: an op_1 that renewed at noon, but for what they say."""
    whole: JsonObject = {"metadata": {"annotations": {}}, "spec": {}}
    for record in records:
        scope = ServedScope.of_list(record.pop("namespaces", ()))
        spec = {
            "holderIdentity": "op_1",
            "leaseDurationSeconds": 15,
            "renewTime": format_time(NOON),
            **record,
        }
        made = scope.build_patch(spec, None, ())
        whole["metadata"]["annotations"] |= made["metadata"]["annotations"]
        whole["spec"] |= made["spec"]
    return whole


def said(leases: list[JsonObject], namespace: str, after: float) -> str:
    silence = find_silence(leases, namespace, NOON + timedelta(seconds=after))
    return str(silence or "")


RESIGNED = {"holderIdentity": None, "leaseDurationSeconds": 1}


@pytest.mark.parametrize(
    ("record", "after", "expected"),
    [
        ({}, 29, ""),
        (
            {},
            31,
            "as of 2026-01-01T12:00:00Z, nobody has probed since: op_1 does not renew its lease",
        ),
        (RESIGNED, 14, ""),
        (
            RESIGNED,
            16,
            "as of 2026-01-01T12:00:00Z, nobody has probed since: the last operator has given up",
        ),
        ({"renewTime": "nonsense"}, 3600, ""),
    ],
)
def test_a_lease_that_is_not_renewed_tells_since_when_nobody_has_probed(
    record: JsonObject, after: float, expected: str
) -> None:
    assert said([lease(dict(record))], "shop", after) == expected


def test_who_serves_other_namespaces_does_not_probe_here() -> None:
    only = [lease({"namespaces": ["core"]})]
    assert said(only, "core", 1) == said(only, "", 1) == ""
    assert said(only, "shop", 1) == "nobody probes: no operator serves namespace shop"


def test_one_that_lives_is_enough_and_of_several_that_are_gone_the_last_counts() -> None:
    gone = {"renewTime": format_time(NOON - timedelta(hours=1))}
    assert said([lease(dict(gone), {"namespaces": ["shop"]})], "shop", 1) == ""
    assert said([lease(dict(gone)), lease({})], "shop", 1) == ""
    assert said([lease(dict(gone), {"namespaces": ["shop"]})], "shop", 60).startswith(
        "as of 2026-01-01T12:00"
    )


def test_where_there_was_never_an_operator_nothing_is_known() -> None:
    assert said([], "shop", 3600) == ""
    unreadable = lease({})
    unreadable["metadata"]["annotations"]["vpplb.dev/scope-0"] = "nonsense"
    assert said([unreadable], "shop", 3600) == ""

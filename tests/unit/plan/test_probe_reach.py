"""Where probes may go: the most specific prefix decides."""

from ipaddress import ip_address, ip_network

import pytest

from data.objects import backend
from vpplb.plan.probe_reach import ANYWHERE, ProbeReach, unprobed_by_reach


def reach(allow: str = "", deny: str = "") -> ProbeReach:
    """Build one from prefixes with spaces between them."""
    allowed, denied = (tuple(map(ip_network, text.split())) for text in (allow, deny))
    return ProbeReach(allow=allowed, deny=denied)


@pytest.mark.parametrize(
    ("allow", "deny", "may", "may_not"),
    [
        pytest.param("", "", "10.0.0.1 2001:db8::1", "", id="nothing said"),
        pytest.param("", "10.0.0.0/8", "11.0.0.1 2001:db8::1", "10.0.0.1", id="some denied"),
        pytest.param(
            "10.0.0.0/8", "", "10.0.0.1", "11.0.0.1 2001:db8::1", id="some allowed, no others"
        ),
        pytest.param(
            "10.0.0.0/8", "10.9.0.0/16", "10.8.0.1", "10.9.0.1", id="a part of them denied"
        ),
        pytest.param(
            "0.0.0.0/0 ::/0 10.9.0.0/24",
            "10.9.0.0/16",
            "10.9.0.1 2001:db8::1",
            "10.9.1.1",
            id="a part of the denied allowed",
        ),
        pytest.param("10.9.0.0/16", "10.9.0.0/16", "", "10.9.0.1", id="both denies"),
        pytest.param("::/0", "0.0.0.0/0", "2001:db8::1", "10.0.0.1", id="one family alone"),
        pytest.param("10.1.2.3/32", "", "10.1.2.3", "10.1.2.4", id="one host"),
    ],
)
def test_the_most_specific_prefix_decides(allow: str, deny: str, may: str, may_not: str) -> None:
    rule = reach(allow, deny)
    assert [one for one in may.split() if rule.refuse_address(ip_address(one))] == []
    assert [one for one in may_not.split() if not rule.refuse_address(ip_address(one))] == []


def test_an_ipv4_address_in_the_clothes_of_nat64_is_denied_as_itself() -> None:
    rule = reach(deny="169.254.0.0/16")
    assert rule.refuse_address(ip_address("64:ff9b::169.254.169.254"))
    assert not rule.refuse_address(ip_address("64:ff9b::192.0.2.1"))
    assert not rule.refuse_address(ip_address("64:ff9b:1::a9fe:a9fe"))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (reach(deny="10.0.0.0/8 10.1.0.0/16"), "10.1.2.3 is in 10.1.0.0/16, where probes may not"),
        (reach(allow="192.0.2.0/24"), "10.1.2.3 is in none of the prefixes to which probes may"),
    ],
)
def test_what_is_said_names_the_address_the_prefix_and_the_flags(
    rule: ProbeReach, says: str
) -> None:
    problem = unprobed_by_reach(backend("a", "10.1.2.3"), rule)
    assert problem is not None
    assert problem.message.startswith(says)
    assert "--probe-deny" in problem.message
    assert (problem.reason, problem.field) == ("ProbeDenied", "spec.address")


def test_a_backend_that_is_not_checked_or_checked_where_that_is_allowed_has_no_problem() -> None:
    rule = reach(deny="10.0.0.0/8")
    assert unprobed_by_reach(backend("a", "10.1.2.3", None), rule) is None
    assert unprobed_by_reach(backend("a", "11.1.2.3"), rule) is None
    assert unprobed_by_reach(backend("a", "10.1.2.3"), ANYWHERE) is None


@pytest.mark.parametrize(
    ("allow", "deny", "lacking", "remedy"),
    [
        ("0.0.0.0/0 168.63.129.16/32", "", "no IPv6 address", "--probe-allow ::/0 allows all"),
        ("fd00::/8", "10.0.0.0/8", "no IPv4 address", "--probe-allow 0.0.0.0/0 allows all"),
    ],
)
def test_a_kind_of_address_that_was_forgotten_is_named_with_what_allows_it(
    allow: str, deny: str, lacking: str, remedy: str
) -> None:
    said = reach(allow, deny).describe_gap()
    assert lacking in said
    assert remedy in said


@pytest.mark.parametrize(
    ("allow", "deny"),
    [
        pytest.param("", "", id="nothing said"),
        pytest.param("", "10.0.0.0/8", id="denied alone"),
        pytest.param("10.0.0.0/8 fd00::/8", "", id="both kinds"),
        pytest.param("10.0.0.0/8", "::/0", id="denied by its name"),
    ],
)
def test_no_kind_of_address_is_named_that_is_probed_or_is_meant_not_to_be(
    allow: str, deny: str
) -> None:
    assert reach(allow, deny).describe_gap() == ""

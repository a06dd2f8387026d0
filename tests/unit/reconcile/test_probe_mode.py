from datetime import timedelta
from ipaddress import ip_address

import pytest

from data.objects import backend, health_check, key
from vpplb.health.lifecycle import Assumed, Disabled, Idle, Mode, Paused, Probed
from vpplb.model.check import CheckSpec
from vpplb.model.objects import HealthCheck
from vpplb.reconcile.probe_mode import mode_of

CHECK = HealthCheck(
    key=key("check"),
    probe=health_check().probe,
    cadence=health_check(interval=timedelta(seconds=9)).cadence,
    source_ipv4=ip_address("192.0.2.4"),
    source_ipv6=ip_address("2001:db8::6"),
)


def mode(at: str = "10.0.0.1", check: str | None = "check", **fields: bool) -> Mode:
    referenced = fields.pop("referenced", True)
    one = backend("a", at, check, **fields)
    return mode_of(one, {CHECK.key: CHECK}, {}, referenced=referenced)


@pytest.mark.parametrize(
    ("at", "source"), [("10.0.0.1", "192.0.2.4"), ("2001:db8::1", "2001:db8::6")]
)
def test_it_is_probed_from_the_source_of_its_family(at: str, source: str) -> None:
    spec = CheckSpec(
        address=ip_address(at),
        probe=CHECK.probe,
        cadence=CHECK.cadence,
        source=ip_address(source),
    )
    assert mode(at) == Probed(spec)


def test_disabled_wins_over_paused_and_both_over_everything_else() -> None:
    assert mode(enabled=False, paused=True, referenced=False) == Disabled()
    assert mode(check=None, paused=True, referenced=False) == Paused()


def test_without_a_reference_it_is_idle_and_without_a_check_taken_for_up() -> None:
    assert mode(check=None, referenced=False) == Idle()
    assert mode(check=None) == Assumed()


def test_a_check_that_is_not_there_is_lost() -> None:
    assert mode(check="nothing") == Idle(lost_check=True)

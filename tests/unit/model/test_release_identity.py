"""What tells whose it is, and whether that may be ours."""

import pytest

from vpplb.model.release_identity import ReleaseIdentity


@pytest.mark.parametrize(
    ("own", "told", "may_be"),
    [
        (ReleaseIdentity("lb", "lb/first"), "lb/first", True),
        (ReleaseIdentity("lb", "lb/first"), "lb/second", False),
        (ReleaseIdentity("lb", "lb/first"), "lb", True),  # of a program without a name
        (ReleaseIdentity("lb", "lb/first"), "", True),  # of an older program
        (ReleaseIdentity("lb", "lb/first"), "edge", False),
        (ReleaseIdentity("lb"), "lb", True),
        (ReleaseIdentity("lb"), "lb/first", False),
    ],
)
def test_what_is_told_is_ours_by_name_by_namespace_or_when_it_is_nothing(
    own: ReleaseIdentity, told: str, may_be: bool
) -> None:
    assert own.may_be(told) is may_be


def test_a_name_that_is_the_namespace_is_none_of_its_own() -> None:
    assert ReleaseIdentity("lb", "lb/first").is_named
    assert not ReleaseIdentity("lb", "lb").is_named
    assert not ReleaseIdentity("lb").is_named

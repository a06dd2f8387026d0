"""What a header says of packed answers (RFC 9110, 12.5.3)."""

import pytest

from vpplb.telemetry.shared_answers import accepts_gzip


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, identity", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0, *", False),
    ],
)
def test_gzip_is_for_whoever_takes_it_and_what_names_it_goes_first(
    accepts: str, packed: bool
) -> None:
    assert accepts_gzip(accepts) is packed

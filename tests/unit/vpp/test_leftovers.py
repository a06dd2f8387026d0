import logging

import pytest

from vpplb.vpp.leftovers import ALARMING, Leftovers


def test_more_of_them_are_said_once_and_many_are_a_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[int] = []
    leftovers = Leftovers(told.append)
    for count in (0, 1, 1, 0, ALARMING):
        leftovers.counted(count)
    assert told == [0, 1, 1, 0, ALARMING]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert leftovers.trouble == (
        "VPP has 8 more connections of vpplb than this one: what agents left behind that were "
        "killed, or a second agent. At 16 that were left behind it stops forwarding; restart it "
        "in time"
    )
    leftovers.counted(ALARMING - 1)
    assert leftovers.trouble == ""

import logging

import pytest

from vpplb.vpp.access import ALARMING, StaleClients


def test_more_of_them_are_said_once_and_many_are_a_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[int] = []
    leftovers = StaleClients(told.append)
    for count in (0, 1, 1, 0, ALARMING):
        leftovers.on_count(count)
    assert told == [0, 1, 1, 0, ALARMING]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert leftovers.alarm_text == (
        "VPP has 8 more connections of vpplb than this one: what agents left behind that were "
        "killed, or a second agent. At 16 that were left behind it stops forwarding; restart it "
        "in time"
    )
    leftovers.on_count(ALARMING - 1)
    assert leftovers.alarm_text == ""

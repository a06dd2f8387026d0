import errno
from collections.abc import Iterable

import pytest

from vpplb.model.check import HttpProbe
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.monitor.seen_vip import (
    LAST_SECONDS,
    MOST_SERVERS,
    OTHERS,
    FailureKind,
    SeenVip,
    name_failure,
)
from vpplb.probers.conversation import ProbeLayer
from vpplb.probers.errors import NO_SOURCE, describe_errno
from vpplb.probers.http import HttpCheck, HttpConversation
from vpplb.resources.addresses import read_address


def answered(*pieces: bytes) -> ProbeResult:
    """Say what the prober makes of an answer in these pieces; an empty one is the end."""
    conversation = HttpConversation(HttpCheck(HttpProbe(port=80), read_address("192.0.2.1")))
    conversation.on_connected()
    steps = [conversation.on_data(piece) for piece in pieces]
    assert isinstance(steps[-1], ProbeResult)
    return steps[-1]


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (ProbeLayer.CONNECT.timeout, FailureKind.TIMEOUT),
        (ProbeLayer.TLS.timeout, FailureKind.TIMEOUT),
        (ProbeLayer.ANSWER.timeout, FailureKind.TIMEOUT),
        (ProbeResult(code=ProbeCode.L4CON, detail=describe_errno(errno.ECONNREFUSED)), "refused"),
        (ProbeResult(code=ProbeCode.L7RSP, detail=describe_errno(errno.ECONNRESET)), "reset"),
        (ProbeResult(code=ProbeCode.L4CON, detail=NO_SOURCE, unanswered=True), "unreachable"),
        (
            ProbeResult(
                code=ProbeCode.L4CON, detail=describe_errno(errno.EHOSTUNREACH), unanswered=True
            ),
            "unreachable",
        ),
        (ProbeResult(code=ProbeCode.L6RSP, detail="certificate has expired"), "tls"),
        (answered(b"HTTP/1.1 503 Away\r\n\r\n"), "unexpected"),
        (answered(b"SSH-2.0\r\n"), "unexpected"),
        (answered(b""), "reset"),
        (answered(b"HTTP/1.1 200 O", b""), "reset"),
    ],
)
def test_a_failure_has_the_name_that_a_customer_would_give_it(
    result: ProbeResult, kind: str
) -> None:
    assert name_failure(result) == kind


def record_of(latencies: Iterable[float]) -> SeenVip:
    """Answer one probe after the other, one in flight, at an interval of 100 ms."""
    record, now = SeenVip(), 0.0
    for latency in latencies:
        started, now = now, now + latency
        turn = started + 0.1
        while turn < now:
            record.note_skipped(turn)
            turn += 0.1
        record.note_pass(started, now, "")
        now = max(now, turn)
    return record


def test_a_server_that_freezes_for_half_of_the_time_is_slow_for_half_of_the_customers() -> None:
    """Without the skipped turns 49 of 50 probes took a millisecond, and the p95 would say so."""
    record = record_of([*[0.001] * 25, 4.95, *[0.001] * 25])
    assert (record.whole.probes, record.whole.skipped) == (51, 49)
    p50, p75, p95 = record.whole.latencies.find_quantiles((0.5, 0.75, 0.95))
    assert p50 == pytest.approx(0.001, rel=0.02)
    assert p75 == pytest.approx(2.5, abs=0.2)
    assert p95 == pytest.approx(4.5, abs=0.2)


def test_a_server_that_is_always_slow_has_its_own_time_and_no_growing_one() -> None:
    """What is skipped never waits longer than the probe that was in its way."""
    record = record_of([0.25] * 200)
    assert record.whole.latencies.highest == pytest.approx(0.25)


def test_turns_skipped_before_a_failure_have_no_latency_for_nobody_knows_it() -> None:
    record = SeenVip()
    record.note_skipped(0.1)
    record.note_failure(0.0, 1.0, ProbeLayer.CONNECT.timeout)
    record.note_pass(1.1, 1.101, "")
    assert record.whole.latencies.count == 1
    assert record.whole.latencies.highest == pytest.approx(0.001)


def test_failures_have_no_part_in_the_times() -> None:
    record = SeenVip()
    record.note_failure(0.0, 0.0001, ProbeResult(code=ProbeCode.L7STS, detail="503"))
    assert record.whole.latencies.find_quantiles((0.5,)) == [None]


def test_servers_are_counted_by_second_and_as_a_whole() -> None:
    record = SeenVip()
    for number in range(30):
        record.note_pass(number * 0.1, number * 0.1 + 0.001, "a" if number % 3 else "b")
    assert record.whole.servers == {"a": 20, "b": 10}
    assert [each.servers["b"] for each in record.slices] == [4, 3, 3]


def test_names_without_end_do_not_fill_the_memory() -> None:
    record = SeenVip()
    for number in range(5 * MOST_SERVERS):
        record.note_pass(number * 0.1, number * 0.1, f"request-{number}")
    assert len(record.whole.servers) == MOST_SERVERS + 1
    assert record.whole.servers[OTHERS] == 4 * MOST_SERVERS
    assert len(record.slices) <= LAST_SECONDS


def test_a_period_begins_anew_and_the_whole_goes_on() -> None:
    record = SeenVip()
    record.note_pass(0.0, 0.1, "")
    assert record.start_period().passed == 1
    record.note_late(3)
    period = record.start_period()
    assert (period.passed, period.late) == (0, 3)
    assert (record.whole.passed, record.whole.late) == (1, 3)

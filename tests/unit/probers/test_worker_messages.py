import os
import pickle
import struct
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.worker_messages import (
    AssignChecks,
    CancelChecks,
    MessageUnpacker,
    WorkerCondition,
    WorkerMessage,
    WorkerReport,
    map_note,
    open_note,
    pack_message,
)
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    ProbeStats,
    ResponseChange,
    VerdictReason,
)

KEY = ObjectKey("ns", "b")
MESSAGES: list[WorkerMessage] = [
    AssignChecks(
        assignments=(
            ProbeAssignment(
                backend=KEY,
                generation=3,
                spec=CheckSpec(
                    address=ip_address("2001:db8::1"),
                    probe=HttpProbe(port=443, tls=TlsSettings(server_name="a.example")),
                    cadence=ProbeCadence(),
                ),
            ),
        )
    ),
    CancelChecks(backends=(KEY,)),
    WorkerReport(
        verdicts=(
            CheckVerdict(
                backend=KEY,
                generation=3,
                up=True,
                code=ProbeCode.L7OK,
                detail="200 OK",
                at=datetime(2025, 3, 1, tzinfo=UTC),
            ),
        ),
        changes=(ResponseChange(KEY, 3, ProbeResponse.PASSED),),
        reasons=(VerdictReason(KEY, 3, ProbeCode.L7OK, "204 No Content"),),
        stats=ProbeStats(results={("HTTP", "L7OK"): 1}, durations={}, lateness=([1], 0.0)),
        condition=WorkerCondition(short={"cpu": 2}, obstacle="none"),
        log=((20, "hello"),),
    ),
]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_messages_survive_however_the_stream_is_cut(size: int) -> None:
    stream = b"".join(pack_message(message) for message in MESSAGES)
    unpacker = MessageUnpacker()
    received = []
    for at in range(0, len(stream), size):
        received += unpacker.feed_bytes(stream[at : at + size])
    assert received == MESSAGES


def test_what_is_no_message_is_refused() -> None:
    body = pickle.dumps("hello")
    with pytest.raises(ValueError, match="not a message: str"):
        MessageUnpacker().feed_bytes(struct.pack("!I", len(body)) + body)


def test_what_one_process_notes_the_other_reads() -> None:
    descriptor = open_note()
    written, read = map_note(descriptor), map_note(descriptor)
    os.close(descriptor)
    written[0] = 1 << 40
    assert read[0] == 1 << 40

import pickle
import struct
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from vpplb.model.check import Cadence, CheckSpec, HttpProbe, TlsSettings
from vpplb.model.health import ProbeCode, Response
from vpplb.model.names import ObjectKey
from vpplb.probers.wire import Assign, Cancel, Condition, Message, Report, Unpacker, pack
from vpplb.reconcile.ports import Assignment, ProbeStats, Reason, Turn, Verdict

KEY = ObjectKey("ns", "b")
MESSAGES: list[Message] = [
    Assign(
        assignments=(
            Assignment(
                backend=KEY,
                generation=3,
                spec=CheckSpec(
                    address=ip_address("2001:db8::1"),
                    probe=HttpProbe(port=443, tls=TlsSettings(server_name="a.example")),
                    cadence=Cadence(),
                ),
            ),
        )
    ),
    Cancel(backends=(KEY,)),
    Report(
        verdicts=(
            Verdict(
                backend=KEY,
                generation=3,
                up=True,
                code=ProbeCode.L7OK,
                detail="200 OK",
                at=datetime(2025, 3, 1, tzinfo=UTC),
            ),
        ),
        turns=(Turn(KEY, 3, Response.PASSED),),
        reasons=(Reason(KEY, 3, ProbeCode.L7OK, "204 No Content"),),
        stats=ProbeStats(results={("HTTP", "L7OK"): 1}, durations={}, lateness=([1], 0.0)),
        condition=Condition(short={"cpu": 2}, obstacle="none"),
        log=((20, "hello"),),
    ),
]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_messages_survive_however_the_stream_is_cut(size: int) -> None:
    stream = b"".join(pack(message) for message in MESSAGES)
    unpacker = Unpacker()
    received = []
    for at in range(0, len(stream), size):
        received += unpacker.feed(stream[at : at + size])
    assert received == MESSAGES


def test_what_is_no_message_is_refused() -> None:
    body = pickle.dumps("hello")
    with pytest.raises(ValueError, match="not a message: str"):
        Unpacker().feed(struct.pack("!I", len(body)) + body)

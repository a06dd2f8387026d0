"""How far a change goes through the operator before something comes of it."""

import sys
from types import CodeType, FrameType

import pytest

from data.manifests import backend, frontend
from fakes.api_server import FakeApiServer
from in_memory.operator import LocalOperator
from vpplb.kube.status_writer import StatusWriter
from vpplb.plan.desired import desired_vip
from vpplb.reconcile.object_store import ObjectStore

pytestmark = pytest.mark.looptime

TO_DECISION = (ObjectStore.put_frontend.__code__, desired_vip.__code__)
TO_STATUS = (
    *TO_DECISION,
    StatusWriter.submit_status.__code__,
    FakeApiServer.replace_status.__code__,
)


class Walk:
    """The functions of the product that were on the way to some others, once they were called."""

    def __init__(self) -> None:
        self.ways: dict[CodeType, list[str]] = {}

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in TO_STATUS and frame.f_code not in self.ways:
            self.ways[frame.f_code] = stops = []
            at: FrameType | None = frame
            while at is not None:
                if "/vpplb/" in at.f_code.co_filename or at is frame:
                    stops.append(at.f_code.co_qualname)
                at = at.f_back

    def stops(self, *ends: CodeType) -> set[str]:
        return {stop for end in ends for stop in self.ways[end]}


async def test_a_changed_frontend_is_decided_on_in_ten_stops_and_written_in_sixteen(
    operator: LocalOperator,
) -> None:
    operator.apply(backend(), frontend())
    await operator.settle()
    walk = Walk()
    sys.setprofile(walk.note)
    try:
        operator.apply(frontend(pools=[{"name": "other", "backends": [{"name": "a"}]}]))
        await operator.settle()
    finally:
        sys.setprofile(None)
    assert len(walk.stops(*TO_DECISION)) <= 10
    assert len(walk.stops(*TO_STATUS)) <= 16

import asyncio
import logging

import pytest

from data.objects import key
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.mender import FIGHT, LONGEST, QUIET, Mender, writer_of
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime

WEB: JsonObject = {
    "metadata": {
        "name": "web",
        "managedFields": [
            {"manager": "vpplb", "time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:status": {}}},
            {"manager": "velero", "time": "2026-01-02T03:05:00Z", "fieldsV1": {"f:status": {}}},
            {"manager": "kubectl", "time": "2026-01-02T03:06:00Z", "fieldsV1": {"f:spec": {}}},
        ],
    }
}


class Mended:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.mender = Mender(self._submit)

    def _submit(self, kind: ObjectKind, name: ObjectKey) -> None:
        self.times.append(round(asyncio.get_running_loop().time(), 3))


async def test_a_status_that_somebody_wrote_is_put_right_at_once() -> None:
    mended = Mended()
    mended.mender.overwritten(ObjectKind.FRONTEND, key("web"), WEB)
    await asyncio.sleep(0.1)
    assert mended.times == [0]


async def test_whoever_fights_for_a_status_is_answered_less_and_less_often() -> None:
    mended = Mended()
    for _ in range(6000):
        mended.mender.overwritten(ObjectKind.FRONTEND, key("web"), WEB)
        await asyncio.sleep(0.1)
    gaps = [after - before for before, after in zip(mended.times, mended.times[1:], strict=False)]
    assert gaps[:2] == sorted(gaps[:2])
    assert len(mended.times) < 20
    assert max(gaps) <= LONGEST + 0.2


async def test_after_a_quiet_while_the_next_is_put_right_at_once_again() -> None:
    mended = Mended()
    for _ in range(5):
        mended.mender.overwritten(ObjectKind.FRONTEND, key("web"), WEB)
        await asyncio.sleep(LONGEST)
    await asyncio.sleep(QUIET)
    before = len(mended.times)
    mended.mender.overwritten(ObjectKind.FRONTEND, key("web"), WEB)
    await asyncio.sleep(0.1)
    assert len(mended.times) == before + 1


async def test_what_is_deleted_is_not_put_right() -> None:
    mended = Mended()
    mended.mender.overwritten(ObjectKind.FRONTEND, key("web"), WEB)
    mended.mender.forget(ObjectKind.FRONTEND, key("web"))
    await asyncio.sleep(LONGEST)
    assert mended.times == []


async def test_it_is_said_once_who_wrote_and_once_that_it_is_a_fight(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mended = Mended()
    with caplog.at_level(logging.WARNING):
        for _ in range(2 * FIGHT):
            mended.mender.overwritten(ObjectKind.FRONTEND, key("web"), WEB)
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "the status of Frontend default/web was written by velero and is put right"
    assert "again and again" in said[1]
    assert len(said) == 2


def test_an_object_without_managed_fields_names_no_writer() -> None:
    assert writer_of({"metadata": {}}) == ""

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from fakes.api_server import FakeApiServer
from vpplb import __version__
from vpplb.kube.api_types import (
    ApiUnreachable,
    KubeError,
    api_error,
)
from vpplb.kube.crd_check import LOOK_EVERY, PATH, PATIENCE, CrdCheck
from vpplb.model.names import ObjectKind
from vpplb.resources.crd import make_schemas

DEFINED = (ObjectKind.FRONTEND, ObjectKind.DATAPLANE)
NEEDED = make_schemas(DEFINED)


def published(**missing: tuple[str, ...]) -> dict[str, Any]:
    """Return what an API server publishes that lacks these fields of specs, by kind."""
    schemas = {f"dev.vpplb.v1alpha1.{kind}": deepcopy(schema) for kind, schema in NEEDED.items()}
    for kind, names in missing.items():
        for name in names:
            del schemas[f"dev.vpplb.v1alpha1.{kind}"]["properties"]["spec"]["properties"][name]
    return {"components": {"schemas": schemas}}


def publishing(document: dict[str, Any] | None = None) -> FakeApiServer:
    made = FakeApiServer()
    if document is not None:
        made.documents[PATH] = document
    return made


@pytest.mark.looptime
async def test_definitions_of_this_version_are_no_trouble() -> None:
    check = CrdCheck(client=publishing(published()), needed=NEEDED)
    assert check.trouble != ""  # nobody is ready before the first look
    await check.wait_new_enough()
    assert check.trouble == ""


@pytest.mark.looptime
async def test_older_ones_are_waited_for_and_what_they_lack_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lacking = ("dscp", "encap", "targetPort", "flushOnDown", "nodeSelector", "port")
    there = publishing(published(Frontend=lacking, Dataplane=("paused",)))
    check = CrdCheck(client=there, needed=NEEDED)
    waiting = asyncio.create_task(check.wait_new_enough())
    await asyncio.sleep(10 * PATIENCE)
    assert not waiting.done()
    assert check.trouble == (
        f"the CustomResourceDefinitions are older than this program ({__version__}): Frontend lacks"
        " spec.port, spec.encap, spec.dscp, spec.targetPort, and 2 more; Dataplane lacks"
        " spec.paused. Upgrade them first: vpplb crds | kubectl apply --server-side"
        " --force-conflicts -f -"
    )
    assert len(caplog.records) == 1
    there.documents[PATH] = published()
    await asyncio.sleep(5)
    assert waiting.done()
    assert check.trouble == ""


@pytest.mark.looptime
async def test_who_need_not_wait_for_newer_ones_goes_on_and_still_says_what_is_missing() -> None:
    check = CrdCheck(client=publishing(published(Frontend=("dscp",))), needed=NEEDED)
    answers = [True, False, False]

    async def give_up() -> bool:
        return answers.pop()

    assert not await check.wait_new_enough(give_up)
    assert answers == []
    running = asyncio.create_task(check.run())
    await asyncio.sleep(2 * PATIENCE)
    assert "Frontend lacks spec.dscp" in check.trouble
    running.cancel()


@pytest.mark.parametrize("answer", [api_error(404), api_error(403, "Forbidden", "no right")])
@pytest.mark.looptime
async def test_an_api_server_that_does_not_say_is_believed_to_be_right(answer: KubeError) -> None:
    there = publishing()
    there.refuse = lambda _: answer
    check = CrdCheck(client=there, needed=NEEDED)
    await check.wait_new_enough()
    assert check.trouble == ""


@pytest.mark.looptime
async def test_definitions_that_are_not_there_are_told_of_where_objects_are_listed() -> None:
    check = CrdCheck(client=publishing({"components": {"schemas": {}}}), needed=NEEDED)
    await check.wait_new_enough()
    assert check.trouble == ""


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"components": None},
        {"components": {"schemas": None}},
        {"components": {"schemas": {"dev.vpplb.v1alpha1.Frontend": None}}},
        {"components": {"schemas": {"dev.vpplb.v1alpha1.Frontend": {"properties": None}}}},
        {"components": {"schemas": {"dev.vpplb.v1alpha1.Frontend": []}}},
    ],
)
@pytest.mark.looptime
async def test_an_answer_of_another_shape_says_nothing_and_ends_nobody(
    document: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "vpplb.kube.crd_check")
    there = publishing(document)
    check = CrdCheck(client=there, needed=NEEDED)
    running = asyncio.create_task(check.run())
    await asyncio.sleep(3 * LOOK_EVERY)
    assert not running.done()
    assert check.trouble == ""
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    there.documents[PATH] = published(Frontend=("dscp",))
    await asyncio.sleep(LOOK_EVERY)
    assert "Frontend lacks spec.dscp" in check.trouble
    running.cancel()


@pytest.mark.looptime
async def test_who_runs_with_no_answer_is_ready_after_a_moment_and_hears_of_one_later() -> None:
    there = publishing(published(Frontend=("dscp",)))
    there.refuse = lambda _: api_error(503, "", "busy")
    check = CrdCheck(client=there, needed=NEEDED)
    running = asyncio.create_task(check.run())
    await asyncio.sleep(PATIENCE - 0.5)
    assert check.trouble != ""
    await asyncio.sleep(1)
    assert check.trouble == ""
    there.refuse = lambda _: None
    await asyncio.sleep(5)
    assert "Frontend lacks spec.dscp" in check.trouble
    there.refuse = lambda _: api_error(503, "", "busy")
    await asyncio.sleep(2 * PATIENCE)
    assert "Frontend lacks spec.dscp" in check.trouble
    running.cancel()


@pytest.mark.parametrize("error", [ApiUnreachable("refused"), api_error(503, "", "busy")])
@pytest.mark.looptime
async def test_who_does_not_answer_is_waited_for_a_moment(error: KubeError) -> None:
    there = publishing(published(Frontend=("dscp",)))
    there.refuse = lambda _: error
    check = CrdCheck(client=there, needed=NEEDED)
    began = asyncio.get_running_loop().time()
    await check.wait_new_enough()
    assert asyncio.get_running_loop().time() == began + PATIENCE
    assert check.trouble == ""


@pytest.mark.looptime
async def test_older_ones_that_come_while_a_program_runs_are_told() -> None:
    there = publishing(published())
    check = CrdCheck(client=there, needed=NEEDED)
    running = asyncio.create_task(check.run())
    await asyncio.sleep(1)
    assert check.trouble == ""
    there.documents[PATH] = published(Frontend=("dscp",))
    await asyncio.sleep(LOOK_EVERY)
    assert "Frontend lacks spec.dscp" in check.trouble
    there.documents[PATH] = published()
    await asyncio.sleep(5)
    assert check.trouble == ""
    running.cancel()

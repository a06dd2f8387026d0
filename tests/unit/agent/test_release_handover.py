"""A node that is another release's is left alone, until that is gone for good."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from data.kept_memory import HERE
from fakes.api_server import FakeApiServer
from vpplb.agent.release_handover import HANDOVER, PATIENCE, ReleaseHandover
from vpplb.files.owned_state_store import OwnedStateStore, StoredState, write_stored_state
from vpplb.kube.api_types import ApiUnreachable, cluster_key
from vpplb.model.names import ObjectKind
from vpplb.sync.vip_state import OwnedState
from vpplb.vpp.lock import VppLock

pytestmark = pytest.mark.looptime

KEY = cluster_key("n1")
OURS, THEIRS = "edge/vpplb", "core/vpplb"
KUBELET_BACK_OFF = 300.0
"""Seconds at most from the end of a container to its next start, or from one pull to the next."""


class SharedNode:
    """A node on which agents of several releases were put; `memory` is our agent's file."""

    def __init__(self, directory: Path) -> None:
        self.server, self.memory = FakeApiServer(), directory / "memory.json"
        self.socket = directory / "vpp" / "api.sock"
        self.socket.parent.mkdir()
        self.lock = VppLock(self.socket)
        store = OwnedStateStore(self.memory, OwnedState, HERE)
        self.handover = ReleaseHandover(self.server, "n1", OURS, self.lock, store)
        self.waiting: asyncio.Task[None]

    def start(self) -> None:
        """Have our agent ask for the VPP."""
        self.waiting = asyncio.create_task(self.handover.wait_ours())

    def own_by(self, release: str) -> None:
        """Have the Dataplane say whose the node is."""
        made = self.server.add(ObjectKind.DATAPLANE, KEY, {})
        made["metadata"]["annotations"] = {"vpplb.dev/release": release} if release else {}

    def remember(self, release: str) -> None:
        """Have our agent's file say whose it is."""
        write_stored_state(self.memory, StoredState(release=release), HERE)

    def close_folder(self, patch: pytest.MonkeyPatch) -> None:
        """Have nobody make or open a lock."""

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        patch.setattr(VppLock, "_open_file", refuse)

    def is_free(self) -> bool:
        """Return whether another agent could take the VPP now."""
        other = VppLock(self.socket)
        with suppress(Exception):
            other.acquire()
            other.release()
            return True
        return False


@pytest.fixture
def shared(tmp_path: Path) -> SharedNode:
    return SharedNode(tmp_path)


@pytest.mark.parametrize("owner", [None, "", OURS])
async def test_a_node_that_is_ours_or_nobodys_is_taken_at_once(
    shared: SharedNode, owner: str | None
) -> None:
    if owner is not None:
        shared.own_by(owner)
    shared.start()
    await asyncio.sleep(0.1)
    assert shared.waiting.done()
    assert not shared.is_free()
    assert shared.handover.why == ""


async def test_an_agent_of_another_release_may_restart_without_losing_its_node(
    shared: SharedNode,
) -> None:
    shared.own_by(THEIRS)
    shared.start()
    theirs = VppLock(shared.socket)
    await theirs.wait_acquired(lambda _: None)
    await asyncio.sleep(10)
    assert "another vpplb programs this VPP" in shared.handover.why
    for _ in range(10):  # an upgrade of it, again and again, which takes long
        theirs.release()
        await asyncio.sleep(HANDOVER - 5)
        assert shared.is_free()
        await theirs.wait_acquired(lambda _: None)
        await asyncio.sleep(5)
    assert not shared.waiting.done()
    shared.waiting.cancel()


async def test_a_release_that_stays_away_is_followed_and_meanwhile_it_is_said(
    shared: SharedNode, caplog: pytest.LogCaptureFixture
) -> None:
    shared.own_by(THEIRS)
    shared.start()
    await asyncio.sleep(20.5)
    assert shared.handover.why == (
        "node n1 is of release core/vpplb, which has no agent here now: it is taken over when that"
        " stays away for 880 s more, or after `kubectl annotate dataplane n1 vpplb.dev/release-`"
    )
    assert len(caplog.records) == 1
    await asyncio.sleep(HANDOVER - 22)
    assert not shared.waiting.done()
    await asyncio.sleep(4)
    assert shared.waiting.done()
    assert not shared.is_free()


async def test_a_person_gives_a_node_up_by_taking_the_annotation_away(shared: SharedNode) -> None:
    shared.own_by(THEIRS)
    shared.start()
    await asyncio.sleep(10)
    assert not shared.waiting.done()
    shared.own_by("")
    await asyncio.sleep(2)
    assert shared.waiting.done()


def test_an_agent_that_is_restarted_or_pulled_after_a_back_off_keeps_its_node() -> None:
    assert HANDOVER >= 3 * KUBELET_BACK_OFF


@pytest.mark.parametrize("folder", ["missing", "closed"])
async def test_where_no_lock_can_be_taken_nobody_is_known_to_be_away(
    shared: SharedNode, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.own_by(THEIRS)
    if folder == "missing":
        shared.socket.parent.rmdir()
        trouble = f"there is no {shared.socket.parent}"
    else:
        shared.close_folder(monkeypatch)
        trouble = "two agents on this VPP would not notice each other: [Errno 13] Permission denied"
    shared.start()
    await asyncio.sleep(2 * HANDOVER)
    assert not shared.waiting.done()
    assert shared.handover.why == (
        f"node n1 is of release core/vpplb, which may have an agent here ({trouble}): it is taken"
        " over after `kubectl annotate dataplane n1 vpplb.dev/release-`"
    )
    monkeypatch.undo()
    shared.socket.parent.mkdir(exist_ok=True)
    await asyncio.sleep(HANDOVER - 5)  # what went before does not count
    assert not shared.waiting.done()
    await asyncio.sleep(10)
    assert shared.waiting.done()


@pytest.mark.parametrize("owner", ["", OURS])
async def test_a_node_of_our_own_is_taken_also_where_no_lock_can_be(
    shared: SharedNode, owner: str
) -> None:
    shared.own_by(owner)
    shared.socket.parent.rmdir()
    shared.start()
    await asyncio.sleep(0.1)
    assert shared.waiting.done()


async def test_time_in_which_nobody_looked_at_the_lock_does_not_count(shared: SharedNode) -> None:
    shared.own_by(THEIRS)
    shared.start()
    await asyncio.sleep(10)
    shared.server.refuse = lambda _: ApiUnreachable("connection refused")
    await asyncio.sleep(HANDOVER)
    shared.server.refuse = lambda _: None
    await asyncio.sleep(10)
    assert not shared.waiting.done()
    shared.waiting.cancel()


@pytest.mark.parametrize(("remembered", "taken"), [(OURS, True), ("", True), (THEIRS, False)])
async def test_a_dataplane_that_was_deleted_does_not_give_the_node_up(
    shared: SharedNode, remembered: str, taken: bool
) -> None:
    shared.remember(remembered)
    shared.start()
    await asyncio.sleep(10.5)
    assert shared.waiting.done() == taken
    if not taken:
        assert shared.handover.why == (
            "node n1 is of release core/vpplb, which has no agent here now: it is taken over when"
            " that stays away for 890 s more"
        )
        await asyncio.sleep(HANDOVER)
    assert shared.waiting.done()


@pytest.mark.parametrize(("remembered", "taken"), [(OURS, True), ("", True), (THEIRS, False)])
async def test_without_an_api_server_the_file_says_whose_the_node_is(
    shared: SharedNode, remembered: str, taken: bool
) -> None:
    shared.server.refuse = lambda _: ApiUnreachable("connection refused")
    shared.remember(remembered)
    shared.start()
    await asyncio.sleep(2 * PATIENCE)
    assert shared.waiting.done() == taken
    shared.waiting.cancel()


async def test_where_nothing_says_it_nobody_is_kept_from_the_vpp(shared: SharedNode) -> None:
    shared.server.refuse = lambda _: ApiUnreachable("connection refused")
    shared.start()
    await asyncio.sleep(2 * HANDOVER)
    assert shared.handover.why == "it is not known whose node n1 is: connection refused"
    assert shared.is_free()
    shared.server.refuse = lambda _: None
    await asyncio.sleep(2)
    assert shared.waiting.done()

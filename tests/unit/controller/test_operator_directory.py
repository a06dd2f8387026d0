"""Operators in the Lease of the election, beside electors at work, on loop time."""

import asyncio
import json

import pytest

from fakes.clock import LoopClock
from fakes.lease_line import KEY, LeaseStore
from in_memory.found_operator import FoundOperator, address
from vpplb.controller.operator_directory import DEAD_AFTER, RENEW_EVERY, OperatorDirectory
from vpplb.direct.operator_directory import PREFIX, name_annotation
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.model.names import ObjectKind
from vpplb.model.release_identity import ReleaseIdentity

pytestmark = pytest.mark.looptime


def annotations(server: LeaseStore) -> dict[str, str]:
    assert server.lease is not None
    return dict(server.lease["metadata"].get("annotations") or {})


def named(server: LeaseStore) -> list[str]:
    return sorted(json.loads(text)["identity"] for text in annotations(server).values())


@pytest.fixture
def server() -> LeaseStore:
    return LeaseStore()


async def two(server: LeaseStore) -> tuple[FoundOperator, FoundOperator]:
    first = FoundOperator(server, "first")
    await asyncio.sleep(1)
    second = FoundOperator(server, "second")
    await asyncio.sleep(5)
    return first, second


async def test_operators_find_each_other_within_a_few_seconds(server: LeaseStore) -> None:
    first, second = await two(server)
    assert named(server) == ["first", "second"]
    assert first.known == second.known == ["first", "second"]
    assert first.heard == second.heard == [["first", "second"]]
    assert first.directory.operators[1] == address("second")


async def test_an_entry_is_written_once_and_then_every_few_minutes(server: LeaseStore) -> None:
    first, second = await two(server)
    await asyncio.sleep(RENEW_EVERY - 10)
    assert first.writes.asked == second.writes.asked == ["patch"]
    before = annotations(server)
    await asyncio.sleep(20)
    assert first.writes.asked == second.writes.asked == ["patch"] * 2
    after = annotations(server)
    assert all(after[name] != text for name, text in before.items())
    assert first.heard == [["first", "second"]]


async def test_the_election_goes_on_as_if_nobody_had_published(server: LeaseStore) -> None:
    first, second = await two(server)
    for _ in range(200):
        server.merge(ObjectKind.LEASE, KEY, {"metadata": {"annotations": {"x": _stamp()}}})
        await asyncio.sleep(1.1)
    assert first.roles == [LeaderRole.LEADING]
    assert second.roles == []
    assert second.elector.not_ready == ""


def _stamp() -> str:
    return str(asyncio.get_running_loop().time())


async def test_a_renewal_that_a_publication_crosses_is_made_again_at_once(
    server: LeaseStore,
) -> None:
    first, _ = await two(server)
    await asyncio.sleep(0.5)
    server.merge(ObjectKind.LEASE, KEY, {"metadata": {"annotations": {"x": "1"}}})
    asked, valid_until = len(first.line.asked), first.elector.fence.open_until
    await asyncio.sleep(2)  # a leader renews each 2 s
    assert first.line.asked[asked:] == ["patch", "get", "patch"]
    assert first.elector.fence.open_until == pytest.approx(valid_until + 2, abs=0.01)


async def test_one_that_stops_takes_its_entry_away_and_leaves_the_others(
    server: LeaseStore,
) -> None:
    first, second = await two(server)
    await first.stop()
    assert named(server) == ["second"]
    await asyncio.sleep(5)
    assert second.elector.role is LeaderRole.LEADING
    assert second.known == ["second"]
    assert second.heard[-1] == ["second"]


async def test_one_that_crashed_is_forgotten_after_a_quarter_of_an_hour(
    server: LeaseStore,
) -> None:
    first, second = await two(server)
    await second.crash()
    await asyncio.sleep(DEAD_AFTER - 10)
    assert first.known == ["first", "second"]
    await asyncio.sleep(20)
    assert first.known == ["first"]
    assert named(server) == ["first"]
    assert first.roles == [LeaderRole.LEADING]


async def test_nobody_is_dead_for_our_not_looking(server: LeaseStore) -> None:
    first, second = await two(server)
    first.line.cut = second.line.cut = first.writes.cut = second.writes.cut = True
    await asyncio.sleep(4 * DEAD_AFTER)
    assert first.known == ["first", "second"]
    first.line.cut = first.writes.cut = False
    await asyncio.sleep(2)
    assert named(server) == ["first", "second"]
    second.line.cut = second.writes.cut = False
    await asyncio.sleep(2 * DEAD_AFTER)
    assert named(server) == ["first", "second"]
    assert first.heard == [["first", "second"]]


async def test_one_that_was_taken_for_dead_puts_itself_back(server: LeaseStore) -> None:
    first, second = await two(server)
    second.line.cut = second.writes.cut = True
    await asyncio.sleep(DEAD_AFTER + 10)
    assert named(server) == ["first"]
    second.line.cut = second.writes.cut = False
    await asyncio.sleep(3)
    assert named(server) == ["first", "second"]
    assert first.known == ["first", "second"]


async def test_a_lease_that_is_deleted_gets_all_entries_again(server: LeaseStore) -> None:
    first, second = await two(server)
    server.delete_lease()
    await asyncio.sleep(5)
    assert named(server) == ["first", "second"]
    assert first.roles == [LeaderRole.LEADING]
    assert second.roles == []
    assert first.known == ["first", "second"]


@pytest.mark.parametrize("text", ["", "{", "null", "x" * 10_000, "[" * 10_000])
async def test_an_entry_that_was_edited_is_put_right(server: LeaseStore, text: str) -> None:
    first, second = await two(server)
    name = name_annotation("second")
    server.merge(ObjectKind.LEASE, KEY, {"metadata": {"annotations": {name: text}}})
    await asyncio.sleep(5)
    assert named(server) == ["first", "second"]
    assert first.known == second.known == ["first", "second"]


async def test_entries_that_nobody_understands_hurt_nobody_and_go_away(
    server: LeaseStore,
) -> None:
    first, _ = await two(server)
    rubbish: dict[str, str] = {f"{PREFIX}{number}": "[" * number for number in range(30)}
    server.merge(ObjectKind.LEASE, KEY, {"metadata": {"annotations": rubbish}})
    await asyncio.sleep(60)
    assert first.known == ["first", "second"]
    assert len(annotations(server)) == 32
    await asyncio.sleep(DEAD_AFTER)
    assert named(server) == ["first", "second"]


async def test_releases_share_the_lease_and_know_their_own_operators(server: LeaseStore) -> None:
    shop = ServedScope.of_list(["shop"])
    blog = ServedScope.of_list(["blog"])
    mine = [FoundOperator(server, f"mine-{one}", scope=shop) for one in (1, 2)]
    theirs = FoundOperator(server, "theirs", namespace="other", scope=blog)
    await asyncio.sleep(40)
    assert mine[0].known == mine[1].known == ["mine-1", "mine-2"]
    assert theirs.known == ["theirs"]
    assert theirs.roles == [LeaderRole.LEADING]
    assert sorted(len(one.roles) for one in mine) == [0, 1]
    assert all(one.elector.rival_refusal == "" for one in (*mine, theirs))


async def test_what_cannot_be_written_is_said_and_tried_again(server: LeaseStore) -> None:
    only = FoundOperator(server, "only")
    only.writes.cut = True
    await asyncio.sleep(60)
    assert only.directory.trouble == (
        "lease vpplb-system/vpplb-operator does not get this operator's address: connection refused"
    )
    assert len(only.writes.asked) <= 60 / 5 + 1
    assert only.known == ["only"]
    only.writes.cut = False
    await asyncio.sleep(8)
    assert only.directory.trouble == ""
    assert named(server) == ["only"]


async def test_an_answer_that_is_lost_is_no_reason_to_write_again(server: LeaseStore) -> None:
    only = FoundOperator(server, "only")
    only.writes.deaf = True
    await asyncio.sleep(20)
    assert only.writes.asked == ["patch"]
    assert named(server) == ["only"]


async def test_a_new_start_under_the_old_name_replaces_the_entry(server: LeaseStore) -> None:
    first, second = await two(server)
    await second.crash()
    again = FoundOperator(server, "second", fingerprint="ab" * 32)
    await asyncio.sleep(5)
    assert again.directory.own in first.directory.operators


async def test_taking_the_entry_away_ends_in_a_few_seconds_without_a_server(
    server: LeaseStore,
) -> None:
    first, _ = await two(server)
    await first.crash()
    first.writes.there = 3600.0
    began = asyncio.get_running_loop().time()
    await first.directory.withdraw_entry()
    assert asyncio.get_running_loop().time() <= began + 3.01


async def test_one_that_never_published_takes_nothing_away(server: LeaseStore) -> None:
    first, _ = await two(server)
    idle = OperatorDirectory(
        client=first.writes,
        lease=KEY,
        own=address("idle"),
        release=ReleaseIdentity("x"),
        clock=LoopClock(),
    )
    asked = len(first.writes.asked)
    await idle.withdraw_entry()
    assert len(first.writes.asked) == asked

"""Electors on one fake lease, on loop time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from fakes.clock import LoopClock
from fakes.lease_line import KEY, LeaseLine, LeaseStore
from vpplb.kube.api_health import RequestHealth
from vpplb.kube.api_types import ApiUnreachable, JsonObject
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.leader_election import (
    FencedClient,
    LeaderElector,
    LeadershipLost,
    WriteFence,
    WriteFenced,
)
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime


def time() -> float:
    return asyncio.get_running_loop().time()


class RunningElector:
    """An elector at work. `when` gives the times at which it took each role."""

    def __init__(self, server: LeaseStore, identity: str, *, skew: float = 0.0) -> None:
        self.line, self.fence = LeaseLine(server), WriteFence()
        self.when: list[tuple[LeaderRole, float]] = []
        self.elector = LeaderElector(
            client=self.line,
            key=KEY,
            identity=identity,
            duration=15.0,
            fence=self.fence,
            clock=LoopClock(skew),
            on_role=lambda role: self.when.append((role, time())),
        )
        self.task = asyncio.create_task(self.elector.run())

    @property
    def role(self) -> LeaderRole:
        return self.elector.role

    @property
    def may_write(self) -> bool:
        return time() < self.fence.open_until

    def since(self, role: LeaderRole) -> float:
        """Return when it last took the role."""
        return next(at for taken, at in reversed(self.when) if taken is role)

    async def crash(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def stop(self) -> None:
        await self.crash()
        await self.elector.resign_lease()


async def reaches(holds: Callable[[], bool], within: float) -> float:
    """Wait for it; return the seconds that it took."""
    start = time()
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 (loop time is free)
            await asyncio.sleep(0.05)
    return time() - start


@pytest.fixture
def server() -> LeaseStore:
    return LeaseStore()


async def leader_and_standby(server: LeaseStore) -> tuple[RunningElector, RunningElector]:
    first = RunningElector(server, "first")
    await reaches(lambda: first.may_write, 1.0)
    second = RunningElector(server, "second")
    await asyncio.sleep(5.0)
    assert (first.role, second.role) == (LeaderRole.LEADING, LeaderRole.STANDBY)
    return first, second


# --- taking part ----------------------------------------------------------------------------


async def test_the_first_leads_at_once_and_keeps_on_renewing(server: LeaseStore) -> None:
    only = RunningElector(server, "only")
    await asyncio.sleep(60.1)
    assert only.when == [(LeaderRole.LEADING, 0.0)]
    assert only.line.asked == ["get", "replace", *["patch"] * 30]  # one request each 2 s


def looks_until_deserted(server: LeaseStore) -> tuple[LeaseLine, asyncio.Task[None]]:
    """Have an operator that had rather not lead look every three seconds."""
    line = LeaseLine(server)
    elector = LeaderElector(
        client=line,
        key=KEY,
        identity="reluctant",
        duration=15.0,
        fence=WriteFence(),
        clock=LoopClock(),
    )

    async def look() -> None:
        while not await elector.is_deserted():  # noqa: ASYNC110 (loop time is free)
            await asyncio.sleep(3)
        assert elector.trouble == ""
        await elector.run()

    return line, asyncio.create_task(look())


async def test_who_had_rather_not_lead_only_reads_while_another_does(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    line, looking = looks_until_deserted(server)
    await asyncio.sleep(100)
    await first.stop()  # its lease is free for a moment, and then the next one's
    await asyncio.sleep(100)
    assert second.role is LeaderRole.LEADING
    assert set(line.asked) == {"get"}
    looking.cancel()


@pytest.mark.parametrize(("ending", "after"), [("stop", 30.0), ("crash", 45.0)])
async def test_who_had_rather_not_lead_does_once_nobody_has_for_two_durations(
    server: LeaseStore, ending: str, after: float
) -> None:
    first = RunningElector(server, "first")
    await reaches(lambda: first.may_write, 1.0)
    line, looking = looks_until_deserted(server)
    await asyncio.sleep(20)
    await getattr(first, ending)()
    took = await reaches(lambda: set(line.asked) != {"get"}, 60.0)
    assert after - 3 <= took <= after + 6
    looking.cancel()


async def test_a_server_that_does_not_answer_tells_nobody_that_a_lease_is_deserted(
    server: LeaseStore,
) -> None:
    line, looking = looks_until_deserted(server)
    await asyncio.sleep(10)
    line.cut = True
    await asyncio.sleep(100)
    assert not looking.done()
    assert set(line.asked) == {"get"}
    looking.cancel()


async def test_one_that_comes_later_stands_by_and_only_reads(server: LeaseStore) -> None:
    _, second = await leader_and_standby(server)
    assert set(second.line.asked) == {"get"}
    assert not second.may_write
    assert second.elector.not_ready == ""
    assert second.elector.holder == "first"


async def test_it_is_known_who_leads_before_anything_else_begins(server: LeaseStore) -> None:
    first = RunningElector(server, "first")
    first.line.cut = True
    knowing = asyncio.create_task(first.elector.wait_until_looked())
    await asyncio.sleep(10)
    assert not knowing.done()
    assert first.elector.not_ready == "connection refused"
    first.line.cut = False
    await asyncio.sleep(2)
    assert knowing.done()
    assert first.role is LeaderRole.LEADING


async def test_a_leader_that_resigns_is_followed_within_a_second(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    await first.stop()
    assert not first.may_write
    assert await reaches(lambda: second.may_write, 15.0) <= 0.6
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1


async def test_a_leader_that_crashes_is_followed_when_its_lease_has_run_out(
    server: LeaseStore,
) -> None:
    first, second = await leader_and_standby(server)
    renewed = time()
    await first.crash()
    await reaches(lambda: second.may_write, 30.0)
    assert 12.0 <= second.since(LeaderRole.LEADING) - renewed <= 15.6


async def test_one_that_is_started_again_under_its_name_takes_its_own_lease_at_once(
    server: LeaseStore,
) -> None:
    first, second = await leader_and_standby(server)
    await first.crash()
    again = RunningElector(server, "first")
    await asyncio.sleep(0.1)
    assert (again.role, second.role) == (LeaderRole.LEADING, LeaderRole.STANDBY)


@pytest.mark.parametrize("skew", [-1e6, 1e6])
async def test_wall_clocks_do_not_matter(server: LeaseStore, skew: float) -> None:
    first = RunningElector(server, "first")
    await asyncio.sleep(1)
    second = RunningElector(server, "second", skew=skew)
    await asyncio.sleep(60)
    assert (first.role, second.role) == (LeaderRole.LEADING, LeaderRole.STANDBY)
    await first.crash()
    assert 12.0 <= await reaches(lambda: second.may_write, 30.0) <= 15.6


# --- when the server is away ----------------------------------------------------------------


async def test_a_leader_that_cannot_renew_stops_writing_before_its_lease_runs_out(
    server: LeaseStore,
) -> None:
    first, second = await leader_and_standby(server)
    first.line.cut = True
    await reaches(lambda: first.role is LeaderRole.SUSPENDED, 30.0)
    stopped = time()
    assert not first.may_write
    assert first.elector.not_ready == "connection refused"
    await reaches(lambda: second.may_write, 30.0)
    assert time() - stopped >= 4.5  # a third of the lease, for what is on its way


@pytest.mark.parametrize("began", [0.274, 0.399, 0.524])
async def test_a_remainder_of_its_lease_that_is_shorter_than_the_clock_tells_apart_passes(
    server: LeaseStore, began: float
) -> None:
    """Ten seconds later than those, by the arithmetic of floats, is not when the clock shows it."""
    await asyncio.sleep(began)
    only = RunningElector(server, "only")
    await reaches(lambda: only.may_write, 1.0)
    only.line.cut = True
    await reaches(lambda: only.role is LeaderRole.SUSPENDED, 11.0)


async def test_a_request_without_an_answer_is_not_waited_for_beyond_the_deadline(
    server: LeaseStore,
) -> None:
    first, _ = await leader_and_standby(server)
    first.line.back = 3600.0
    silent_since = time()
    await reaches(lambda: first.role is LeaderRole.SUSPENDED, 30.0)
    assert 8.0 <= time() - silent_since <= 10.0


async def test_a_single_operator_rides_out_a_server_that_is_away_and_goes_on(
    server: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    only = RunningElector(server, "only")
    await asyncio.sleep(1)
    only.line.cut = True
    await asyncio.sleep(600)
    assert (only.role, only.may_write) == (LeaderRole.SUSPENDED, False)
    only.line.cut = False
    assert await reaches(lambda: only.may_write, 5.0) <= 1.1
    assert [role for role, _ in only.when] == [
        LeaderRole.LEADING,
        LeaderRole.SUSPENDED,
        LeaderRole.LEADING,
    ]
    assert "lease vpplb-system/vpplb-operator is renewed again: writes go on" in caplog.messages


async def test_a_leader_that_was_cut_off_and_replaced_ends_when_it_sees_that(
    server: LeaseStore,
) -> None:
    first, second = await leader_and_standby(server)
    first.line.cut = True
    await reaches(lambda: second.role is LeaderRole.LEADING, 30.0)
    first.line.cut = False
    with pytest.raises(LeadershipLost, match="the lease is held by second"):
        await first.task
    assert first.role is LeaderRole.LOST
    assert not first.may_write
    await first.elector.resign_lease()
    await asyncio.sleep(60)
    assert server.holder == "second"
    assert second.may_write


async def test_renewals_whose_answers_are_lost_are_recognised(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    first.line.deaf = True
    await asyncio.sleep(7)
    first.line.deaf = False
    await asyncio.sleep(60)
    assert [role for role, _ in first.when] == [LeaderRole.LEADING]
    assert second.role is LeaderRole.STANDBY


async def test_a_bid_whose_answer_is_lost_still_leads(server: LeaseStore) -> None:
    first = RunningElector(server, "first")
    first.line.there = 0.001
    await asyncio.sleep(0.0015)  # it has looked, and its bid is on the way
    first.line.deaf = True
    await asyncio.sleep(0.001)
    first.line.deaf = False
    assert server.holder == "first"
    assert await reaches(lambda: first.may_write, 15.0) <= 3.6


async def test_slow_answers_do_not_lose_the_lease(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    first.line.there, first.line.back = 1.0, 1.0
    await asyncio.sleep(120)
    assert [role for role, _ in first.when] == [LeaderRole.LEADING]
    assert second.role is LeaderRole.STANDBY


# --- when others write into the lease -------------------------------------------------------


async def test_of_two_that_want_a_lease_that_ran_out_one_gets_it(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    third = RunningElector(server, "third")
    await asyncio.sleep(5.0)
    second.line.there = third.line.there = 0.1  # both have looked before either has written
    await first.crash()
    await asyncio.sleep(60)
    assert sorted((second.role, third.role)) == [LeaderRole.LEADING, LeaderRole.STANDBY]


async def test_a_lease_that_is_deleted_is_made_anew_by_its_leader(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    server.delete_lease()
    await asyncio.sleep(60)
    assert (first.role, second.role) == (LeaderRole.LEADING, LeaderRole.STANDBY)
    assert server.holder == "first"
    assert [role for role, _ in first.when] == [LeaderRole.LEADING]


async def test_a_leader_whose_name_is_removed_writes_itself_in_again(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    server.edit_lease(holderIdentity=None)
    await asyncio.sleep(60)
    assert (first.role, second.role) == (LeaderRole.LEADING, LeaderRole.STANDBY)


async def test_a_leader_ends_when_another_is_written_in_and_that_one_waits(
    server: LeaseStore,
) -> None:
    first, second = await leader_and_standby(server)
    server.edit_lease(holderIdentity="second")
    with pytest.raises(LeadershipLost):
        await first.task
    assert second.role is LeaderRole.STANDBY
    assert 12.0 <= await reaches(lambda: second.may_write, 30.0) <= 15.6


async def test_labels_and_annotations_of_the_lease_cost_the_leader_nothing(
    server: LeaseStore,
) -> None:
    first, _ = await leader_and_standby(server)
    for number in range(5):
        labels = {"number": str(number)}
        server.merge(ObjectKind.LEASE, KEY, {"metadata": {"labels": labels}})
        await asyncio.sleep(1)
    await asyncio.sleep(30)
    assert [role for role, _ in first.when] == [LeaderRole.LEADING]


# --- giving up ------------------------------------------------------------------------------


async def test_resigning_without_a_server_ends_in_a_few_seconds(
    server: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = await leader_and_standby(server)
    first.line.there = 3600.0
    start = time()
    await first.stop()
    assert time() - start <= 3.01
    assert "is not given up, and runs out by itself" in caplog.text


async def test_one_that_stands_by_gives_up_nothing(server: LeaseStore) -> None:
    first, second = await leader_and_standby(server)
    await second.stop()
    assert set(second.line.asked) == {"get"}
    assert first.role is LeaderRole.LEADING
    assert server.holder == "first"


async def test_resigning_overtakes_a_renewal_that_is_still_on_its_way(
    server: LeaseStore,
) -> None:
    first, second = await leader_and_standby(server)
    first.line.there = 0.3
    asked = len(first.line.asked)
    await reaches(lambda: len(first.line.asked) > asked, 5.0)
    await first.stop()
    assert server.holder == ""
    assert await reaches(lambda: second.may_write, 15.0) <= 0.6


async def test_a_lease_that_somebody_else_has_is_not_given_up(server: LeaseStore) -> None:
    first, _ = await leader_and_standby(server)
    await first.crash()
    server.edit_lease(holderIdentity="third")
    await first.elector.resign_lease()
    assert server.holder == "third"


# --- the fence ---------------------------------------------------------------------------


NGINX = ObjectKey("default", "nginx0")
UP = {"state": "up"}
BODY = {"metadata": {"namespace": "default"}}

Write = Callable[[KubeClient], Awaitable[object]]
WRITES: Mapping[str, Write] = {
    "replace_status": lambda client: client.replace_status(ObjectKind.BACKEND, NGINX, 101, UP),
    "patch_status": lambda client: client.patch_status(ObjectKind.BACKEND, NGINX, {"status": UP}),
    "create_event": lambda client: client.create_event({}),
    "create": lambda client: client.create_object(ObjectKind.BACKEND, BODY),
    "replace": lambda client: client.replace_object(ObjectKind.BACKEND, NGINX, BODY),
    "patch": lambda client: client.patch_object(ObjectKind.BACKEND, NGINX, BODY),
    "delete": lambda client: client.delete_object(ObjectKind.BACKEND, NGINX),
}
each_write = pytest.mark.parametrize("make", WRITES.values(), ids=WRITES)


class SlowClient(KubeClient):
    """A client whose requests take 5 seconds, and are remembered."""

    def __init__(self) -> None:
        self.health, self.under_way = RequestHealth(), 0
        self.requests: list[tuple[str, str, object]] = []
        self.fault: ApiUnreachable | None = None

    async def _send_request(self, method: str, path: str, **options: Any) -> JsonObject:
        self.requests.append((method, path, options.get("body")))
        self.under_way += 1
        try:
            await asyncio.sleep(5.0)
        finally:
            self.under_way -= 1
        if self.fault is not None:
            raise self.fault
        return {"metadata": {"name": "nginx0", "resourceVersion": "1"}}


@pytest.fixture
def api() -> SlowClient:
    return SlowClient()


async def write(api: SlowClient, fence: WriteFence) -> Mapping[str, object]:
    client = FencedClient(api, fence)
    return await client.patch_status(ObjectKind.BACKEND, NGINX, {"status": {"state": "up"}})


@each_write
async def test_without_a_permit_no_write_is_even_sent(api: SlowClient, make: Write) -> None:
    with pytest.raises(WriteFenced):
        await make(FencedClient(api, WriteFence()))
    assert api.requests == []


@each_write
async def test_with_a_permit_each_write_is_sent_as_it_is(api: SlowClient, make: Write) -> None:
    fence, other = WriteFence(), SlowClient()
    fence.extend_until(6.0)
    await make(FencedClient(api, fence))
    await make(other)
    assert api.requests == other.requests


async def test_reading_needs_no_permit(api: SlowClient) -> None:
    client = FencedClient(api, WriteFence())
    assert (await client.list_objects(ObjectKind.BACKEND)).resource_version == "1"
    assert await client.get_object(ObjectKind.BACKEND, NGINX)


async def test_a_write_is_made_while_the_permit_lasts(api: SlowClient) -> None:
    fence = WriteFence()
    fence.extend_until(6.0)
    assert await write(api, fence)
    assert len(api.requests) == 1


async def test_a_write_under_way_is_cut_off_when_the_permit_ends(api: SlowClient) -> None:
    fence = WriteFence()
    fence.extend_until(4.0)
    with pytest.raises(WriteFenced):
        await write(api, fence)
    assert asyncio.get_running_loop().time() == 4.0
    assert api.under_way == 0


async def test_a_permit_that_is_extended_covers_what_is_under_way(api: SlowClient) -> None:
    fence = WriteFence()
    fence.extend_until(4.0)
    asyncio.get_running_loop().call_later(2, fence.extend_until, 6.0)
    await write(api, fence)
    assert asyncio.get_running_loop().time() == 5.0


async def test_revoking_cuts_off_at_once_and_for_good(api: SlowClient) -> None:
    fence = WriteFence()
    fence.extend_until(100.0)
    asyncio.get_running_loop().call_later(2, fence.close_now)
    with pytest.raises(WriteFenced):
        await write(api, fence)
    assert asyncio.get_running_loop().time() == 2.0
    with pytest.raises(WriteFenced):
        await write(api, fence)
    assert len(api.requests) == 1


async def test_the_clock_is_read_before_a_write_and_no_timer_is_waited_for(
    api: SlowClient,
) -> None:
    fence = WriteFence()
    fence.extend_until(3.0)
    await asyncio.sleep(3.0)
    with pytest.raises(WriteFenced):
        await write(api, fence)
    assert api.requests == []


async def test_a_failure_of_the_server_stays_what_it_is(api: SlowClient) -> None:
    fence = WriteFence()
    fence.extend_until(100.0)
    api.fault = ApiUnreachable("refused")
    with pytest.raises(ApiUnreachable, match="refused"):
        await write(api, fence)

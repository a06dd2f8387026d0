"""What an agent says of operators that it does not hear."""

import asyncio

import pytest

from fakes.api_server import FakeApiServer
from vpplb.agent.operator_observer import LOST_AFTER, SILENT_AFTER, OperatorObserver
from vpplb.direct.messages import OperatorAddress
from vpplb.direct.operator_directory import dump_operator, name_annotation
from vpplb.kube.api_types import ApiError
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.resources.conditions import StatusCondition

pytestmark = pytest.mark.looptime

LEASE = ObjectKey("kube-system", "vpplb-operator")

OPERATOR = OperatorAddress(identity="op_1", address="10.0.0.1:9443", fingerprint="ab" * 32)
ENTRY = {
    name_annotation("op_1"): dump_operator(OPERATOR, ReleaseIdentity("vpplb-system"), "1", "t")
}


class ObservedElection:
    """An agent that looks each five seconds, at a lease that is renewed while an operator lives."""

    def __init__(self, *, has_road: bool = True, offered: bool = True, led: bool = False) -> None:
        self.offered = offered
        self.server, self.led, self.lives = FakeApiServer(), led, True
        self.heard: StatusCondition | None = None
        self.lasts: object = 15
        self._beats = 0
        self.observer = OperatorObserver(
            client=self.server,
            lease=LEASE,
            namespaces=(),
            has_road=has_road,
            is_led=lambda: self.led,
            tell=self._tell,
        )

    def _tell(self, heard: StatusCondition) -> None:
        self.heard = heard

    async def look_for(self, seconds: float) -> tuple[str, str]:
        for _ in range(int(seconds / 5)):
            if self.lives:
                self._beats += 1
                lease = self.server.add(ObjectKind.LEASE, LEASE, {})
                lease["metadata"]["annotations"] = ENTRY if self.offered else {}
                renewed = f"2026-01-01T12:{self._beats:02}:00Z"
                lease["spec"] = {
                    "holderIdentity": "op_1",
                    "renewTime": renewed,
                    "leaseDurationSeconds": self.lasts,
                }
            if (found := await self.observer.judge_operator()) is not None:
                self.heard = found
            await asyncio.sleep(5)
        return (self.heard.status, self.heard.reason) if self.heard else ("", "")


async def test_a_leader_that_is_connected_is_heard_and_its_lease_is_not_looked_at() -> None:
    election = ObservedElection(led=True)
    assert await election.look_for(60) == ("True", "Direct")
    assert [one for one in election.server.requests if one[0] == "get"] == []


async def test_the_road_is_lost_where_the_lease_is_renewed_and_nobody_is_heard() -> None:
    election = ObservedElection(led=True)
    await election.look_for(5)
    election.led = False
    assert await election.look_for(LOST_AFTER) == ("True", "Direct")
    assert await election.look_for(10) == ("False", "DirectRoadLost")
    election.led = True
    assert await election.look_for(5) == ("True", "Direct")


async def test_nobody_leads_where_the_lease_is_not_renewed_either_and_its_time_is_said() -> None:
    election = ObservedElection(led=True)
    await election.look_for(5)
    election.lives = election.led = False
    assert await election.look_for(SILENT_AFTER) == ("True", "Direct")
    assert await election.look_for(10) == ("False", "NobodyLeads")
    assert election.heard is not None
    assert election.heard.message == (
        "as of 2026-01-01T12:01:00Z, nobody has probed since: no operator renews lease"
        " kube-system/vpplb-operator"
    )
    election.lives = True
    assert await election.look_for(10) == ("False", "DirectRoadLost")


async def test_a_lease_that_nobody_ever_made_is_renewed_by_nobody() -> None:
    election = ObservedElection()
    election.lives = False
    assert await election.look_for(SILENT_AFTER + 10) == ("False", "NobodyLeads")


async def test_without_a_direct_road_a_lease_that_is_renewed_is_enough() -> None:
    assert await ObservedElection(has_road=False).look_for(30) == ("True", "LeaseRenewed")


async def test_a_leader_that_offers_no_direct_road_has_none_that_could_be_lost() -> None:
    election = ObservedElection(offered=False)
    assert await election.look_for(30) == ("True", "LeaseRenewed")
    assert election.heard is not None
    assert election.heard.message == "an operator leads; it has the direct road off"
    election.offered = True
    assert await election.look_for(5) == ("False", "DirectRoadLost")


async def test_a_lease_that_cannot_be_read_says_nothing_and_that_is_said() -> None:
    election = ObservedElection()
    election.server.refuse = lambda name: ApiError(403)
    assert await election.look_for(SILENT_AFTER) == ("", "")
    assert await election.look_for(10) == ("Unknown", "Unknown")


@pytest.mark.parametrize("lasts", [15, None, "x", 300], ids=str)
async def test_a_lease_that_lasts_longer_may_be_renewed_later(lasts: object) -> None:
    """Operators with `--lease-duration=5m` renew each 40 s; one that crashed is followed late."""
    election = ObservedElection(has_road=False)
    election.lasts = lasts
    assert await election.look_for(30) == ("True", "LeaseRenewed")
    election.lives = False
    whole = SILENT_AFTER + (285 if lasts == 300 else 0)
    assert await election.look_for(whole - 5) == ("True", "LeaseRenewed")
    assert await election.look_for(15) == ("False", "NobodyLeads")

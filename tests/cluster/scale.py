"""A fleet under one operator and one agent: what happened to it, as users and VPP saw it.

The programs are processes, as in a cluster; the API server is real. They share the machine with
whoever looks, so he looks at little: what reaches VPP is noted by the tap, writes are counted by
the API server, and objects are listed only once the operator says that it has written everything.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cluster.control_plane import ControlPlane
from cluster.fleet import Fleet
from cluster.stage import NodeStage, stage
from cluster.usage import writes
from lab.http_get import http_get
from lab.waiting import wait_for
from vpplb.kube.api_types import JsonObject
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind

QUIET = 3.0
"""Seconds without a write after which what was going on is over."""
_LOOK = 0.05
_SELDOM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrest:
    """What happened while nothing should have: transitions, changing calls to VPP, writes."""

    transitions: int
    calls: int
    writes: Mapping[str, int]

    def __str__(self) -> str:
        written = ", ".join(f"{count} {kind}" for kind, count in self.writes.items() if count)
        return (
            f"{self.transitions} transitions, {self.calls} changing calls to VPP, "
            f"{sum(self.writes.values())} API writes{f' ({written})' if written else ''}"
        )

    def __bool__(self) -> bool:
        return bool(self.transitions or self.calls or sum(self.writes.values()))


class Scale:
    """One fleet in one system, looked at as an administrator."""

    def __init__(
        self, fleet: Fleet, plane: ControlPlane, running: NodeStage, client: KubeClient
    ) -> None:
        self.fleet, self.plane, self.stage, self.client = fleet, plane, running, client

    # --- waiting ----------------------------------------------------------------------------

    async def until(
        self, done: Callable[[], bool], what: str, timeout: float = 300.0, every: float = _LOOK
    ) -> float:
        """Wait; return the time (`time.time()`) at which it was seen."""
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {timeout:.0f} s: {what}")
            await asyncio.sleep(every)
        return time.time()

    async def shown(self, backends: Mapping[str, int]) -> float:
        """Wait until so many Backends show each state, all Frontends one, and all is written.

        Return the time at which all was written.
        """
        deadline = time.monotonic() + 300
        while True:
            written = await self.until(self._all_written, "all is written", every=0.25)
            states = Counter([_state(raw) for raw in await self._list(ObjectKind.BACKEND)])
            frontends = Counter([_state(raw) for raw in await self._list(ObjectKind.FRONTEND)])
            if states == backends and frontends.keys() <= {"up", "down"}:
                return written
            if time.monotonic() > deadline:
                raise RuntimeError(f"statuses show {states}, {frontends}, not {backends}")
            await asyncio.sleep(1)

    def _all_written(self) -> bool:
        status, said = http_get(f"{self.stage.operator.http}/readyz")
        return bool(status and json.loads(said)["figures"]["writes_due"] == 0)

    async def _list(self, kind: ObjectKind) -> Sequence[JsonObject]:
        return (await self.client.list_objects(kind, self.fleet.namespace)).items

    async def known(self) -> float:
        """Wait until every backend's and frontend's status shows that it is up."""
        return await self.shown({"up": self.fleet.size})

    async def programmed(self) -> float:
        """Wait until the agent says that VPP has everything."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            found = await self.client.get_object(
                ObjectKind.DATAPLANE, ObjectKey("", self.stage.node)
            )
            shown = (found.get("status") or {}).get("frontends") or {}
            if shown.get("programmed") == self.fleet.frontends:
                return time.time()
            await asyncio.sleep(_SELDOM)
        raise RuntimeError("the Dataplane does not say that all frontends are programmed")

    async def quiet(self, seconds: float = QUIET, *, events: bool = True) -> None:
        """Wait until no status has been written for a while, and no event if they count.

        Events take their time, since only ten a second are sent.
        """

        def told() -> int:
            made = writes(self.plane.kubectl)
            return made.total() - (0 if events else made["events"])

        before, now = -1, await asyncio.to_thread(told)
        while before != now:
            await asyncio.sleep(seconds)
            before, now = now, await asyncio.to_thread(told)

    # --- what has happened ------------------------------------------------------------------

    def transitions(self) -> list[Mapping[str, str]]:
        """Return all transitions that the operator has logged so far."""
        lines = self.stage.operator.program.log.read_text().splitlines()
        told = (json.loads(line) for line in lines if '"vpplb.transitions"' in line)
        return [one for one in told if one["logger"] == "vpplb.transitions"]

    def restart_operator(self, end: Callable[[], object]) -> None:
        """End the operator by `end`, start it again, and return once it decides again."""
        program, before = self.stage.operator.program, self._beginnings()
        end()
        program.start()
        wait_for(lambda: self._beginnings() > before, "the operator decides again")

    def _beginnings(self) -> int:
        return self.stage.operator.program.log.read_text().count("reconciling begins")

    async def unrest(self, during: Callable[[], object], seconds: float) -> Unrest:
        """Do something that should change nothing; say what changed until `seconds` after it."""
        calls, transitions = len(self.stage.tap.calls), len(self.transitions())
        before = await asyncio.to_thread(writes, self.plane.kubectl)
        await asyncio.to_thread(during)
        await asyncio.sleep(seconds)
        after = await asyncio.to_thread(writes, self.plane.kubectl)
        return Unrest(
            transitions=len(self.transitions()) - transitions,
            calls=len(self.stage.tap.changes(calls)),
            writes=after - before,
        )

    async def reweighted(
        self, addresses: Iterable[str], weight: int, since: int, timeout: float = 60.0
    ) -> dict[str, float]:
        """Wait until VPP was told this weight for each server; return when, by server.

        Looked at are the calls from number `since` on.
        """
        missing, found = set(addresses), dict[str, float]()
        calls = self.stage.tap.calls
        place = since

        def done() -> bool:
            nonlocal place
            for call in calls[place:]:
                place += 1
                told = call.weight_set
                if told is not None and told[0] in missing and told[1] == weight:
                    missing.discard(told[0])
                    found[told[0]] = call.at
            return not missing

        await self.until(done, f"weight {weight} of {len(missing)} servers in VPP", timeout)
        return found

    async def decided(self, state: str, since: float) -> dict[str, float]:
        """Return when the deciding probe of each backend was, by address, if after `since`."""
        found = {}
        for raw in await self._list(ObjectKind.BACKEND):
            for shown in (raw.get("status") or {}).get("transitions") or ():
                at = datetime.fromisoformat(shown["at"]).timestamp()
                if shown["to"] == state and at >= since:
                    found[raw["spec"]["address"]] = at
        return found

    @property
    def doomed(self) -> list[str]:
        """Return the addresses of the backends that die together."""
        return self.fleet.addresses[: self.fleet.doomed * self.fleet.each]

    async def patch(self, frontend: int, weight: int) -> float:
        """Patch the weight of a frontend's first backend; return the seconds until VPP has it."""
        address = self.fleet.addresses[frontend * self.fleet.each]
        since = len(self.stage.tap.calls)
        spec = {"pools": self.fleet.pools(frontend, weight)}
        began = time.time()
        await self.client.patch_object(
            ObjectKind.FRONTEND, self.fleet.key(frontend), {"spec": spec}
        )
        return (await self.reweighted([address], weight, since))[address] - began


@asynccontextmanager
async def scale(plane: ControlPlane, fleet: Fleet, directory: Path) -> AsyncIterator[Scale]:
    """Start operator and agent on a fleet that is there already."""
    async with await KubeClient.from_config(plane.kubeconfig) as client:
        entered = stage(plane, directory)
        running = await asyncio.to_thread(entered.__enter__)
        try:
            yield Scale(fleet, plane, running, client)
        finally:
            await asyncio.to_thread(entered.__exit__, None, None, None)


def _state(raw: JsonObject) -> str:
    return str((raw.get("status") or {}).get("state", ""))

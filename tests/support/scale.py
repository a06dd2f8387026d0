"""A fleet under one operator and one agent: what happened to it, as users and VPP saw it.

The programs are processes, as in a cluster; the API server is real. What reaches VPP is noted by
the tap, what is written by a watch of our own and by the API server's own count of requests.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from support.api_watch import ApiWatch, watching
from support.control_plane import ControlPlane
from support.fleet import Fleet
from support.stage import Stage, stage
from support.usage import writes
from support.waiting import wait_for
from vpplb.kube.client import KubeClient
from vpplb.kube.kinds import BACKEND, DATAPLANE, EVENT, FRONTEND, HEALTH_CHECK, Kind
from vpplb.model.names import ObjectKey

QUIET = 3.0
"""Seconds without a write after which what was going on is over."""
_LOOK = 0.02


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
    """One fleet in one system."""

    def __init__(self, fleet: Fleet, plane: ControlPlane, running: Stage, watch: ApiWatch) -> None:
        self.fleet, self.plane, self.stage, self.watch = fleet, plane, running, watch

    # --- waiting ----------------------------------------------------------------------------

    async def until(self, done: Callable[[], bool], what: str, timeout: float = 300.0) -> float:
        """Wait; return the time (`time.time()`) at which it was seen."""
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {timeout:.0f} s: {what}")
            await asyncio.sleep(_LOOK)
        return time.time()

    async def known(self) -> float:
        """Wait until every backend's and frontend's status shows that it is up."""
        await self.shown(BACKEND, "up", self.fleet.size)
        return await self.shown(FRONTEND, "up", self.fleet.frontends)

    async def shown(self, kind: Kind, state: str, count: int) -> float:
        """Wait until the status of so many shows the state."""
        at = kind, self.fleet.namespace, state
        return await self.until(lambda: self.watch.states[at] == count, f"{count} {kind} {state}")

    async def programmed(self) -> float:
        """Wait until the agent says that VPP has everything."""
        node = ObjectKey("", self.stage.node)

        def done() -> bool:
            shown = self.watch.status(DATAPLANE, node).get("frontends") or {}
            return bool(shown.get("programmed") == self.fleet.frontends)

        return await self.until(done, "the Dataplane says that all frontends are programmed")

    async def quiet(self, seconds: float = QUIET, *, events: bool = True) -> None:
        """Wait until no status has been written for a while, and no event if they count.

        Events take their time, since only ten a second are sent.
        """

        def told() -> int:
            return self.watch.told if events else self.watch.writes.total()

        before = -1
        while before != (before := told()):  # noqa: ASYNC110
            await asyncio.sleep(seconds)

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

    def decided(self, state: str, since: float) -> dict[str, float]:
        """Return when the deciding probe of each backend was, by address, if after `since`."""
        found = {}
        for (kind, _), raw in self.watch.objects.items():
            transitions = (raw.get("status") or {}).get("transitions") if kind == BACKEND else ()
            for shown in transitions or ():
                at = datetime.fromisoformat(shown["at"]).timestamp()
                if shown["to"] == state and at >= since:
                    found[raw["spec"]["address"]] = at
        return found

    @property
    def doomed(self) -> list[str]:
        """Return the addresses of the backends that die together."""
        return self.fleet.addresses[: self.fleet.doomed * self.fleet.each]

    async def patch(self, client: KubeClient, frontend: int, weight: int) -> float:
        """Patch the weight of a frontend's first backend; return the seconds until VPP has it."""
        address = self.fleet.addresses[frontend * self.fleet.each]
        since = len(self.stage.tap.calls)
        spec = {"pools": self.fleet.pools(frontend, weight)}
        began = time.time()
        await client.patch(FRONTEND, self.fleet.key(frontend), {"spec": spec})
        return (await self.reweighted([address], weight, since))[address] - began


@asynccontextmanager
async def scale(plane: ControlPlane, fleet: Fleet, directory: Path) -> AsyncIterator[Scale]:
    """Start operator and agent on a fleet that is there already."""
    kinds = (BACKEND, FRONTEND, HEALTH_CHECK, DATAPLANE, EVENT)
    async with watching(plane.kubeconfig, kinds) as watch:
        entered = stage(plane, directory)
        running = await asyncio.to_thread(entered.__enter__)
        try:
            yield Scale(fleet, plane, running, watch)
        finally:
            await asyncio.to_thread(entered.__exit__, None, None, None)

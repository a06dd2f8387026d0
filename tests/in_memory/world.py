"""A reconciler and its surroundings; each step is followed by one run."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address

from data.objects import key
from fakes.clock import FakeClock
from fakes.prober import FakeProber
from vpplb.model.health import (
    HealthState,
    HealthTransition,
    ProbeCode,
    ProberAlarm,
    ProbeResponse,
    ProbeResult,
)
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.vip import IPAddress, Vip
from vpplb.plan.decisions import DecidedState, Decisions
from vpplb.reconcile.ports import CheckVerdict, ResponseChange, VerdictReason
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.backend import load_health
from vpplb.resources.node_report import NodeReport
from vpplb.resources.previous_decision import load_previous
from vpplb.resources.renderer import StatusRenderer
from vpplb.standalone.local_statuses import LocalObjects


class ToldDecisions:
    """Remembers decisions: `told` holds (what, name) in the order in which a program acts."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.transitions: list[HealthTransition] = []
        self.alarms: list[ProberAlarm | None] = []

    def note(self, decisions: Decisions) -> None:
        self.told += [("removed", f"{a.name} from {of.name}") for a, of in decisions.removals]
        self.told += [("frontend", key.name) for key in decisions.frontends]
        self.told += [("backend", key.name) for key in decisions.backends]
        self.told += [("healthcheck", key.name) for key in decisions.health_checks]
        self.told += [("transition", one.backend.name) for one in decisions.transitions]
        self.transitions += decisions.transitions
        self.alarms += [decisions.alarm] if decisions.alarm_changed else []

    def take(self) -> list[tuple[str, str]]:
        """Return what was told since the last call."""
        told, self.told = self.told, []
        return told


Object = Frontend | Backend | HealthCheck


class World:
    """The reconciler, what it probes with, and what it tells."""

    def __init__(
        self,
        *,
        synced: bool = True,
        clock: FakeClock | None = None,
        blind_guard: bool = True,
        holds_lease: Callable[[], bool] = lambda: True,
    ) -> None:
        self.prober = FakeProber()
        self.sink, self.decided = ToldDecisions(), DecidedState()
        self.clock = clock or FakeClock()
        self.time = 0.0
        self.reconciler = Reconciler(
            self.prober,
            self.clock,
            blind_guard=blind_guard,
            holds_lease=holds_lease,
            time=lambda: self.time,
        )
        self.store = self.reconciler.store
        if synced:
            self.reconciler.set_synced(1)
        with suppress(RuntimeError):  # without a loop only what a test asks for is decided
            self.start()

    def start(self) -> None:
        """Decide whenever something happens, too."""
        loop = asyncio.get_running_loop()
        self._running = loop.create_task(self.reconciler.run(self._note))

    def reconcile(self) -> None:
        """Decide on everything dirty, and take note of it."""
        self._note(self.reconciler.reconcile())

    def _note(self, decisions: Decisions) -> None:
        self.decided.apply_decisions(decisions)
        self.sink.note(decisions)

    # --- what happens -----------------------------------------------------------------------

    def put(self, *objects: Object) -> None:
        for one in objects:
            self.store.put_object(one)
        self.reconcile()

    def remove(self, *objects: Object) -> None:
        for one in objects:
            self.store.remove_object(ObjectKind(type(one).__name__), one.key)
        self.reconcile()

    def verdict(
        self,
        name: str,
        up: bool,
        generation: int | None = None,
        *,
        code: ProbeCode | None = None,
        alone: bool = False,
    ) -> None:
        """Have a check say this: the running one, or that of a `generation`."""
        current = self.prober.running[key(name)].generation if generation is None else generation
        code = code or (ProbeCode.L4OK if up else ProbeCode.L4CON)
        self.clock.advance(1)
        self.reconciler.on_response_change(
            ResponseChange(key(name), current, ProbeResult(code=code).response)
        )
        self.reconciler.on_verdict(
            CheckVerdict(
                backend=key(name),
                generation=current,
                up=up,
                code=code,
                detail="" if up else "connection refused",
                at=self.clock.now(),
                nobody_heard=alone,
            )
        )
        self.reconcile()

    def reason(
        self, name: str, code: ProbeCode, detail: str, *, generation: int | None = None
    ) -> None:
        """Have a check say why its verdict stands."""
        current = self.prober.running[key(name)].generation if generation is None else generation
        self.reconciler.on_reason(VerdictReason(key(name), current, code, detail))
        self.reconcile()

    def turn(self, name: str, response: ProbeResponse) -> None:
        """Have the running check's results turn."""
        current = self.prober.running[key(name)].generation
        self.reconciler.on_response_change(ResponseChange(key(name), current, response))
        self.reconcile()

    def fall_silent(self, name: str, *, alone: bool = False) -> None:
        """Have the running check say that its backend is down by silence."""
        self.verdict(name, up=False, code=ProbeCode.L4TOUT, alone=alone)

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due at the end of it happen."""
        self.time += seconds
        self.clock.advance(int(seconds))
        self.reconcile()

    def restarted(self) -> "World":
        """Return the world of the next operator: the same objects, with the statuses they show."""
        new = World(synced=False, clock=self.clock)
        new.time = self.time
        for name, status in self.statuses(ObjectKind.BACKEND, self.store.backends).items():
            new.reconciler.resume_backend(name, load_health(name, status))
        for name, status in self.statuses(ObjectKind.FRONTEND, self.store.frontends).items():
            new.reconciler.resume_frontend(name, load_previous(name, status))
        new.put(*self.objects())
        new.reconciler.set_synced(1)
        new.reconcile()
        return new

    # --- what is ----------------------------------------------------------------------------

    def objects(self) -> list[Object]:
        store = self.store
        return [
            *store.health_checks.values(),
            *store.backends.values(),
            *store.frontends.values(),
        ]

    def statuses(self, kind: ObjectKind, keys: Iterable[ObjectKey]) -> dict[ObjectKey, object]:
        """Render the statuses of these objects, as the API server gives them back."""
        objects = LocalObjects()
        renderer = StatusRenderer(objects, self.decided, lambda *_: NodeReport(), self.clock.now)
        shown: dict[ObjectKey, object] = {}
        for name in keys:
            objects.put_object(ObjectKind(kind), name, {})
            shown[name] = json.loads(json.dumps(renderer.render(ObjectKind(kind), name)))
        return shown

    def desired(self, name: str = "web") -> Vip:
        desired = self.reconciler.views[key(name)].desired
        assert desired is not None
        return desired

    def weights(self, name: str = "web") -> list[int]:
        """Return the effective weights in order of address."""
        return [server.weight for server in self.desired(name).servers.values()]

    def epochs(self) -> Mapping[tuple[ObjectKey, IPAddress], int]:
        """Return the flush epoch of every server of every frontend."""
        return {
            (name, address): server.flush_epoch
            for name, view in self.reconciler.views.items()
            for address, server in (view.desired.servers if view.desired else {}).items()
        }

    def epoch(self, at: str, name: str = "web") -> int:
        return self.desired(name).servers[ip_address(at)].flush_epoch

    def state(self, name: str) -> HealthState:
        return self.reconciler.get_health(key(name)).state

    def close(self) -> None:
        self.reconciler.close()

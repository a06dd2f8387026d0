"""Two operators of one election, each with a line of its own to the API server, and a VPP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cluster.api_proxy import ApiProxy, object_writes
from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob
from cluster.stage import NodeStage, ServiceProcess, electing, stage
from lab.http_get import http_get
from lab.waiting import wait_for

LEASE = 3.0
"""Duration of the lease, in seconds."""


@dataclass(slots=True)
class RunningOperator:
    """An operator and its line."""

    name: str
    service: ServiceProcess
    line: ApiProxy

    @property
    def role(self) -> str:
        """What it says it is; empty while it says nothing."""
        status, said = http_get(f"{self.service.http}/readyz")
        return str(json.loads(said)["role"]) if status else ""

    @property
    def says_it_leads(self) -> bool:
        """Whether its metric `vpplb_leader` is 1."""
        return "\nvpplb_leader 1.0\n" in http_get(f"{self.service.http}/metrics")[1]

    def written(self, since: float) -> list[str]:
        """Return what it has written of the users' objects since then (`time.monotonic`)."""
        return [f"{one.method} {one.path}" for one in self.line.requests(object_writes, since)]


@dataclass(slots=True)
class OperatorPair:
    """Both operators."""

    stage: NodeStage
    lease: str
    both: tuple[RunningOperator, RunningOperator]

    def roles(self) -> tuple[RunningOperator, RunningOperator]:
        """Return who leads and who stands by, once that is so; who had ended is started first."""
        for one in self.both:
            if not one.service.program.alive:
                one.service.program.start()
                one.service.wait_ready()
        wait_for(lambda: {"leading", "standby"} == {one.role for one in self.both}, "two roles")
        first, second = self.both
        return (first, second) if first.role == "leading" else (second, first)


@contextmanager
def pair(plane: ControlPlane, directory: Path) -> Iterator[OperatorPair]:
    """Run both operators, an agent and a VPP."""
    with ExitStack() as stack:
        lines = [stack.enter_context(ApiProxy(plane.operator_kubeconfig, directory)) for _ in "12"]
        planes = [replace(plane, operator_kubeconfig=line.kubeconfig) for line in lines]
        lease = f"pair-{directory.name}"[:60]
        options = [electing(name, lease, f"{LEASE:g}s") for name in ("first", "second")]
        running = stack.enter_context(stage(planes[0], directory, election=options[0]))
        (directory / "second").mkdir()
        second = ServiceProcess("operator", lines[1].kubeconfig, directory / "second", *options[1])
        stack.callback(second.program.stop)
        yield OperatorPair(
            running,
            lease,
            (
                RunningOperator("first", running.operator, lines[0]),
                RunningOperator("second", second, lines[1]),
            ),
        )


@dataclass(slots=True)
class Gap:
    """The longest time, in seconds, in which some server was not probed."""

    longest: float = 0.0
    _last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def look(self, counts: dict[str, int]) -> None:
        now = time.monotonic()
        for name, count in counts.items():
            before, since = self._last.get(name, (-1, now))
            self.longest = max(self.longest, now - since)
            if count != before:
                self._last[name] = (count, now)


@contextmanager
def measured_gap(job: MainJob, names: list[str]) -> Iterator[Gap]:
    """Measure how long these servers are not probed meanwhile, to some ten milliseconds."""
    gap, done = Gap(), threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            gap.look({name: job.probes(name) for name in names})

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield gap
    finally:
        done.set()
        thread.join()

"""Which worker probes which backend: each exactly one, and where it is it stays.

Sans-I/O. The load is what the checks are expected to cost, by type and interval
(docs/probing.md has the figures as measured): a second worker is worth its memory only where
one core would not do.
"""

from typing import assert_never

from vpplb.model.check import CheckSpec, HttpProbe, IcmpProbe, TcpProbe
from vpplb.model.names import ObjectKey
from vpplb.reconcile.ports import ProbeAssignment

FULL = 0.7
"""Share of a core that a worker is to be busy at most: above, probes would often be late."""

_ICMP, _TCP, _HTTP, _TLS = 30e-6, 40e-6, 65e-6, 700e-6  # seconds of CPU a probe


def load_of(spec: CheckSpec) -> float:
    """Return the share of a core that a check is expected to need."""
    match spec.probe:
        case IcmpProbe():
            cost = _ICMP
        case TcpProbe(tls=None):
            cost = _TCP
        case HttpProbe(tls=None):
            cost = _HTTP
        case TcpProbe() | HttpProbe():
            cost = _TLS
        case _:
            assert_never(spec.probe)
    return cost / spec.cadence.interval.total_seconds()


class WorkerPlacement:
    """Backends on workers, which are numbered from 0. `workers` is how many there are.

    `most` is how many there may be: a further one is opened when all others are full.
    """

    def __init__(self, *, workers: int, most: int) -> None:
        self.workers = workers
        self._most = most
        self._loads = [0.0] * workers
        self._homes: dict[ObjectKey, tuple[int, float]] = {}

    def place_check(self, assignment: ProbeAssignment) -> int:
        """Place a backend, or give one that has its place another load; return the worker."""
        load = load_of(assignment.spec)
        found = self._homes.get(assignment.backend)
        if found is not None:
            home = found[0]
            self._loads[home] -= found[1]
        else:
            home = min(range(self.workers), key=self._loads.__getitem__)
            if self._loads[home] + load > FULL and self.workers < self._most:
                home = self.workers
                self.workers += 1
                self._loads.append(0.0)
        self._loads[home] += load
        self._homes[assignment.backend] = home, load
        return home

    def remove_backend(self, backend: ObjectKey) -> int | None:
        """Forget a backend; return the worker it was with, None if with none."""
        found = self._homes.pop(backend, None)
        if found is None:
            return None
        self._loads[found[0]] -= found[1]
        return found[0]

    def home_of(self, backend: ObjectKey) -> int | None:
        """Return the worker of a backend, None if it has none."""
        found = self._homes.get(backend)
        return None if found is None else found[0]

"""What a program measures of itself: figures for `/healthz` and `/readyz`, series for `/metrics`.

And the checks that follow from them, each in a few words when something is wrong.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from vpplb.telemetry import catalog
from vpplb.telemetry.http import Check
from vpplb.telemetry.metrics import make_gauge, make_gauges

LAG_EVERY = 0.5
"""Seconds between two samples."""
LAG_WINDOW = 30.0
"""Seconds for which the worst sample counts."""
_SAMPLES = int(LAG_WINDOW / LAG_EVERY)
API_LIMIT = 30.0
"""Seconds without an answer after which the API server counts as unreachable. It is asked every
few seconds in any case: leases are renewed or looked at."""
GONE_LIMIT = 60.0
"""Seconds after which processes that do not come back are a reason to begin anew."""


@dataclass(slots=True)
class LoopLag:
    """How late the event loop that runs `run` comes to its work.

    Nobody has to judge a loop that hangs: its HTTP server does not answer, and whoever asked sees
    that. What is measured here is the slowness before that.
    """

    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    _due: float | None = None

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._due = clock() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._samples.append(clock() - self._due)

    def worst_seconds(self) -> float:
        """Return by how many seconds the loop was late at worst of late, being late now included.

        To be called on that loop.
        """
        late = 0.0 if self._due is None else asyncio.get_running_loop().time() - self._due
        return max(0.0, late, *self._samples)


@dataclass(slots=True, eq=False, kw_only=True)
class ProcessHealth(Collector):
    """The figures of one program; what it does not have is left out.

    `watch_ages` gives by kind, and `api_age`, the seconds since the API server last answered, and
    `api_trouble` why it does not; `writes_due` how many objects have a status that is still to be
    written, and `write_tokens` how many may be at once; `processes` how many probing processes
    work, and how many should, `lateness` by how many seconds each was late at worst of late, and
    `prober` what keeps them from it; `reload` whether the newest manifests are in force, and when
    (Unix seconds) any last came to be. Figures are read on the program's loop.
    """

    lag: LoopLag = field(default_factory=LoopLag)
    watch_ages: Callable[[], Mapping[str, float]] | None = None
    api_age: Callable[[], float] | None = None
    api_trouble: Callable[[], str] = str
    writes_due: Callable[[], int] | None = None
    write_tokens: Callable[[], float] | None = None
    processes: Callable[[], tuple[int, int]] | None = None
    lateness: Callable[[], Sequence[float]] | None = None
    prober: Callable[[], str | None] = lambda: None
    reload: Callable[[], tuple[bool, float]] | None = None

    def list_figures(self) -> dict[str, object]:
        """Give all figures in JSON's types, seconds to the millisecond."""
        figures: dict[str, object] = {"loop_lag_seconds": round(self.lag.worst_seconds(), 3)}
        if self.watch_ages is not None:
            ages = self.watch_ages()
            figures["watch_age_seconds"] = {kind: round(age, 3) for kind, age in ages.items()}
        if self.api_age is not None:
            figures["api_last_success_seconds"] = round(self.api_age(), 3)
        if self.writes_due is not None:
            figures["writes_due"] = self.writes_due()
        if self.processes is not None:
            working, wanted = self.processes()
            figures["probe_workers"] = {"working": working, "wanted": wanted}
        return figures

    def collect(self) -> Iterator[Metric]:
        yield make_gauge(catalog.LOOP_LAG, self.lag.worst_seconds())
        if self.watch_ages is not None:
            yield make_gauges(catalog.WATCH_AGE, self.watch_ages())
        if self.api_age is not None:
            yield make_gauge(catalog.API_AGE, self.api_age())
        if self.writes_due is not None:
            yield make_gauge(catalog.WRITES_DUE, self.writes_due())
        if self.write_tokens is not None:
            yield make_gauge(catalog.WRITE_TOKENS, self.write_tokens())
        if self.processes is not None:
            yield make_gauge(catalog.PROBE_WORKERS, self.processes()[0])
        if self.lateness is not None:
            late = {str(worker): seconds for worker, seconds in enumerate(self.lateness())}
            yield make_gauges(catalog.WORKER_LATENESS, late)
        if self.reload is not None:
            in_force, taken_at = self.reload()
            yield make_gauge(catalog.RELOAD_SUCCESSFUL, float(in_force))
            yield make_gauge(catalog.RELOAD_SUCCESS_TIME, taken_at)

    def check_api(self) -> str | None:
        """Say that the API server does not answer, or does not do what it is asked."""
        if trouble := self.api_trouble():
            return trouble
        age = self.api_age() if self.api_age is not None else 0.0
        return f"the API server has not answered for {age:.0f} s" if age > API_LIMIT else None

    def check_probers(self) -> str | None:
        """Say that probing processes are missing, or cannot probe."""
        working, wanted = self.processes() if self.processes is not None else (0, 0)
        missing = f"{working} of {wanted} probing processes work" if working < wanted else None
        return missing or self.prober()

    def check_any_prober(self) -> str | None:
        """Say that no probing process works at all."""
        working, wanted = self.processes() if self.processes is not None else (0, 0)
        return "no probing process works" if wanted and not working else None


def complain_late(
    check: Check, seconds: float = GONE_LIMIT, clock: Callable[[], float] = time.monotonic
) -> Check:
    """Make a check that complains only when `check` has done so for so many seconds on end."""
    since: float | None = None

    def judge() -> str | None:
        nonlocal since
        wrong = check()
        if wrong is None:
            since = None
            return None
        since = clock() if since is None else since
        return wrong if clock() - since >= seconds else None

    return judge

"""Watches the prober by what its checks find, and says which backends count as up though down.

It judges with `plan.guard`. While the prober is in doubt, backends that are silent are excused:
they keep their weight when they go down. An excuse ends with the backend's own verdict up or bad
answer, or some time after the prober is trusted again, long enough for two probes: one to answer,
and one to see that it lasts. Who passes then is excused until its verdict: recovering takes no
weight away. Who alone fell silent while nobody was heard, by chance, is not excused any longer.
"""

import asyncio
from collections.abc import Callable, Collection
from heapq import heappop, heappush
from math import inf
from typing import assert_never

from vpplb.model.check import Cadence
from vpplb.model.health import BackendHealth, HealthState, Response
from vpplb.model.names import ObjectKey
from vpplb.plan.guard import Alarm, News, Standing, Suspicion, judge
from vpplb.reconcile.muster import Muster, Probed


class Sentry:
    """The guard against a blind prober.

    `wake` is called when a review is due though nothing has happened. `time` gives the seconds
    of a clock that never goes back; None: the running loop's. Not `enabled`, it holds nothing.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        enabled: bool = True,
        time: Callable[[], float] | None = None,
    ) -> None:
        self.suspicion = Suspicion.TRUSTED
        self.muster = Muster()
        self._enabled = enabled
        self._wake = wake
        self._time = time or _loop_time
        self._stale = False  # something has happened since the last review
        self._silence = self._answer = self._alone = False
        self._fallen: list[ObjectKey] = []  # by silence, since the last review
        self._excused: set[ObjectKey] = set()  # without an end
        self._ends: list[tuple[float, ObjectKey]] = []  # of the excuses of others, a heap
        self._touched: set[ObjectKey] = set()
        self._timer: asyncio.TimerHandle | None = None

    # --- what happens -----------------------------------------------------------------------

    def watch(self, key: ObjectKey, cadence: Cadence, health: BackendHealth) -> None:
        """A check begins, or begins anew, with this health of the backend."""
        up = health.counts_as_up
        doubted = up and self.doubts(key)
        self.unwatch(key)
        held = up and health.state is HealthState.DOWN  # by whoever probed before
        one = Probed(cadence, Standing(counted=up, doubted=doubted), up=up and not held)
        one.held = held
        self.muster.add(key, one)
        if doubted or held:
            self._excuse(key, one)
            self._alone |= held

    def unwatch(self, key: ObjectKey) -> None:
        """A check ended."""
        self._stale = True
        self._excused.discard(key)
        self.muster.remove(key)

    def heard(self, response: Response) -> None:
        """A probe had this response; whose it was does not matter."""
        self._stale = True
        self._answer |= response is not Response.SILENT

    def turned(self, key: ObjectKey, response: Response) -> None:
        """The results of a running check have turned."""
        self.heard(response)
        one = self.muster.get(key)
        if one is None:
            return
        self.muster.turned(one, response)
        match response:
            case Response.PASSED:
                if one.excused is not None:
                    self.muster.count(one, True)
            case Response.ANSWERED:
                self._blame(key, one)
            case Response.STALLED:  # it may have begun before the prober saw again
                self._fail_again(key, one)
            case Response.SILENT:
                self._silence |= one.standing.counted
                if self.suspicion is Suspicion.SUSPECTED and one.standing.counted:
                    self._doubt(key, one)
                else:
                    self._fail_again(key, one)
            case _:
                assert_never(response)

    def decided(self, key: ObjectKey, *, up: bool, alone: bool) -> None:
        """A running check has a verdict; `alone` as in `reconcile.ports.Verdict`."""
        self._stale = True
        one = self.muster.get(key)
        if one is None:
            return
        if up:
            one.held, one.excused = False, None
            self._excused.discard(key)
            self.muster.rose(one)
            return
        self.muster.fell(key, one, self._time())
        if one.excused is not None and one.standing.response is not Response.ANSWERED:
            self._hold(key, one)
        elif one.standing.counted and one.is_silent:
            self._fallen.append(key)
            self._alone |= alone

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    # --- what comes of it -------------------------------------------------------------------

    def review(self) -> Collection[ObjectKey]:
        """Judge anew; return the backends that may be held, or doubted, otherwise than before."""
        now = self._time()
        if not self._stale and not (self._ends and self._ends[0][0] <= now):
            return ()
        self._stale = False
        self.muster.forget_falls(now)
        before, self.suspicion = self.suspicion, self._judge()
        fallen, self._fallen = self._fallen, []
        if self.suspicion is Suspicion.TRUSTED:
            if before is Suspicion.SUSPECTED:
                self._doubt_nobody()
            if not self._enabled:
                self._excuse_nobody()
            elif self._excused:
                self._trust(now, was_suspected=before is Suspicion.SUSPECTED)
            self._end_excuses(now)
        else:
            if self.suspicion is not before and self.suspicion is Suspicion.SUSPECTED:
                self._suspect()
            for key in fallen:
                if (one := self.muster.get(key)) is not None and one.standing.counted:
                    self._excuse(key, one)
                    self._hold(key, one)
        touched, self._touched = self._touched, set()
        return touched

    @property
    def alarm(self) -> Alarm | None:
        """Why the prober is suspected; None while it is not."""
        if self.suspicion is not Suspicion.SUSPECTED:
            return None
        now = self.muster.tally
        return Alarm(silent=now.silent, were_up=now.were_up)

    def holds(self, key: ObjectKey) -> bool:
        """Whether a backend counts as up although it is down."""
        one = self.muster.get(key)
        return one is not None and one.held

    def doubts(self, key: ObjectKey) -> bool:
        """Whether a backend is among those for whose silence the prober is suspected."""
        one = self.muster.get(key)
        return one is not None and one.standing.doubted

    # --- pieces -----------------------------------------------------------------------------

    def _judge(self) -> Suspicion:
        news = News(silence=self._silence, answer=self._answer, alone=self._alone)
        self._silence = self._answer = self._alone = False
        if not self._enabled:
            return Suspicion.TRUSTED
        return judge(self.suspicion, self.muster.tally, news)

    def _suspect(self) -> None:
        """Doubt all that are silent, and hold those that this has taken down lately."""
        for key, one in self.muster.items():
            if one.excused is not None:  # since an earlier suspicion
                self.muster.count(one, True)
                self._excuse(key, one)
            if one.standing.counted and one.standing.response is Response.SILENT:
                self._doubt(key, one)
                if one.fell is not None:
                    self._hold(key, one)

    def _trust(self, now: float, *, was_suspected: bool) -> None:
        """Set an end to all excuses; to those by mere chance at once."""
        silent = [key for key in self._excused if self.muster[key].is_silent]
        if not was_suspected and len(silent) == 1:
            self._blame(silent[0], self.muster[silent[0]])
        elif silent:  # probes of others may be on their way
            self._excused |= {key for key, one in self.muster.items() if one.up}
        for key in self._excused:
            one = self.muster[key]
            one.failed_again = False
            self._excuse_until(now + one.grace, key, one)
            # Or those that are silent still would begin the next suspicion.
            if one.is_silent:
                self.muster.count(one, False)
        self._excused.clear()

    def _end_excuses(self, now: float) -> None:
        """End what is over, but for those that pass, and await the next."""
        while self._ends and self._ends[0][0] <= now:
            at, key = heappop(self._ends)
            one = self.muster.get(key)
            if one is not None and one.excused == at and not (one.held and one.passes):
                self._blame(key, one)
        self.close()
        if self._ends:
            wait = self._ends[0][0] - now
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _fail_again(self, key: ObjectKey, one: Probed) -> None:
        """Excuse one anew, if its excuse has an end, but once: who is to blame is not known yet."""
        if one.excused is None or one.excused == inf:
            return
        if one.failed_again:
            self._excuse_until(one.excused, key, one)
        else:
            one.failed_again = True
            self._excuse_until(self._time() + one.grace, key, one)

    def _excuse_until(self, end: float, key: ObjectKey, one: Probed) -> None:
        one.excused = end
        heappush(self._ends, (end, key))

    def _doubt(self, key: ObjectKey, one: Probed) -> None:
        self.muster.stand(one, one.standing._replace(doubted=True))
        self._excuse(key, one)
        self._touched.add(key)

    def _doubt_nobody(self) -> None:
        for key, one in self.muster.items():
            if one.standing.doubted:
                self.muster.stand(one, one.standing._replace(doubted=False))
                self._touched.add(key)

    def _excuse_nobody(self) -> None:
        for key in list(self._excused):
            self._blame(key, self.muster[key])

    def _excuse(self, key: ObjectKey, one: Probed) -> None:
        one.excused = inf
        self._excused.add(key)

    def _hold(self, key: ObjectKey, one: Probed) -> None:
        one.held = True
        self._touched.add(key)

    def _blame(self, key: ObjectKey, one: Probed) -> None:
        """Excuse a backend no longer."""
        if one.excused is None:
            return
        one.excused = None
        self._excused.discard(key)
        self._touched.add(key)
        self.muster.blame(one, self._time())


def _loop_time() -> float:
    return asyncio.get_running_loop().time()

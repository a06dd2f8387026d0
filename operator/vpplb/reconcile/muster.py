"""The probed backends as `plan.guard` counts them, with the sums kept at each change.

A backend that was up stays counted for the detection window after it went down, by whatever it
answers then: that is how long a common cause may take to show everywhere. One that went down by
an answer and is silent only later is not, for no silence took it down.
"""

from collections import Counter, deque
from collections.abc import Iterator

from vpplb.health.cadence import detection_time, return_time
from vpplb.model.check import Cadence
from vpplb.model.health import Response
from vpplb.model.names import ObjectKey
from vpplb.plan.guard import Standing, Tally, detection_window, tally


class Probed:
    """A probed backend.

    `grace` is the time of two probes when it is down, in seconds. `up`: as measured. `fell` is
    when it went down, None if it was not counted then. `held`: it counts as up though it is down.
    `excused` is until when its silence is not blamed on it, None: it is; it holds until a verdict
    if the backend passes then. `failed_again`: it was excused anew since.
    """

    __slots__ = (
        "detection",
        "excused",
        "failed_again",
        "fell",
        "grace",
        "held",
        "standing",
        "up",
    )

    def __init__(self, cadence: Cadence, standing: Standing, *, up: bool) -> None:
        self.detection = detection_time(cadence).total_seconds()
        self.grace = return_time(cadence).total_seconds()
        self.standing = standing
        self.up = up
        self.fell: float | None = None
        self.held = False
        self.excused: float | None = None
        self.failed_again = False

    @property
    def is_silent(self) -> bool:
        """Whether the last result was silence."""
        return self.standing.response is Response.SILENT

    @property
    def passes(self) -> bool:
        """Whether the last probe passed."""
        return self.standing.response is Response.PASSED


class Muster:
    """All probed backends. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._probed: dict[ObjectKey, Probed] = {}
        self._standings: Counter[Standing] = Counter()
        self._detections: Counter[float] = Counter()
        self._window: float | None = None  # None: to be computed anew
        self._falls: deque[tuple[float, ObjectKey]] = deque()

    def __iter__(self) -> Iterator[Probed]:
        return iter(self._probed.values())

    def items(self) -> Iterator[tuple[ObjectKey, Probed]]:
        """Give all backends with what is known of them."""
        return iter(self._probed.items())

    def __getitem__(self, key: ObjectKey) -> Probed:
        return self._probed[key]

    def get(self, key: ObjectKey) -> Probed | None:
        """Return a backend; None when it is not probed."""
        return self._probed.get(key)

    def add(self, key: ObjectKey, one: Probed) -> None:
        """Take a backend in, that is not there."""
        self._probed[key] = one
        self._standings[one.standing] += 1
        self._detections[one.detection] += 1
        self._window = None

    def remove(self, key: ObjectKey) -> None:
        """Forget a backend, if it is there."""
        one = self._probed.pop(key, None)
        if one is not None:
            self._standings[one.standing] -= 1
            self._detections[one.detection] -= 1
            self._window = None

    def stand(self, one: Probed, standing: Standing) -> None:
        """Let a backend stand so from now on."""
        self._standings[one.standing] -= 1
        self._standings[standing] += 1
        one.standing = standing

    def count(self, one: Probed, counted: bool) -> None:
        """Count a backend among those that were up, or do not."""
        self.stand(one, one.standing._replace(counted=counted))

    def turned(self, one: Probed, response: Response) -> None:
        """Take note of what a backend answers from now on."""
        was = one.standing
        late = (
            one.fell is not None
            and not one.held
            and was.response in (Response.ANSWERED, Response.STALLED)
            and response is Response.SILENT
        )
        self.stand(one, was._replace(response=response, counted=was.counted and not late))

    def rose(self, one: Probed) -> None:
        """Take note that a backend is up."""
        one.up, one.fell = True, None
        self.count(one, True)

    def fell(self, key: ObjectKey, one: Probed, now: float) -> None:
        """Take note that a backend went down; if it was not up that is nothing new."""
        one.up = False
        if one.standing.counted:
            one.fell = now
            self._falls.append((now, key))

    def forget_falls(self, now: float) -> None:
        """Count those no longer that went down before the window, unless they are held."""
        begin = now - self.window
        while self._falls and self._falls[0][0] < begin:
            at, key = self._falls.popleft()
            one = self._probed.get(key)
            if one is not None and one.fell == at and not one.held:
                self.count(one, False)

    def blame(self, one: Probed, now: float) -> None:
        """Excuse a backend no longer: it is as measured, and counts accordingly."""
        one.held, one.excused = False, None
        lately = one.fell is not None and one.fell >= now - self.window
        self.count(one, one.up or lately)

    @property
    def window(self) -> float:
        """The detection window, in seconds."""
        if self._window is None:
            self._window = detection_window(self._detections)
        return self._window

    @property
    def tally(self) -> Tally:
        """The sums."""
        return tally(self._standings)

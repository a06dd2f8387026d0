"""Whether the prober itself has gone blind: the judgement over all checks at once.

One prober speaks for all nodes. When it loses its own network everything looks dead, and to act
on that would take the whole service down. So while nine in ten of the backends that were up
are silent at once, and none of the others that fail has answered, weights stay as they were.

Those that *were up* are the checks that count as up, and those that went down within the
detection window. Each counts by its last result: one that has not been probed since the silence
began has not failed. That alone would come too late where one failure takes a backend down, or
where some are probed seldom. So a prober that has heard nobody at all since a backend fell silent
says so, and makes the guard UNSURE: falls by silence have no effect yet, until somebody
answers, and they have, or until enough are silent.

Numbers in, a judgement out; who counts them is `reconcile.sentry`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, assert_never

from vpplb.model.health import Response

FEWEST_PROBED = 10
"""With fewer backends probed, that all fall silent says too little."""


class Suspicion(Enum):
    """What is thought of the prober. UNSURE is said to nobody: it lasts a probe or two."""

    TRUSTED = "trusted"
    UNSURE = "unsure"
    SUSPECTED = "suspected"


class Standing(NamedTuple):
    """What one probed backend adds to the judgement.

    `counted`: it was up. `response`: of its last result, None before the first. `doubted`: it
    has been silent since, or after, the prober was suspected.
    """

    counted: bool = False
    response: Response | None = None
    doubted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many backends are probed, and of those that were up, how many are how.

    Of the `doubted`, `returned` answer again.
    """

    probed: int = 0
    were_up: int = 0
    silent: int = 0
    answered: int = 0
    doubted: int = 0
    returned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened since the last judgement.

    `silence`: one that was up fell silent. `answer`: somebody answered who was not heard before,
    or was asked for. `alone`: one is down by silence while nobody was heard.
    """

    silence: bool = False
    answer: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Why the prober is suspected: so many were up, and so many of them are silent."""

    silent: int
    were_up: int


def tally(standings: Mapping[Standing, int]) -> Tally:
    """Sum up how many backends stand how."""
    counted = [(one, n) for one, n in standings.items() if one.counted]
    doubted = [(one, n) for one, n in standings.items() if one.doubted]
    failing = (Response.ANSWERED, Response.STALLED)
    heard = (Response.PASSED, *failing)
    return Tally(
        probed=sum(standings.values()),
        were_up=sum(n for _, n in counted),
        silent=sum(n for one, n in counted if one.response is Response.SILENT),
        answered=sum(n for one, n in counted if one.response in failing),
        doubted=sum(n for _, n in doubted),
        returned=sum(n for one, n in doubted if one.response in heard),
    )


def judge(before: Suspicion, now: Tally, news: News) -> Suspicion:
    """Judge the prober.

    It comes under suspicion only when somebody falls silent, so that what ends a suspicion
    does not begin the next one.
    """
    if now.probed < FEWEST_PROBED:
        return Suspicion.TRUSTED
    match before:
        case Suspicion.SUSPECTED:
            ended = 10 * now.returned >= now.doubted
            return Suspicion.TRUSTED if ended else Suspicion.SUSPECTED
        case Suspicion.TRUSTED | Suspicion.UNSURE:
            if news.silence and now.answered == 0 and 10 * now.silent >= 9 * now.were_up:
                return Suspicion.SUSPECTED
            if news.answer:
                return Suspicion.TRUSTED
            return Suspicion.UNSURE if news.alone else before
    assert_never(before)


def detection_window(times: Mapping[float, int]) -> float:
    """Return within how many seconds nine in ten checks notice what happened to all at once.

    `times` has the number of checks by their detection time, in seconds.
    """
    needed, seen = 0.9 * sum(times.values()), 0
    for seconds in sorted(times):
        seen += times[seconds]
        if seen >= needed:
            return seconds
    return 0.0

"""How fast VPP may be given calls: the time of its main thread is a budget. Sans-I/O.

Each change holds up VPP's main thread, and with workers those too, for a tenth of a millisecond to
one and a half; meanwhile no packet is forwarded, and what comes in waits in queues that are short.
VPP quirk: workers without CPU. VPP ends when one does not stop within a second.
So calls go out in bursts. A burst is a ping and as many calls as VPP is thought to do within the
budget; VPP does them on end, and the time from the answer to the ping until the last answer is
what they cost. Then VPP is left to its packets until the budget has grown again.

There are two budgets, and each pays for all calls. Bulk (adding and removing) has a small share.
What cannot wait (weights: a failover) has a larger one, and savings, with which burst follows
burst: the failover of a VIP rests for nothing but a turn of VPP's loop.

A VPP that is busy rations by itself: it looks at its sockets once in 1,024 turns of its loop, which
may be a quarter of a second. From the sending to the answer to the ping is how long that is; a
burst then takes a small part of it, or a failover would take seconds.
"""

from vpplb.model.token_bucket import TokenBucket

SLICE = 0.0008
"""Seconds of VPP's time that calls take on end, at most: 160 packets of 200,000 a second, which a
queue of 256 takes. A single call may cost more, and is then a burst of its own."""
LOSS = 0.04
"""Part of the time between two looks at its sockets that a burst takes, where that is more."""
SAVINGS = 0.02
"""Seconds that what cannot wait takes, burst after burst, before its share counts."""
BULK_SHARE, URGENT_SHARE = 0.2, 0.5
"""Shares of VPP's time in the long run."""
MOST_CALLS = 56
"""Calls in a burst, whatever they are thought to cost: VPP reads 4,096 bytes at a look."""
_CHEAPEST, _FIRST_GUESS, _DEAREST = 0.00001, 0.0002, 0.003
"""Seconds that a call can cost; what takes longer is VPP, or us, held up by something else."""
_SOONEST, _LATEST = 0.001, 0.25
"""Seconds until VPP looks at its socket."""
_COST_STEP, _LOOK_STEP = 1.25, 2.0
"""By which factor either is thought to change from one burst to the next, at most. Where we or VPP
are short of CPU, a cost is measured much too high or as nothing: small steps find the middle."""
_MOST_DEBT = 0.02


class CallPacer:
    """Says when a burst may begin, and how many calls it may have. Times are in seconds.

    So are the tokens of both budgets, which fill by a share of the time that passes.
    """

    def __init__(self) -> None:
        self._bulk = TokenBucket(BULK_SHARE, SLICE, most_debt=_MOST_DEBT)
        self._urgent = TokenBucket(URGENT_SHARE, SAVINGS, most_debt=_MOST_DEBT)
        self._cost, self._look = _FIRST_GUESS, _SOONEST

    def seconds_to_wait(self, now: float, *, urgent: bool) -> float:
        """Return the seconds until the next burst may begin."""
        return self._choose_budget(urgent).seconds_until(now, SLICE / 2)

    def max_calls(self, now: float, *, urgent: bool) -> int:
        """Return how many calls a burst that begins now may have, 1 at least."""
        slice_ = max(min(SLICE, self._choose_budget(urgent).count_tokens(now)), LOSS * self._look)
        return max(1, min(MOST_CALLS, int(slice_ / self._cost)))

    def on_calls_done(self, now: float, seconds: float, calls: int, waited: float = 0.0) -> None:
        """Learn from a burst: it kept VPP busy for `seconds`, after a wait for VPP to look."""
        self._cost = _smooth_estimate(self._cost, seconds / calls, _COST_STEP, _CHEAPEST, _DEAREST)
        self._look = _smooth_estimate(self._look, waited, _LOOK_STEP, _SOONEST, _LATEST)
        for budget in (self._bulk, self._urgent):
            budget.take_tokens(now, self._cost * calls)

    def _choose_budget(self, urgent: bool) -> TokenBucket:
        return self._urgent if urgent else self._bulk


def _smooth_estimate(
    thought: float, measured: float, step: float, least: float, most: float
) -> float:
    """Return the next estimate: one measurement says little on a busy machine."""
    return min(max(measured, thought / step, least), step * thought, most)

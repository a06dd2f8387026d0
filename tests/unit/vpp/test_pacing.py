"""What calls leave of a VPP's time, on one that does a call in a given time and nothing else."""

import pytest

from vpplb.vpp.pacing import MOST_CALLS, SLICE, CallPacer

LOOP = 0.0001
"""Seconds after which VPP comes to look at its socket."""
RATE, QUEUE = 200_000, 256
"""Packets a second, and what of them waits while VPP does calls; the others are lost."""


class CostlyVpp:
    """A VPP whose calls cost this many seconds each, and what it spent on them and lost."""

    def __init__(self, cost: float, pacer: CallPacer, look: float = LOOP) -> None:
        self.look = look
        self.cost, self.now, self.spent, self.longest = cost, 0.0, 0.0, 0.0
        self.lost = 0.0
        self.pacer = pacer

    def do(self, calls: int, *, urgent: bool = False) -> float:
        """Do so many calls as fast as they may be sent; return the seconds that took."""
        begin = self.now
        while calls:
            self.now += self.pacer.seconds_to_wait(self.now, urgent=urgent)
            burst = min(calls, self.pacer.max_calls(self.now, urgent=urgent))
            self.now += self.look + burst * self.cost
            self.pacer.on_calls_done(self.now, burst * self.cost, burst, self.look)
            self.spent += burst * self.cost
            self.longest = max(self.longest, burst * self.cost)
            self.lost += max(0.0, burst * self.cost * RATE - QUEUE)
            calls -= burst
        return self.now - begin


@pytest.mark.parametrize("cost", [0.00002, 0.0001, 0.0003, 0.0006, 0.0014])
def test_bulk_leaves_vpp_four_fifths_of_its_time_and_never_holds_it_up_for_long(
    cost: float,
) -> None:
    vpp = CostlyVpp(cost, CallPacer())
    vpp.do(60)  # what a call costs has to be learnt
    vpp.spent = vpp.longest = 0.0
    seconds = vpp.do(2000)
    assert vpp.spent / seconds < 0.21
    assert vpp.longest <= max(SLICE, cost) * 1.01
    assert vpp.spent / seconds > 0.15  # and is no slower than it must be


@pytest.mark.parametrize("cost", [0.0001, 0.0003, 0.0006, 0.0014])
@pytest.mark.parametrize("urgent", [False, True])
def test_over_95_percent_of_packets_are_forwarded_in_a_burst(cost: float, urgent: bool) -> None:
    vpp = CostlyVpp(cost, CallPacer())
    seconds = vpp.do(3000, urgent=urgent)
    assert vpp.lost / (seconds * RATE) < 0.05


@pytest.mark.parametrize(("cost", "longest"), [(0.00025, 0.0045), (0.0005, 0.007)])
def test_the_failover_of_a_vip_with_ten_servers_does_not_rest(cost: float, longest: float) -> None:
    vpp = CostlyVpp(cost, CallPacer())
    assert vpp.do(10, urgent=True) < longest


def test_a_busy_vpp_that_seldom_looks_is_given_more_at_a_look() -> None:
    """As reported of VPP: 800 calls, one after the other, took three minutes on a busy one."""
    vpp = CostlyVpp(0.00025, CallPacer(), look=0.225)
    vpp.do(30)  # how seldom has to be learnt
    vpp.spent = vpp.lost = 0.0
    seconds = vpp.do(800)
    assert seconds < 7
    assert vpp.spent / seconds < 0.05
    assert vpp.do(10, urgent=True) < 0.3


def test_failovers_go_on_at_half_of_vpps_time_and_bulk_waits_for_them_but_not_for_ever() -> None:
    vpp = CostlyVpp(0.0003, CallPacer())
    seconds = vpp.do(2000, urgent=True)
    assert 0.45 < vpp.spent / seconds < 0.52
    assert vpp.pacer.seconds_to_wait(vpp.now, urgent=False) < 0.2


def test_bulk_leaves_failovers_their_savings() -> None:
    vpp = CostlyVpp(0.0003, CallPacer())
    vpp.do(1000)
    assert vpp.pacer.seconds_to_wait(vpp.now, urgent=True) == 0
    assert vpp.do(10, urgent=True) < 0.006


def test_a_vpp_that_was_held_up_by_something_else_does_not_slow_calls_for_long() -> None:
    pacer = CallPacer()
    pacer.on_calls_done(60.0, 60.0, 10)
    assert pacer.seconds_to_wait(60.0, urgent=False) < 0.2
    vpp = CostlyVpp(0.0001, pacer)
    vpp.now = 61.0
    assert vpp.do(1000) < 1.5


def test_calls_that_cost_nothing_measurable_are_still_bounded() -> None:
    pacer = CallPacer()
    for number in range(1, 50):
        pacer.on_calls_done(number / 1000, 0.0, 10)
    assert pacer.max_calls(1.0, urgent=True) == MOST_CALLS
    assert pacer.max_calls(1.0, urgent=False) == MOST_CALLS

"""However the prober is short of CPU, a backend that is silent for good goes down."""

import socket
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples import examples
from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence
from vpplb.model.names import ObjectKey
from vpplb.probers.check_loop import CheckLoop
from vpplb.probers.poller import EventPoller
from vpplb.probers.prober_shortage import IN_A_ROW
from vpplb.reconcile.ports import ProbeAssignment

SECOND = timedelta(seconds=1)
CADENCE = ProbeCadence(
    interval=SECOND, fast_interval=SECOND, down_interval=SECOND, timeout=SECOND / 2, fall=1
)


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(st.lists(st.floats(0.0, 3.0), min_size=30, max_size=50))
def test_no_more_than_some_results_in_a_row_are_discarded(gaps: list[float]) -> None:
    now = 1000.0
    loop = CheckLoop(poller=EventPoller(), monotonic=lambda: now, uniform=lambda: 0.5)
    in_a_row = results = 0
    with socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        probe = HttpProbe(port=silent.getsockname()[1])
        spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=CADENCE)
        loop.assign_checks([ProbeAssignment(backend=ObjectKey("ns", "b"), generation=1, spec=spec)])
        for gap in gaps:
            now += gap
            loop.run_once(0)
            if (stats := loop.statistics.take_counts()) is None:
                continue
            results += sum(stats.results.values())
            in_a_row = 0 if stats.results else in_a_row + sum(stats.discarded.values())
            assert in_a_row <= IN_A_ROW
        down = [verdict for verdict in loop.verdicts if not verdict.up]
        assert bool(down) is bool(results)
        loop.close()

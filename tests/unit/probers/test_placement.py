from datetime import timedelta
from ipaddress import ip_address

import pytest

from vpplb.model.check import (
    CheckSpec,
    HttpProbe,
    IcmpProbe,
    ProbeCadence,
    ProbeKind,
    TcpProbe,
    TlsSettings,
)
from vpplb.model.names import ObjectKey
from vpplb.probers.placement import WorkerPlacement, load_of
from vpplb.reconcile.ports import ProbeAssignment


def spec(probe: ProbeKind, seconds: float) -> CheckSpec:
    cadence = ProbeCadence(interval=timedelta(seconds=seconds))
    return CheckSpec(address=ip_address("192.0.2.7"), probe=probe, cadence=cadence)


def assignment(n: int, probe: ProbeKind, seconds: float) -> ProbeAssignment:
    return ProbeAssignment(
        backend=ObjectKey("ns", f"b{n}"), generation=1, spec=spec(probe, seconds)
    )


def placed(placement: WorkerPlacement, number: int, probe: ProbeKind, seconds: float) -> list[int]:
    """Place so many backends; return how many each worker got."""
    homes = [placement.place_check(assignment(n, probe, seconds)) for n in range(number)]
    return [homes.count(worker) for worker in range(placement.workers)]


def test_the_load_goes_with_the_frequency_and_the_type() -> None:
    assert load_of(spec(IcmpProbe(), 0.5)) == pytest.approx(2 * load_of(spec(IcmpProbe(), 1)))
    tls = TlsSettings()
    kinds = (IcmpProbe(), TcpProbe(port=1), HttpProbe(port=1), HttpProbe(port=1, tls=tls))
    loads = [load_of(spec(kind, 1)) for kind in kinds]
    assert loads == sorted(loads)
    assert load_of(spec(TcpProbe(port=1, tls=tls), 1)) == loads[-1]


def test_one_worker_does_for_10000_backends_by_http_each_second() -> None:
    assert placed(WorkerPlacement(workers=1, most=8), 10_000, HttpProbe(port=80), 1) == [10_000]


def test_a_further_worker_is_opened_when_all_are_full() -> None:
    shares = placed(WorkerPlacement(workers=1, most=8), 3_000, HttpProbe(port=80), 0.1)
    assert len(shares) == 3
    assert max(shares) < 1_100


def test_there_are_never_more_workers_than_may_be() -> None:
    assert placed(WorkerPlacement(workers=1, most=2), 5_000, HttpProbe(port=80), 0.1) == [
        2_500,
        2_500,
    ]


def test_a_given_number_of_workers_share_alike_however_little_there_is() -> None:
    assert placed(WorkerPlacement(workers=3, most=3), 60, IcmpProbe(), 1) == [20, 20, 20]


def test_a_backend_that_is_assigned_anew_stays_where_it_is() -> None:
    placement = WorkerPlacement(workers=3, most=3)
    before = [placement.place_check(assignment(n, IcmpProbe(), 1)) for n in range(9)]
    after = [
        placement.place_check(assignment(n, TcpProbe(port=1), 0.01 * (n + 1))) for n in range(9)
    ]
    assert after == before


def test_what_is_removed_makes_room() -> None:
    placement = WorkerPlacement(workers=2, most=2)
    assert [placement.place_check(assignment(n, IcmpProbe(), 1)) for n in range(2)] == [0, 1]
    assert placement.remove_backend(ObjectKey("ns", "b1")) == 1
    assert placement.home_of(ObjectKey("ns", "b1")) is None
    assert placement.place_check(assignment(2, IcmpProbe(), 1)) == 1


def test_what_was_never_placed_can_be_removed() -> None:
    assert WorkerPlacement(workers=1, most=1).remove_backend(ObjectKey("ns", "b")) is None

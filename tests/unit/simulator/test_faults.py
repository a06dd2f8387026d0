from types import SimpleNamespace

import pytest

from data.pages import ROOT, list_blocks
from vpplb.simulator.faults import (
    BY_NAME,
    DelayAnswer,
    FaultInjector,
    PlainFault,
    RefuseRequest,
)

WEIGHT, PING = "lb_as_set_weight", "control_ping"


def test_a_fault_strikes_the_named_message_so_many_times() -> None:
    faults = FaultInjector()
    faults.arm(PlainFault.DROP, WEIGHT, times=2)
    struck = [faults.take_fault(name) for name in (PING, WEIGHT, PING, WEIGHT, WEIGHT)]
    assert struck == [None, PlainFault.DROP, None, PlainFault.DROP, None]


def test_a_fault_without_a_number_strikes_until_it_is_disarmed() -> None:
    faults = FaultInjector()
    faults.arm(PlainFault.DROP, times=None)
    assert [faults.take_fault(PING), faults.take_fault(WEIGHT)] == [
        PlainFault.DROP,
        PlainFault.DROP,
    ]
    faults.disarm()
    assert faults.take_fault(PING) is None


def test_the_page_arms_and_disarms() -> None:
    [block] = [one for one in list_blocks(ROOT / "docs/simulator.md") if one.language == "python"]
    faults = FaultInjector()
    arm, *others = block.text.splitlines()
    names = {"simulator": SimpleNamespace(faults=faults), "RefuseRequest": RefuseRequest}
    exec(arm, names)
    assert faults.take_fault("lb_add_del_as_v2") == RefuseRequest(retval=-81)
    exec("\n".join(others), names | {"PlainFault": PlainFault})
    assert faults.take_fault("lb_add_del_as_v2") is None


def test_the_fault_armed_first_strikes_first() -> None:
    faults = FaultInjector()
    faults.arm(PlainFault.CUT, PING)
    faults.arm(PlainFault.DROP, PING)
    assert [faults.take_fault(PING) for _ in range(3)] == [PlainFault.CUT, PlainFault.DROP, None]


@pytest.mark.parametrize("message", ["lb_conf_reply", "lb_vip_details", "ip_route_add_del"])
def test_what_clients_do_not_send_cannot_be_struck(message: str) -> None:
    with pytest.raises(ValueError, match=f"clients do not send {message}"):
        FaultInjector().arm(PlainFault.DROP, message)


@pytest.mark.parametrize("message", [None, "lb_vip_dump", "sockclnt_create"])
def test_what_has_no_retval_cannot_be_refused(message: str | None) -> None:
    with pytest.raises(ValueError, match="no retval"):
        FaultInjector().arm(RefuseRequest(retval=-1), message)


@pytest.mark.parametrize("times", [0, -1])
def test_no_fault_strikes_less_than_once(times: int) -> None:
    with pytest.raises(ValueError, match="cannot strike"):
        FaultInjector().arm(PlainFault.DROP, times=times)


@pytest.mark.parametrize("retval", [0, 1, -(1 << 31) - 1])
def test_a_refusal_is_no_success(retval: int) -> None:
    with pytest.raises(ValueError, match="below 0"):
        RefuseRequest(retval=retval)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_delay_is_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot wait"):
        DelayAnswer(seconds=seconds)


def test_every_fault_has_a_name() -> None:
    assert set(BY_NAME.values()) == {DelayAnswer, RefuseRequest, *PlainFault}

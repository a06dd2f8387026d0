import logging
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from data.objects import vip
from data.pages import list_samples
from vpplb.model.vip import Encap, VipSettings
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, DelServer, Op, SetWeight, VppChange
from vpplb.telemetry.metrics import AgentMetrics, MetricsRegistry
from vpplb.telemetry.sync_log import LINES, LINES_A_SECOND, SyncLog

WEB = vip("192.0.2.10/32")
ADDRESS = ip_address("10.0.1.10")


def weight(to: int, *, flush: bool = False) -> VppChange:
    op = SetWeight(vip=WEB, address=ADDRESS, weight=to, flush=flush)
    return VppChange(ChangeKind.AS_WEIGHT, op)


def added(kind: ChangeKind, op: Op) -> VppChange:
    return VppChange(kind, op)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO)

    def take() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return messages

    return take


def sync_log(clock: Callable[[], float] = lambda: 0.0) -> tuple[SyncLog, MetricsRegistry]:
    registry = MetricsRegistry("test")
    return SyncLog(AgentMetrics(registry), clock), registry


def test_each_change_of_vpp_is_a_line_with_vip_server_and_weight(
    said: Callable[[], list[str]],
) -> None:
    log, _ = sync_log()
    log.on_vpp_changed(
        [
            added(ChangeKind.VIP_ADDED, AddVip(vip=WEB, settings=VipSettings(encap=Encap.GRE4))),
            added(ChangeKind.AS_ADDED, AddServer(vip=WEB, address=ADDRESS, weight=100)),
        ]
    )
    log.on_vpp_changed([weight(0, flush=True)])
    log.on_vpp_changed([added(ChangeKind.AS_REMOVED, DelServer(vip=WEB, address=ADDRESS))])
    lines = said()
    assert f"{lines[2]}\n" in list_samples("docs/status.md")
    assert lines == [
        "VPP: 192.0.2.10/32 tcp/80  + vip GRE4 table 1024",
        "VPP: 192.0.2.10/32 tcp/80  + 10.0.1.10 weight 100",
        "VPP: 192.0.2.10/32 tcp/80  = 10.0.1.10 weight 0 flush",
        "VPP: 192.0.2.10/32 tcp/80  - 10.0.1.10",
    ]


def test_of_thousands_of_changes_some_have_a_line_and_the_rest_one_together(
    said: Callable[[], list[str]],
) -> None:
    log, registry = sync_log()
    new = added(ChangeKind.AS_ADDED, AddServer(vip=WEB, address=ADDRESS, weight=1))
    log.on_vpp_changed([weight(1)] * 1000 + [new] * 5)
    lines = said()
    assert len(lines) == LINES + 1
    assert lines[-1] == f"VPP: {1005 - LINES} changes more: {1000 - LINES} as_weight, 5 as_added"
    log.on_vpp_changed([weight(2)] * 3)
    assert said() == ["VPP: 3 changes more: 3 as_weight"]
    kind = {"kind": "as_weight"}
    assert registry.get_sample_value("vpplb_sync_changes_total", kind) == 1003, "all are counted"


def test_when_it_is_calm_again_each_change_has_its_line_again(
    said: Callable[[], list[str]],
) -> None:
    now = [0.0]
    log, _ = sync_log(lambda: now[0])
    log.on_vpp_changed([weight(1)] * 1000)
    said()
    now[0] = LINES / LINES_A_SECOND
    log.on_vpp_changed([weight(2)])
    assert said() == ["VPP: 192.0.2.10/32 tcp/80  = 10.0.1.10 weight 2"]


def test_below_the_level_changes_are_only_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    log, registry = sync_log()
    log.on_vpp_changed([weight(1)])
    assert caplog.records == []
    assert registry.get_sample_value("vpplb_sync_changes_total", {"kind": "as_weight"}) == 1

"""What the statuses of frontends say of the one VPP."""

from ipaddress import ip_address

from data.kept_memory import HERE
from data.objects import key, vip
from lab.scrape import scrape_metrics
from vpplb.files.owned_state_store import OwnedStateStore
from vpplb.model.names import ObjectKey
from vpplb.plan.ops import ChangeKind, SetWeight, VppChange
from vpplb.resources.node_report import NodeReport
from vpplb.standalone.local_vpp import LocalVpp, ProgrammedFrontends
from vpplb.sync.ports import VipReport, VppInfo
from vpplb.sync.vip_state import OwnedState
from vpplb.telemetry.metrics import AgentMetrics, MetricsRegistry

WEB = key("web")
HAS_IT = NodeReport(desired=("local",), programmed=("local",), carrying=("local",))
LOWERED = SetWeight(vip=vip(), address=ip_address("10.0.0.1"), weight=0)


class ProgrammedVpp:
    def __init__(self) -> None:
        self.reported: list[ObjectKey] = []
        self.registry = MetricsRegistry("agent")
        keeper = OwnedStateStore(None, OwnedState, HERE)
        self.programmed = ProgrammedFrontends()
        metrics = AgentMetrics(self.registry)
        self.vpp = LocalVpp(self.programmed, self.reported.append, keeper, metrics)

    def report(self, revision: str, error: str = "") -> NodeReport:
        """Have the syncer report; return what is said of revision r1."""
        self.vpp.on_report(VipReport(key=WEB, vip=vip(), revision=revision, error=error))
        return self.programmed.report_frontend(WEB, (), "r1")


def test_the_newest_revision_counts_and_an_older_one_does_not() -> None:
    programmed = ProgrammedVpp()
    assert programmed.programmed.report_frontend(WEB, (), "r1") == NodeReport(desired=("local",))
    assert programmed.report("r1") == HAS_IT
    assert programmed.report("r0") == NodeReport(desired=("local",), carrying=("local",))
    assert programmed.reported == [WEB, WEB]


def test_a_failure_counts_until_it_is_over() -> None:
    programmed = ProgrammedVpp()
    programmed.report("r1")
    assert programmed.report("r1", "no memory") == NodeReport(
        desired=("local",), failed=(("local", "no memory"),), unsure=("local",)
    )
    assert programmed.report("r1") == HAS_IT


def test_a_frontend_that_wants_nothing_any_more_is_forgotten() -> None:
    programmed = ProgrammedVpp()
    programmed.report("r1", "no memory")
    assert programmed.report("") == NodeReport(desired=("local",))
    assert programmed.programmed.report_frontend(WEB, (), "") == NodeReport(desired=("local",))


def test_a_lost_vpp_carries_nothing_and_every_frontend_hears_of_it_once() -> None:
    programmed = ProgrammedVpp()
    assert programmed.vpp.trouble
    programmed.vpp.on_connected(VppInfo(version="26.10", pid=1))
    assert programmed.vpp.trouble == ""
    programmed.report("r1")
    programmed.reported.clear()
    programmed.vpp.on_disconnected("refused")
    programmed.vpp.on_disconnected("refused")
    assert programmed.vpp.trouble == "refused"
    assert programmed.reported == [WEB]
    assert programmed.programmed.report_frontend(WEB, (), "r1") == NodeReport(desired=("local",))


def test_everything_is_counted() -> None:
    programmed = ProgrammedVpp()
    programmed.vpp.on_connected(VppInfo(version="26.10", pid=1))
    programmed.vpp.on_vpp_changed([VppChange(ChangeKind.AS_WEIGHT, LOWERED)] * 3)
    programmed.vpp.on_drift(2)
    programmed.report("r1")
    text = scrape_metrics(programmed.registry)
    assert "vpplb_vpp_connected 1.0" in text
    assert 'vpplb_sync_changes_total{kind="as_weight"} 3.0' in text
    assert "vpplb_drift_repairs_total 2.0" in text
    assert "vpplb_programmed_frontends 1.0" in text


def test_the_node_shows_what_vpp_has_and_what_is_wrong() -> None:
    programmed = ProgrammedVpp()
    lost = programmed.vpp.describe_node(2)
    assert [(one.type, one.status, one.reason) for one in lost.conditions] == [
        ("Connected", "False", "VppUnreachable"),
        ("Synced", "Unknown", "VppUnreachable"),
    ]
    assert {one.message for one in lost.conditions} == {"VPP is not connected yet"}
    programmed.vpp.on_connected(VppInfo(version="26.10", pid=7))
    programmed.report("r1")
    shown = programmed.vpp.describe_node(2)
    assert [(one.type, one.status, one.reason, one.message) for one in shown.conditions] == [
        ("Connected", "True", "Connected", "VPP 26.10 answers"),
        ("Synced", "False", "Pending", "1 of 2 frontends are programmed"),
    ]
    assert {one.status for one in programmed.vpp.describe_node(1).conditions} == {"True"}
    assert shown.programmed == {"default/web": "r1"}
    assert shown.frontends is not None
    assert shown.frontends.summary == "1/2"
    assert shown.vpp is not None
    assert (shown.vpp.version, shown.vpp.pid, shown.vpp.connected) == ("26.10", 7, True)
    programmed.report("r1", "no memory")
    failed = programmed.vpp.describe_node(2)
    assert [(one.frontend, one.message) for one in failed.errors] == [("default/web", "no memory")]
    assert (failed.conditions[1].status, failed.conditions[1].reason) == ("False", "Failed")
    assert failed.conditions[1].message == (
        "0 of 2 frontends are programmed; default/web: no memory"
    )


def test_the_node_is_not_synced_while_vpp_refuses_the_plugins_settings() -> None:
    programmed = ProgrammedVpp()
    programmed.vpp.on_connected(VppInfo(version="26.10", pid=7))
    programmed.vpp.on_settings_error("the address is not VPP's")
    synced = programmed.vpp.describe_node(0).conditions[1]
    assert (synced.status, synced.reason) == ("False", "Failed")
    assert "the address is not VPP's" in synced.message
    programmed.vpp.on_settings_error("")
    assert programmed.vpp.describe_node(0).conditions[1].status == "True"

from collections.abc import Mapping

import pytest

from data.objects import key
from vpplb.controller.node_registry import NodeRegistry
from vpplb.direct.messages import ProgrammedReport
from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKey
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.resources.node_report import NodeReport

WEB, API = key("web"), key("api")


def dataplane(
    programmed: object = None,
    errors: object = (),
    connected: str = "True",
    labels: dict[str, str] | None = None,
    release: str = "",
) -> JsonObject:
    annotations = {"annotations": {"vpplb.dev/release": release}} if release else {}
    return {
        "metadata": {**({"labels": labels} if labels else {}), **annotations},
        "status": {
            "programmed": programmed or {},
            "errors": list(errors) if isinstance(errors, list) else [],
            "conditions": [{"type": "Connected", "status": connected, "reason": "x"}],
        },
    }


def test_a_node_carries_a_frontend_once_it_has_programmed_the_newest_revision() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane({"default/web": "r2"}))
    nodes.put_node("n2", dataplane({"default/web": "r1"}))
    assert nodes.report_frontend(WEB, (), "r2") == NodeReport(
        desired=("n1", "n2"), programmed=("n1",), carrying=("n1", "n2")
    )


def test_who_is_still_to_have_a_revision_is_found_wherever_it_is_looked_for_first() -> None:
    nodes = NodeRegistry()
    for name in ("n1", "n2", "n3"):
        nodes.put_node(name, dataplane({"default/web": "r1"}))
    assert nodes.find_awaited(WEB, (), "r2", "") == "n3"
    nodes.put_node("n3", dataplane({"default/web": "r2"}))
    assert nodes.find_awaited(WEB, (), "r2", "n1") == "n1"
    assert nodes.find_awaited(WEB, (), "r2", "n3") == "n2"
    assert nodes.find_awaited(WEB, (("role", "edge"),), "r2", "n1") == "", "it is not selected"
    for name in ("n1", "n2"):
        nodes.put_node(name, dataplane({"default/web": "r2"}))
    assert nodes.find_awaited(WEB, (), "r2", "n2") == ""


def test_nobody_waits_for_a_node_that_has_failed_or_has_no_vpp() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane(errors=[{"frontend": "default/web", "message": "no"}]))
    nodes.put_node("n2", dataplane(connected="False"))
    assert nodes.find_awaited(WEB, (), "r1", "n1") == ""


def test_only_nodes_with_the_labels_of_the_selector_are_asked_for() -> None:
    nodes = NodeRegistry()
    nodes.put_node("edge1", dataplane({"default/web": "r"}, labels={"role": "edge", "zone": "a"}))
    nodes.put_node("edge2", dataplane({"default/web": "r"}, labels={"role": "edge", "zone": "b"}))
    nodes.put_node("other", dataplane({"default/web": "r"}))
    assert nodes.report_frontend(WEB, (("role", "edge"), ("zone", "a")), "r").desired == ("edge1",)
    assert nodes.report_frontend(WEB, (("role", "none"),), "r").desired == ()


def test_nodes_of_a_selector_are_reached_while_each_of_them_is_connected() -> None:
    nodes, edges = NodeRegistry(), (("role", "edge"),)
    assert not nodes.is_reached(edges), "nobody may have heard of it"
    nodes.put_node("edge1", dataplane(labels={"role": "edge"}))
    nodes.put_node("other", dataplane())
    assert not nodes.is_reached(edges)
    nodes.set_connected("edge1", True)
    assert nodes.is_reached(edges)
    assert not nodes.is_reached(())
    nodes.put_node("other", dataplane(labels={"role": "edge"}))
    assert not nodes.is_reached(edges)
    nodes.put_node("other", dataplane())
    assert nodes.is_reached(edges)
    nodes.set_connected("edge1", False)
    assert not nodes.is_reached(edges)


def test_nodes_that_still_carry_what_they_are_not_asked_for_are_told() -> None:
    nodes = NodeRegistry()
    nodes.put_node("old", dataplane({"default/web": "r1"}, labels={"role": "none"}))
    nodes.put_node("new", dataplane(labels={"role": "edge"}))
    selector = (("role", "edge"),)
    assert nodes.report_frontend(WEB, selector, "r2") == NodeReport(
        desired=("new",), leaving=("old",), carrying=("old",)
    )
    nodes.put_node("new", dataplane({"default/web": "r2"}, labels={"role": "edge"}))
    nodes.put_node("old", dataplane(labels={"role": "none"}))
    assert nodes.report_frontend(WEB, selector, "r2") == NodeReport(
        desired=("new",), programmed=("new",), carrying=("new",)
    )


def test_a_label_that_somebody_put_on_a_dataplane_alone_selects_nothing() -> None:
    nodes, raw = NodeRegistry(), dataplane(labels={"role": "edge", "team": "net"})
    raw["metadata"]["annotations"] = {"vpplb.dev/node-labels": "role"}
    nodes.put_node("n1", raw)
    assert nodes.report_frontend(WEB, (("role", "edge"),), "r").desired == ("n1",)
    assert nodes.report_frontend(WEB, (("team", "net"),), "r").desired == ()


@pytest.mark.parametrize("connected", ["False", "Unknown"])
def test_a_node_without_its_vpp_carries_nothing(connected: str) -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane({"default/web": "r"}, connected=connected))
    assert nodes.report_frontend(WEB, (), "r") == NodeReport(
        desired=("n1",), away=("n1",), unsure=("n1",)
    )


def test_a_failure_is_reported_with_the_node_and_what_it_said() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane(errors=[{"frontend": "default/web", "message": "no memory"}]))
    report = nodes.report_frontend(WEB, (), "r")
    assert (report.failed, report.unsure) == ((("n1", "no memory"),), ("n1",))
    assert nodes.report_frontend(API, (), "r").failed == ()


def test_a_withdrawn_frontend_without_revision_is_programmed_nowhere() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane())
    assert nodes.report_frontend(WEB, (), "").programmed == ()


def test_only_the_frontends_that_a_node_says_something_new_of_are_looked_at() -> None:
    nodes = NodeRegistry()
    assert nodes.put_node("n1", dataplane({"default/web": "r1", "default/api": "r1"})) is None
    assert nodes.put_node("n1", dataplane({"default/web": "r1", "default/api": "r1"})) == set()
    assert nodes.put_node("n1", dataplane({"default/web": "r2", "default/api": "r1"})) == {WEB}
    failed = dataplane({"default/web": "r2"}, [{"frontend": "default/api", "message": "no"}])
    assert nodes.put_node("n1", failed) == {API}


def test_new_labels_and_a_lost_vpp_concern_every_frontend() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane())
    assert nodes.put_node("n1", dataplane(labels={"role": "edge"})) is None
    assert nodes.put_node("n1", dataplane(labels={"role": "edge"}, connected="False")) is None


def test_a_node_that_is_gone_is_asked_for_nothing() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane({"default/web": "r"}))
    nodes.remove_node("n1")
    nodes.remove_node("never seen")
    assert nodes.report_frontend(WEB, (), "r") == NodeReport()


@pytest.mark.parametrize(
    "status",
    [
        None,
        {"programmed": "nonsense"},
        {"errors": [{}]},
    ],
)
def test_a_status_that_makes_no_sense_counts_as_nothing_reported(status: object) -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", {"metadata": {}, "status": status})
    assert nodes.put_node("n1", dataplane({"default/web": "r"})) is None
    nodes.put_node("n1", {"metadata": {}, "status": status})
    assert nodes.report_frontend(WEB, (), "r") == NodeReport(desired=("n1",), away=("n1",))


def test_a_name_that_no_frontend_can_have_is_passed_over() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane({"nonsense": "r"}))
    assert nodes.put_node("n1", dataplane({"nonsense": "s", "default/web": "r"})) == {WEB}
    failed = [{"frontend": name, "message": "no"} for name in ("nonsense", "default/api")]
    assert nodes.put_node("n1", dataplane({"default/web": "r"}, failed)) == {API}
    assert nodes.report_frontend(WEB, (), "r").programmed == ("n1",)


def test_a_node_whose_agent_still_writes_its_owners_as_a_map_counts() -> None:
    nodes, raw = NodeRegistry(), dataplane({"default/web": "r"})
    raw["status"]["owned"] = {"192.0.2.1/32 tcp/80": "default/web"}
    nodes.put_node("n1", raw)
    assert nodes.report_frontend(WEB, (), "r") == NodeReport(
        desired=("n1",), programmed=("n1",), carrying=("n1",)
    )


# --- what connected agents report ------------------------------------------------------------


def connected_node(programmed: object = None) -> NodeRegistry:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane(programmed))
    nodes.set_connected("n1", True)
    return nodes


def whole(**programmed: str) -> ProgrammedReport:
    return ProgrammedReport(whole=True, programmed=keyed(programmed))


def keyed(texts: Mapping[str, str]) -> dict[ObjectKey, str]:
    return {key(name): text for name, text in texts.items()}


def carried(nodes: NodeRegistry, revision: str = "r2") -> bool:
    return bool(nodes.report_frontend(WEB, (), revision).programmed)


def test_what_an_agent_reports_counts_while_it_is_connected() -> None:
    nodes = connected_node({"default/web": "r1"})
    assert nodes.put_report("n1", whole(web="r2")) == {WEB}
    assert carried(nodes)
    assert nodes.put_node("n1", dataplane({"default/web": "r0"})) == set()
    assert carried(nodes)


def test_its_last_report_counts_until_the_dataplane_says_something_new() -> None:
    nodes = connected_node({"default/web": "r1"})
    nodes.put_report("n1", whole(web="r2"))
    nodes.set_connected("n1", False)
    assert nodes.put_node("n1", dataplane({"default/web": "r1"})) == set()
    assert carried(nodes)
    assert nodes.put_node("n1", dataplane({"default/web": "r3"})) == {WEB}
    assert carried(nodes, "r3")


def test_an_agent_that_is_gone_has_reported_nothing_any_more() -> None:
    nodes = connected_node()
    nodes.put_report("n1", whole(web="r2"))
    nodes.set_connected("n1", False)
    raw = dataplane(connected="Unknown")
    raw["status"]["conditions"][0]["reason"] = "AgentGone"
    assert nodes.put_node("n1", raw) is None
    assert nodes.report_frontend(WEB, (), "r2").away == ("n1",)


def test_a_change_says_of_what_it_names_just_how_that_is() -> None:
    nodes = connected_node()
    nodes.put_report("n1", whole(web="r1", api="r1"))
    failed = ProgrammedReport(programmed={WEB: "r1"}, errors={WEB: "no memory"})
    assert nodes.put_report("n1", failed) == {WEB}
    assert nodes.report_frontend(WEB, (), "r1").failed == (("n1", "no memory"),)
    assert nodes.put_report("n1", ProgrammedReport(programmed={WEB: "r2"})) == {WEB}
    assert nodes.report_frontend(WEB, (), "r2") == NodeReport(
        desired=("n1",), programmed=("n1",), carrying=("n1",)
    )
    assert nodes.put_report("n1", ProgrammedReport(removed=(WEB,))) == {WEB}
    assert not carried(nodes)
    assert nodes.report_frontend(API, (), "r1").programmed == ("n1",)
    assert nodes.put_report("n1", ProgrammedReport(removed=(WEB,))) == set()


def test_a_whole_report_leaves_nothing_of_before() -> None:
    nodes = connected_node()
    nodes.put_report("n1", whole(web="r2", api="r1"))
    assert nodes.put_report("n1", whole(web="r2")) == {API}
    assert nodes.report_frontend(API, (), "r1").programmed == ()


def test_an_agent_that_loses_its_vpp_carries_nothing() -> None:
    nodes = connected_node()
    nodes.put_report("n1", whole(web="r2"))
    gone = ProgrammedReport(programmed={WEB: "r2"}, connected=False)
    assert nodes.put_report("n1", gone) is None
    assert nodes.report_frontend(WEB, (), "r2").away == ("n1",)


def test_what_is_programmed_anew_is_told_once_with_its_road() -> None:
    told: list[tuple[ObjectKey, str, str]] = []
    nodes = NodeRegistry(lambda key, revision, road: told.append((key, revision, road)))
    nodes.put_node("n1", dataplane({"default/web": "r1"}))
    assert told == []  # it had that before it was known
    nodes.put_node("n1", dataplane({"default/web": "r2"}))
    nodes.set_connected("n1", True)
    nodes.put_report("n1", whole(web="r2", api="r1"))
    nodes.put_report("n1", ProgrammedReport(programmed={WEB: "r3"}))
    nodes.put_report("n1", ProgrammedReport(programmed={WEB: "r3"}, errors={WEB: "x"}))
    nodes.put_node("n1", dataplane({"default/web": "r3"}))
    assert told == [
        (WEB, "r2", "status"),
        (API, "r1", "direct"),
        (WEB, "r3", "direct"),
    ]


def test_a_node_whose_dataplane_comes_later_is_known_by_its_report() -> None:
    nodes = NodeRegistry()
    nodes.set_connected("n1", True)
    nodes.put_report("n1", whole(web="r2"))
    assert nodes.report_frontend(WEB, (), "r2").desired == ()
    nodes.put_node("n1", dataplane())
    assert carried(nodes)


def test_what_differs_from_what_is_wanted_is_found() -> None:
    nodes = connected_node({"default/web": "r1", "default/api": "r1", "no slash": "r"})
    assert nodes.find_differing({"default/web": "r1", "default/api": "r2"}) == {API}


def test_nothing_is_kept_of_a_node_that_is_gone_once_its_agent_is() -> None:
    nodes = NodeRegistry()
    nodes.put_node("n1", dataplane())
    nodes.set_connected("n1", True)
    nodes.put_report("n1", ProgrammedReport(whole=True, programmed={WEB: "r1"}))
    nodes.remove_node("n1")
    assert nodes.list_carried("n1") == {"default/web": "r1"}
    nodes.set_connected("n1", False)
    assert nodes.list_carried("n1") == {}


# --- releases ---------------------------------------------------------------------------------


def test_only_nodes_of_our_own_release_count() -> None:
    nodes = NodeRegistry(release=ReleaseIdentity("edge", "edge/vpplb"))
    nodes.put_node("ours", dataplane({"default/web": "r"}, release="edge/vpplb"))
    nodes.put_node("older", dataplane({"default/web": "r"}))  # its agent does not tell
    nodes.put_node("theirs", dataplane({"default/web": "old"}, release="core/vpplb"))
    assert nodes.report_frontend(WEB, (), "r") == NodeReport(
        desired=("older", "ours"), programmed=("older", "ours"), carrying=("older", "ours")
    )
    assert nodes.list_agents().keys() == {"older", "ours"}  # whose leases are judged
    assert nodes.find_differing({"default/web": "r"}) == set()


def test_a_node_whose_agent_was_given_no_name_is_of_the_release_in_its_namespace() -> None:
    nodes = NodeRegistry(release=ReleaseIdentity("lb", "lb/vpplb"))
    nodes.put_node("ours", dataplane({"default/web": "r"}, release="lb"))
    nodes.put_node("theirs", dataplane({"default/web": "r"}, release="edge"))
    nodes.put_node("second", dataplane({"default/web": "r"}, release="lb/second"))
    assert nodes.list_agents().keys() == {"ours"}


def test_a_node_that_goes_to_another_release_counts_no_more_and_is_no_leaving_one() -> None:
    nodes = NodeRegistry(release=ReleaseIdentity("edge", "edge/vpplb"))
    nodes.put_node("n1", dataplane({"default/web": "r"}, release="edge/vpplb"))
    moved = dataplane({"default/web": "r"}, release="core/vpplb")
    assert nodes.put_node("n1", moved) is None  # any frontend may look different now
    assert nodes.report_frontend(WEB, (), "r") == NodeReport(desired=())
    assert nodes.report_frontend(WEB, (("role", "edge"),), "r") == NodeReport(desired=())
    assert nodes.put_node("n1", moved) == set()
    assert nodes.put_node("n1", dataplane({"default/web": "r"}, release="edge/vpplb")) is None
    assert nodes.report_frontend(WEB, (), "r").programmed == ("n1",)

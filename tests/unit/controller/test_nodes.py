import pytest

from data.objects import key
from vpplb.controller.nodes import Nodes
from vpplb.kube.api_resources import JsonObject
from vpplb.resources.statuses import NodeReport

WEB, API = key("web"), key("api")


def dataplane(
    programmed: object = None,
    errors: object = (),
    connected: str = "True",
    labels: dict[str, str] | None = None,
) -> JsonObject:
    return {
        "metadata": {"labels": labels} if labels else {},
        "status": {
            "programmed": programmed or {},
            "errors": list(errors) if isinstance(errors, list) else [],
            "conditions": [{"type": "Connected", "status": connected, "reason": "x"}],
        },
    }


def test_a_node_carries_a_frontend_once_it_has_programmed_the_newest_revision() -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane({"default/web": "r2"}))
    nodes.seen("n2", dataplane({"default/web": "r1"}))
    assert nodes.report(WEB, (), "r2") == NodeReport(desired=("n1", "n2"), programmed=("n1",))


def test_only_nodes_with_the_labels_of_the_selector_are_asked_for() -> None:
    nodes = Nodes()
    nodes.seen("edge1", dataplane({"default/web": "r"}, labels={"role": "edge", "zone": "a"}))
    nodes.seen("edge2", dataplane({"default/web": "r"}, labels={"role": "edge", "zone": "b"}))
    nodes.seen("other", dataplane({"default/web": "r"}))
    assert nodes.report(WEB, (("role", "edge"), ("zone", "a")), "r").desired == ("edge1",)
    assert nodes.report(WEB, (("role", "none"),), "r").desired == ()


def test_nodes_that_still_carry_what_they_are_not_asked_for_are_told() -> None:
    nodes = Nodes()
    nodes.seen("old", dataplane({"default/web": "r1"}, labels={"role": "none"}))
    nodes.seen("new", dataplane(labels={"role": "edge"}))
    selector = (("role", "edge"),)
    assert nodes.report(WEB, selector, "r2") == NodeReport(desired=("new",), leaving=("old",))
    nodes.seen("new", dataplane({"default/web": "r2"}, labels={"role": "edge"}))
    nodes.seen("old", dataplane(labels={"role": "none"}))
    assert nodes.report(WEB, selector, "r2") == NodeReport(desired=("new",), programmed=("new",))


def test_a_label_that_somebody_put_on_a_dataplane_alone_selects_nothing() -> None:
    nodes, raw = Nodes(), dataplane(labels={"role": "edge", "team": "net"})
    raw["metadata"]["annotations"] = {"vpplb.dev/node-labels": "role"}
    nodes.seen("n1", raw)
    assert nodes.report(WEB, (("role", "edge"),), "r").desired == ("n1",)
    assert nodes.report(WEB, (("team", "net"),), "r").desired == ()


@pytest.mark.parametrize("connected", ["False", "Unknown"])
def test_a_node_without_its_vpp_carries_nothing(connected: str) -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane({"default/web": "r"}, connected=connected))
    assert nodes.report(WEB, (), "r") == NodeReport(desired=("n1",), away=("n1",))


def test_a_failure_is_reported_with_the_node_and_what_it_said() -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane(errors=[{"frontend": "default/web", "message": "no memory"}]))
    assert nodes.report(WEB, (), "r").failed == (("n1", "no memory"),)
    assert nodes.report(API, (), "r").failed == ()


def test_a_withdrawn_frontend_without_revision_is_programmed_nowhere() -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane())
    assert nodes.report(WEB, (), "").programmed == ()


def test_only_the_frontends_that_a_node_says_something_new_of_are_looked_at() -> None:
    nodes = Nodes()
    assert nodes.seen("n1", dataplane({"default/web": "r1", "default/api": "r1"})) is None
    assert nodes.seen("n1", dataplane({"default/web": "r1", "default/api": "r1"})) == set()
    assert nodes.seen("n1", dataplane({"default/web": "r2", "default/api": "r1"})) == {WEB}
    failed = dataplane({"default/web": "r2"}, [{"frontend": "default/api", "message": "no"}])
    assert nodes.seen("n1", failed) == {API}


def test_new_labels_and_a_lost_vpp_concern_every_frontend() -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane())
    assert nodes.seen("n1", dataplane(labels={"role": "edge"})) is None
    assert nodes.seen("n1", dataplane(labels={"role": "edge"}, connected="False")) is None


def test_a_node_that_is_gone_is_asked_for_nothing() -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane({"default/web": "r"}))
    nodes.gone("n1")
    nodes.gone("never seen")
    assert nodes.report(WEB, (), "r") == NodeReport()


@pytest.mark.parametrize(
    "status",
    [
        None,
        {"programmed": "nonsense"},
        {"errors": [{}]},
    ],
)
def test_a_status_that_makes_no_sense_counts_as_nothing_reported(status: object) -> None:
    nodes = Nodes()
    nodes.seen("n1", {"metadata": {}, "status": status})
    assert nodes.seen("n1", dataplane({"default/web": "r"})) is None
    nodes.seen("n1", {"metadata": {}, "status": status})
    assert nodes.report(WEB, (), "r") == NodeReport(desired=("n1",), away=("n1",))


def test_a_name_that_no_frontend_can_have_is_passed_over() -> None:
    nodes = Nodes()
    nodes.seen("n1", dataplane({"nonsense": "r"}))
    assert nodes.seen("n1", dataplane({"nonsense": "s", "default/web": "r"})) == {WEB}
    failed = [{"frontend": name, "message": "no"} for name in ("nonsense", "default/api")]
    assert nodes.seen("n1", dataplane({"default/web": "r"}, failed)) == {API}
    assert nodes.report(WEB, (), "r").programmed == ("n1",)


def test_a_node_whose_agent_still_writes_its_owners_as_a_map_counts() -> None:
    nodes, raw = Nodes(), dataplane({"default/web": "r"})
    raw["status"]["owned"] = {"192.0.2.1/32 tcp/80": "default/web"}
    nodes.seen("n1", raw)
    assert nodes.report(WEB, (), "r") == NodeReport(desired=("n1",), programmed=("n1",))

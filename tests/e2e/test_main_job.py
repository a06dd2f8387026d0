"""The main job: from custom resources, applied with kubectl, to a programmed VPP.

A real API server, the operator and the agent as processes under the chart's own roles, real
HTTP servers, and a VPP behind a tap that notes every call.
"""

import time

import pytest

from cluster.main_job import INTERVAL, MainJob
from cluster.stage import NodeStage
from lab.waiting import PATIENCE, stays, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

QUIET = 15 * INTERVAL
"""How long, in seconds, nothing has to happen for it to count as "does not happen"."""


def test_applied_resources_are_up_in_status_and_programmed_in_vpp(job: MainJob) -> None:
    job.deploy()

    wait_for(
        lambda: job.kubectl.field("vfe", "web", ".status.ready") == "3/3",
        "the last of three is counted, at most a second later",
    )
    status = job.kubectl.get("vfe", "web")["status"]
    assert (status["state"], status["activePool"]) == ("up", "main")
    assert (status["nodes"]["desired"], status["nodes"]["programmed"]) == (1, 1)
    assert job.condition("vfe/web", "Accepted")[:2] == ("True", "Accepted")
    assert job.condition("vfe/web", "Programmed")[:2] == ("True", "Programmed")
    backend = job.kubectl.get("vbe", "nginx1")["status"]
    assert (backend["state"], backend["code"]) == ("up", "L7OK")
    seen = job.seen_vip()
    assert seen is not None
    assert seen.encap == "GRE4"
    assert seen.weights == {server.address: 100 for server in job.servers.values()}


def test_probes_arrive_at_every_server_once_an_interval(job: MainJob) -> None:
    job.deploy()

    before = {name: job.probes(name) for name in job.servers}
    time.sleep(10 * INTERVAL)  # real servers are probed in real time
    for name in job.servers:
        assert 5 <= job.probes(name) - before[name] <= 12


def test_pause_stops_the_probes_and_resume_starts_them_again(job: MainJob) -> None:
    job.deploy()

    job.kubectl.patch("vbe", "nginx0", {"spec": {"paused": True}})
    job.wait_state("nginx0", "paused")
    job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})
    stays(lambda: job.probes("nginx0"), "probes of a paused backend", seconds=QUIET)

    paused_at = job.probes("nginx0")
    job.kubectl.patch("vbe", "nginx0", {"spec": {"paused": False}})
    job.wait_state("nginx0", "up")
    job.wait_weights({"nginx0": 100})
    assert job.probes("nginx0") > paused_at


def test_a_paused_backend_is_drained_not_flushed(job: MainJob) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    job.kubectl.patch("vbe", "nginx0", {"spec": {"paused": True}})
    job.wait_weights({"nginx0": 0})
    assert [call.weight_set for call in job.stage.tap.changes(mark)] == [
        (job.servers["nginx0"].address, 0, False)
    ]


def test_disable_stops_the_probes_and_cuts_the_flows_and_enable_brings_it_back(
    job: MainJob,
) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    job.kubectl.patch("vbe", "nginx2", {"spec": {"enabled": False}})
    job.wait_state("nginx2", "disabled")
    job.wait_weights({"nginx2": 0})
    assert [call.weight_set for call in job.stage.tap.changes(mark)] == [
        (job.servers["nginx2"].address, 0, True)
    ]
    stays(lambda: job.probes("nginx2"), "probes of a disabled backend", seconds=QUIET)

    job.kubectl.patch("vbe", "nginx2", {"spec": {"enabled": True}})
    job.wait_state("nginx2", "up")
    job.wait_weights({"nginx2": 100})


def test_a_changed_weight_reaches_vpp_as_one_call(job: MainJob) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    weight = {"op": "replace", "path": "/spec/pools/0/backends/1/weight", "value": 10}
    job.kubectl.patch("vfe", "web", [weight])
    job.wait_weights({"nginx0": 100, "nginx1": 10, "nginx2": 100})
    assert [call.weight_set for call in job.stage.tap.changes(mark)] == [
        (job.servers["nginx1"].address, 10, False)
    ]


def test_a_killed_server_gets_weight_0_and_a_flush_and_comes_back(job: MainJob) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    job.servers["nginx1"].stop()
    job.wait_weights({"nginx0": 100, "nginx1": 0, "nginx2": 100})
    assert [call.weight_set for call in job.stage.tap.changes(mark)] == [
        (job.servers["nginx1"].address, 0, True)
    ]
    job.wait_state("nginx1", "down")
    status = job.kubectl.get("vbe", "nginx1")["status"]
    assert (status["code"], status["detail"]) == ("L4CON", "connection refused")
    wait_for(lambda: "BackendDown" in job.events("Backend", "nginx1"), "an event on the backend")

    job.servers["nginx1"].start()
    job.wait_weights({"nginx1": 100})
    job.wait_state("nginx1", "up")
    transitions = job.kubectl.get("vbe", "nginx1")["status"]["transitions"]
    assert [(each["from"], each["to"]) for each in transitions[:2]] == [
        ("down", "up"),
        ("up", "down"),
    ]


def test_the_standby_pool_takes_over_and_gives_back(job: MainJob) -> None:
    pools = {"main": ["nginx0"], "standby": ["nginx1", "nginx2"]}
    job.deploy(job.frontend(pools=pools))
    job.wait_weights({"nginx0": 100, "nginx1": 0, "nginx2": 0})

    job.servers["nginx0"].status = 503
    job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})
    job.kubectl.wait("vfe/web", "jsonpath={.status.activePool}=standby")
    wait_for(lambda: "PoolFailover" in job.events("Frontend", "web"), "an event on the frontend")

    job.servers["nginx0"].status = 200
    job.wait_weights({"nginx0": 100, "nginx1": 0, "nginx2": 0})


def test_a_backend_of_two_frontends_is_probed_once_an_interval(job: MainJob) -> None:
    job.deploy(job.frontend(), job.frontend("also", vip="198.51.100.7"))
    job.wait_weights({"nginx0": 100}, vip="198.51.100.7")

    before = job.probes("nginx0")
    time.sleep(10 * INTERVAL)  # real servers are probed in real time
    assert 5 <= job.probes("nginx0") - before <= 12
    assert job.kubectl.field("vbe", "nginx0", ".status.frontends") == "2"


def test_a_changed_health_check_is_used_at_once_and_takes_nothing_out(job: MainJob) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    probes = job.probes("nginx0")
    job.kubectl.patch("vhc", "web", {"spec": {"http": {"path": "/healthz"}}})
    wait_for(lambda: job.servers["nginx0"].requests["/healthz"] >= 2, "probes of the new path")
    for name in job.servers:
        job.wait_state(name, "up")
    assert job.stage.tap.changes(mark) == []
    assert job.probes("nginx0") > probes


def test_what_does_not_resolve_is_said_and_the_rest_is_served(job: MainJob) -> None:
    members = [*job.servers, "nobody"]
    job.kubectl.apply([job.health_check, *job.backends, job.frontend(pools={"main": members})])

    message = job.wait_condition("vfe/web", "ResolvedRefs", "False", "BackendNotFound")
    assert "nobody" in message
    wait_for(lambda: "BackendNotFound" in job.events("Frontend", "web"), "an event on the frontend")
    job.wait_weights(dict.fromkeys(job.servers, 100))


def test_the_newer_of_two_frontends_with_one_vip_is_not_accepted(job: MainJob) -> None:
    job.deploy()
    time.sleep(1.1)  # creation times are in whole seconds
    job.kubectl.apply(job.frontend("rival", pools={"main": ["nginx0"]}))

    message = job.wait_condition("vfe/rival", "Accepted", "False", "Conflict")
    assert "web" in message
    wait_for(lambda: "NotAccepted" in job.events("Frontend", "rival"), "an event on the frontend")
    assert job.weights() == dict.fromkeys(job.servers, 100)


def test_objects_of_users_get_no_annotations_labels_or_finalizers(job: MainJob) -> None:
    job.deploy()

    for kind, name in (("vfe", "web"), ("vbe", "nginx0"), ("vhc", "web")):
        metadata = job.kubectl.get(kind, name)["metadata"]
        applied_by_kubectl = {"kubectl.kubernetes.io/last-applied-configuration"}
        assert set(metadata.get("annotations", {})) <= applied_by_kubectl
        assert not metadata.get("labels")
        assert not metadata.get("finalizers")


def test_deleting_all_resources_empties_vpp(job: MainJob) -> None:
    job.deploy()

    job.kubectl("delete", "vfe,vbe,vhc", "--all", timeout=PATIENCE)
    wait_for(lambda: not job.witness.see(), "VPP is empty")
    for server in job.servers.values():
        stays(server.requests.total, "probes of a deleted backend", seconds=QUIET / 3)


def test_a_killed_operator_comes_back_without_one_changing_call(job: MainJob) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    job.stage.operator.crash()
    probes = {name: job.probes(name) for name in job.servers}
    wait_for(lambda: all(job.probes(name) > probes[name] + 3 for name in probes), "probes go on")
    assert job.stage.tap.changes(mark) == []
    for name in job.servers:
        assert job.kubectl.field("vbe", name, ".status.state") == "up"


def test_a_server_that_died_while_the_operator_was_away_is_taken_out(job: MainJob) -> None:
    job.deploy()

    job.stage.operator.program.kill()
    job.servers["nginx0"].stop()
    job.stage.operator.program.start()
    job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})


def test_a_killed_agent_comes_back_without_one_changing_call(job: MainJob) -> None:
    job.deploy()

    mark = len(job.stage.tap.calls)
    job.stage.agent.crash()
    wait_for(lambda: "lb_as_v2_dump" in job.stage.tap.names(mark), "the new agent reads VPP")
    stays(lambda: job.stage.tap.changes(mark), "changing calls", seconds=QUIET)
    assert job.stage.tap.changes(mark) == []
    # And it is at work: what happens next reaches VPP.
    job.servers["nginx2"].stop()
    job.wait_weights({"nginx2": 0})


def test_what_changed_while_the_agent_was_away_is_all_it_does_on_return(job: MainJob) -> None:
    job.deploy()

    job.stage.agent.program.kill()
    job.kubectl.patch("vbe", "nginx1", {"spec": {"paused": True}})
    job.wait_state("nginx1", "paused")
    mark = len(job.stage.tap.calls)
    job.stage.agent.program.start()
    job.wait_weights({"nginx1": 0})
    assert [call.weight_set for call in job.stage.tap.changes(mark)] == [
        (job.servers["nginx1"].address, 0, False)
    ]


def test_a_restarted_vpp_gets_everything_again(job: MainJob) -> None:
    job.deploy()
    before = job.seen_vip()

    job.stage.vpp.restart()
    wait_for(lambda: job.seen_vip() == before, "the VIP as it was")
    job.kubectl.wait(f"vdp/{job.stage.node}", "condition=Connected")
    job.kubectl.wait("vfe/web", "condition=Programmed")


def test_nothing_was_forbidden_and_no_stack_trace_was_logged(stage: NodeStage) -> None:
    for service in (stage.operator, stage.agent):
        log = service.program.log.read_text()
        assert "forbidden" not in log.lower(), "a permission is missing in the chart's roles"
        assert "Traceback" not in log

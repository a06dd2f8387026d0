"""`kubectl vpplb` on a real API server, with an operator, an agent and a VPP behind it."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from cluster.main_job import MainJob
from cluster.stage import VPPLB, NodeStage
from lab.cpu_time import installed_environment, takes_less
from lab.http_get import http_get
from lab.processes import Program
from lab.servers import CountingHttpServer
from lab.waiting import wait_for
from vpplb.cli.kubectl.group import cli
from vpplb.simulator.flows import TCP, FiveTuple


def send(stage: NodeStage, flows: Sequence[FiveTuple], directory: Path) -> None:
    """Send a packet of each flow through VPP."""
    if os.environ.get("VPPLB_TEST_VPP"):
        _generate(stage.vpp.socket, flows, directory)
    else:
        _forward(stage.vpp.socket.with_name("control"), flows)


def _forward(control: Path, flows: Sequence[FiveTuple]) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(control))
        with sock.makefile("rw") as file:
            for flow in flows:
                file.write(json.dumps(_command(flow)) + "\n")
                file.flush()
                answer = json.loads(file.readline())
                assert answer["ok"], answer


def _command(flow: FiveTuple) -> dict[str, object]:
    assert flow.protocol == TCP
    return {
        "do": "forward",
        "protocol": "tcp",
        "source": str(flow.source),
        "destination": str(flow.destination),
        "source_port": flow.source_port,
        "destination_port": flow.destination_port,
    }


def _generate(api_socket: Path, flows: Sequence[FiveTuple], directory: Path) -> None:
    from vpp_papi import VPPApiClient

    from lab.packet_generator import PacketGenerator

    client: Any = VPPApiClient(use_socket=True, server_address=str(api_socket), bootstrapapi=True)
    client.connect("packets")
    try:
        PacketGenerator(client, directory).send(flows)
    finally:
        client.disconnect()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.control_plane,
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
]


POOLS = {"main": ["nginx0", "nginx1"], "spare": ["nginx2"]}


class Plugin:
    """The plugin in the namespace of a job: in this process, or as kubectl runs it."""

    def __init__(self, plane: ControlPlane, job: MainJob) -> None:
        self._plane, self.job = plane, job
        self.namespace = job.kubectl.namespace

    def call(self, *arguments: str) -> Result:
        env = {"KUBECONFIG": str(self._plane.kubeconfig), "COLUMNS": "200"}
        env["VPPLB_KUBECTL"] = str(self._plane.kubectl.binary)
        return CliRunner(env=env).invoke(cli, [*arguments, "-n", self.namespace])

    def say(self, *arguments: str) -> str:
        result = self.call(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def read(self, *arguments: str) -> Any:
        return json.loads(self.say(*arguments, "-o", "json"))

    def state(self, backend: str) -> str:
        (found,) = [one for one in self.read("backends") if one["name"] == backend]
        return str(found["state"])

    def run_once(self, *arguments: str) -> None:
        """Run the program as a process of its own, and end what would go on for ever."""
        with subprocess.Popen(
            [VPPLB.with_name("kubectl-vpplb"), *arguments, "-n", self.namespace],
            env={
                **installed_environment(),
                "KUBECONFIG": str(self._plane.kubeconfig),
                "VPPLB_KUBECTL": str(self._plane.kubectl.binary),
            },
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            if "watch" in arguments:
                assert process.stdout is not None
                assert process.stdout.readline(), "what is remembered"
                process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)
            assert process.returncode in (0, 130), said

    def by_kubectl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run kubectl, with the programs that were installed on the PATH."""
        kubectl = Path(self.job.kubectl.binary).parent
        path = os.pathsep.join((str(VPPLB.parent), str(kubectl), os.environ["PATH"]))
        return subprocess.run(
            [self.job.kubectl.binary, *arguments],
            env={**os.environ, "PATH": path, "KUBECONFIG": str(self._plane.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def plugin(control_plane: ControlPlane, job: MainJob) -> Plugin:
    job.deploy(job.frontend(pools=POOLS))
    return Plugin(control_plane, job)


@pytest.fixture
def watching(plugin: Plugin, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Program]:
    """Run `watch` beside the test, from when it has listed."""
    program = Program(
        [VPPLB.with_name("kubectl-vpplb"), "watch", "--history", "-n", plugin.namespace],
        log=tmp_path / "watch.log",
        env={
            "KUBECONFIG": str(control_plane.kubeconfig),
            "VPPLB_KUBECTL": str(control_plane.kubectl.binary),
        },
    )
    with program:
        wait_for(lambda: "unknown → up" in program.tail(), "the transitions that are remembered")
        yield program


def test_kubectl_runs_it_as_its_own_command(plugin: Plugin) -> None:
    done = plugin.by_kubectl("vpplb", "status", "web", "-n", plugin.namespace)
    assert done.returncode == 0, done.stderr
    assert f"{plugin.namespace}/web  {plugin.job.vip}/32 tcp/80" in done.stdout
    assert "3/3 backends are up, 1/1 nodes have it" in done.stdout
    wrong = plugin.by_kubectl("vpplb", "status", "wbe", "-n", plugin.namespace)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("Error: there is no Frontend wbe")


def test_kubectl_completes_its_verbs_and_the_names_of_objects(plugin: Plugin) -> None:
    def offer(*typed: str) -> list[str]:
        lines = plugin.by_kubectl("__complete", "vpplb", *typed).stdout.splitlines()
        return [line for line in lines if not line.startswith(":")]

    assert offer("pa") == ["pause\tGive backends no new flows; they keep those that they have."]
    assert offer("pause", "-n", plugin.namespace, "nginx") == ["nginx0", "nginx1", "nginx2"]


def test_status_shows_members_nodes_and_what_happened(plugin: Plugin, stage: NodeStage) -> None:
    def nodes() -> list[tuple[str, str]]:
        return [(one["node"], one["state"]) for one in plugin.read("status", "web")["nodes"]]

    # A node's own status comes after the frontend's, which its acknowledgement makes.
    wait_for(lambda: nodes() == [(stage.node, "programmed")], "the node's status is written")
    detail = plugin.read("status", "web")
    assert [(one["backend"], one["state"], one["due"]) for one in detail["members"]] == [
        ("nginx0", "up", 0.5),
        ("nginx1", "up", 0.5),
        ("nginx2", "up", 0.0),
    ]
    happened = {one["what"] for one in detail["history"]}
    assert {"nginx0", "nginx1", "nginx2", "FrontendUp"} <= happened


def test_the_default_namespace_is_that_of_the_kubeconfigs_context(
    plugin: Plugin, control_plane: ControlPlane, tmp_path: Path
) -> None:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = plugin.namespace
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    arguments = ["backends", "--kubeconfig", str(tmp_path / "config"), "-o", "json"]
    runner = CliRunner(env={"VPPLB_KUBECTL": str(control_plane.kubectl.binary)})
    assert len(json.loads(runner.invoke(cli, arguments).stdout)) == 3
    moon = runner.invoke(cli, [*arguments, "--context", "moon"])
    assert (moon.exit_code, moon.stdout) == (1, "")
    assert moon.stderr.startswith("Error: no usable cluster configuration: ")
    assert "moon" in moon.stderr
    nobody = CliRunner(env={**runner.env, "KUBECONFIG": str(tmp_path / "none"), "HOME": "/nowhere"})
    nowhere = nobody.invoke(cli, ["status"])
    assert nowhere.stderr.startswith("Error: no usable cluster configuration: ")


def test_one_acts_as_another_user_with_their_rights_only(plugin: Plugin) -> None:
    refused = plugin.call("backends", "--as", "nobody-special")
    assert refused.exit_code == 1
    assert 'User "nobody-special" cannot list resource "frontends"' in refused.stderr
    assert len(plugin.read("backends", "--as", "ann", "--as-group", "system:masters")) == 3


def test_what_is_chosen_by_labels_is_all_that_is_changed(plugin: Plugin) -> None:
    plugin.job.kubectl("label", "vbe", "nginx1", "rack=b7")
    assert [one["name"] for one in plugin.read("backends", "-l", "rack=b7")] == ["nginx1"]
    assert plugin.say("pause", "-l", "rack=b7", "--wait").startswith("backend nginx1 paused\n")
    assert [plugin.state(f"nginx{n}") for n in range(3)] == ["up", "paused", "up"]
    plugin.say("resume", "-l", "rack=b7", "--wait")
    assert plugin.say("backends", "--problems") == "there are no such backends\n"


def test_pause_and_resume_wait_until_every_node_has_it(plugin: Plugin) -> None:
    said = plugin.say("pause", "nginx0", "--wait")
    assert said.startswith("backend nginx0 paused\nbackend nginx0 is paused on all nodes after ")
    assert plugin.job.weights() == {"nginx0": 0, "nginx1": 100, "nginx2": 0}
    assert plugin.say("pause", "nginx0") == "backend nginx0 already paused\n"
    assert "is up (L7OK) on all nodes after" in plugin.say("resume", "nginx0", "--wait")
    assert plugin.job.weights() == {"nginx0": 100, "nginx1": 100, "nginx2": 0}


def test_disable_and_enable_take_several(plugin: Plugin) -> None:
    plugin.say("disable", "nginx0", "nginx1", "--wait")
    assert plugin.job.weights() == {"nginx0": 0, "nginx1": 0, "nginx2": 100}
    assert plugin.read("status")[0]["activePool"] == "spare"
    plugin.say("enable", "nginx0", "nginx1", "--wait")
    assert plugin.job.weights() == {"nginx0": 100, "nginx1": 100, "nginx2": 0}


def test_a_drain_takes_out_what_nobody_resumes_meanwhile(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def somebody_resumes(_: float) -> None:
        plugin.job.kubectl.patch(
            "vbe", "nginx0", [{"op": "replace", "path": "/spec/paused", "value": False}]
        )

    monkeypatch.setattr("vpplb.cli.verbs.drain.wait_for_flows", somebody_resumes)
    result = plugin.call("drain", "nginx0", "nginx1")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: not drained, since resumed by somebody meanwhile: nginx0\n",
    )
    specs = [plugin.job.kubectl.get("vbe", name)["spec"] for name in ("nginx0", "nginx1")]
    assert [spec.get("enabled", True) for spec in specs] == [True, False]
    assert [spec["paused"] for spec in specs] == [False, False]
    plugin.say("enable", "nginx1", "--wait")
    plugin.say("resume", "nginx0", "--wait")
    assert plugin.job.weights() == {"nginx0": 100, "nginx1": 100, "nginx2": 0}


def test_an_edit_leaves_a_manager_of_its_own(plugin: Plugin) -> None:
    kubectl = plugin.job.kubectl
    shown = kubectl("get", "vbe", "nginx0", "-o", "json", "--show-managed-fields")
    managers = {one["manager"] for one in json.loads(shown)["metadata"]["managedFields"]}
    assert {"kubectl-vpplb", "vpplb"} <= managers


def test_a_weight_reaches_vpp_and_says_what_share_that_is(plugin: Plugin) -> None:
    said = plugin.say("weight", "web", "main", "nginx1", "50", "--wait")
    assert said.startswith("frontend web, pool main: nginx1 weight 100 → 50\n")
    assert "nginx1 gets 3" in said
    assert plugin.job.weights() == {"nginx0": 100, "nginx1": 50, "nginx2": 0}
    wrong = plugin.call("weight", "web", "main", "nginx9", "50")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    plugin.say("weight", "web", "main", "nginx1", "100", "--wait")


def test_pools_that_are_turned_round_meanwhile_get_the_weight_where_it_belongs(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vpplb.acting.spec_edits import MemberPlace

    pools = plugin.job.frontend(pools=POOLS)["spec"]["pools"]
    turned = [pools[1], {**pools[0], "backends": pools[0]["backends"][::-1]}]
    original = MemberPlace.write_weight

    def meddling(*arguments: Any) -> Any:
        monkeypatch.setattr(MemberPlace, "write_weight", original)
        change = [{"op": "replace", "path": "/spec/pools", "value": turned}]
        plugin.job.kubectl.patch("vfe", "web", change)
        return original(*arguments)

    monkeypatch.setattr(MemberPlace, "write_weight", meddling)
    plugin.say("weight", "web", "main", "nginx1", "7")
    spec = plugin.job.kubectl.get("vfe", "web")["spec"]
    assert [
        (pool["name"], one["name"], one["weight"])
        for pool in spec["pools"]
        for one in pool["backends"]
    ] == [("spare", "nginx2", 100), ("main", "nginx1", 7), ("main", "nginx0", 100)]
    plugin.job.kubectl.patch(
        "vfe", "web", [{"op": "replace", "path": "/spec/pools", "value": pools}]
    )
    plugin.job.kubectl.wait("vfe/web", "condition=Programmed")


def test_watch_tells_a_failover_as_it_happens(plugin: Plugin, watching: Program) -> None:
    wait_for(lambda: plugin.job.weights()["nginx0"] == 100, "the weights as applied")
    before = len(watching.tail(1000).splitlines())
    for name in POOLS["main"]:
        plugin.job.servers[name].stop()
    try:
        wait_for(lambda: "pool main → spare" in watching.tail(), "the failover")
    finally:
        for name in POOLS["main"]:
            plugin.job.servers[name].start()
    wait_for(lambda: "pool spare → main" in watching.tail(), "the way back")
    lines = [line.split("  ", 1)[1] for line in watching.tail(1000).splitlines()[before:]]
    space = plugin.namespace
    assert f"backend   {space}/nginx0  up → down  L4CON  connection refused" in lines
    assert f"frontend  {space}/web  pool main → spare  failover" in lines
    for name in POOLS["main"]:
        plugin.job.wait_state(name, "up")


def test_plan_tells_what_a_manifest_would_change_and_changes_nothing(
    plugin: Plugin, tmp_path: Path
) -> None:
    edited = plugin.job.frontend(pools=POOLS)
    edited["spec"]["pools"][0]["backends"][1]["weight"] = 10
    path = tmp_path / "web.yaml"
    path.write_text(yaml.safe_dump(edited))
    plugin.job.wait_condition("vfe/web", "Programmed", "True", "Programmed")
    before = plugin.job.kubectl.get("vfe", "web")
    result = plugin.call("plan", "-f", str(path), "-o", "json")
    assert result.exit_code == 1, result.output
    said = json.loads(result.stdout)
    address = plugin.job.servers["nginx1"].address
    assert [call["does"] for call in said["calls"]] == [f"= {address} weight 10"]
    assert plugin.job.kubectl.get("vfe", "web") == before
    path.write_text(yaml.safe_dump(plugin.job.frontend(pools=POOLS)))
    assert plugin.call("plan", "-f", str(path)).exit_code == 0


def test_dataplane_lists_nodes_with_their_heartbeats(plugin: Plugin, stage: NodeStage) -> None:
    def node() -> dict[str, Any]:
        return next(one for one in plugin.read("dataplane") if one["node"] == stage.node)

    wait_for(lambda: node()["programmed"] == 1, "the node's status is written")
    assert (node()["connected"], node()["synced"]) == ("True", "True")
    assert node()["heartbeat"]
    assert stage.node in plugin.say("dataplane")


def test_dataplane_of_a_node_counts_packets_and_shows_true_shares(
    plugin: Plugin, stage: NodeStage, tmp_path: Path
) -> None:
    client, vip = ip_address("198.51.100.7"), ip_address(plugin.job.vip)
    flows = [FiveTuple(client, vip, TCP, 4000 + n, 80) for n in range(5)]
    url = ("--agent-url", stage.agent.http)

    def packets() -> dict[str, int]:
        detail = plugin.read("dataplane", stage.node, *url)
        assert "packetsUnknown" not in detail or not detail["packetsUnknown"]
        (found,) = [one for one in detail["vips"] if one["frontend"] == f"{plugin.namespace}/web"]
        assert sum(one["buckets"] for one in found["servers"]) == found["flowTableLength"]
        return dict(found["packets"])

    before = packets()
    send(stage, [*flows, *flows], tmp_path)

    def counted() -> bool:
        now = packets()
        grown = {kind: now[kind] - before[kind] for kind in now}
        assert grown == {"existing": 5, "first": 5, "untracked": 0, "noServer": 0}, str(grown)
        return True

    wait_for(counted, "the packets of two rounds of five flows", every=1.0)
    shown = plugin.say("dataplane", stage.node, *url)
    assert f"{plugin.namespace}/web" in shown
    assert "50.0 %" in shown


def test_an_agent_that_is_no_pod_has_to_be_named(plugin: Plugin, stage: NodeStage) -> None:
    result = plugin.call("dataplane", stage.node)
    assert result.exit_code == 1
    assert "--agent-url http://HOST:9091" in result.output


def test_an_agent_in_a_pod_is_reached_through_the_api_server(
    plugin: Plugin, stage: NodeStage
) -> None:
    """There is no kubelet here, so the pod is its entry in the API, with our address as its own."""
    path = f"/api/v1/dataplanes/{stage.node}/vips"
    status, told = http_get(stage.agent.http + path)
    assert status == 200
    with CountingHttpServer(address=_own_address()) as agent:
        agent.body = told.encode()
        _pretend_pod(plugin.job.kubectl, stage.node, agent)
        detail = plugin.read("dataplane", stage.node)
        agent.status = 503
        agent.body = b'{"error": "VPP cannot be read: hung"}'
        refused = plugin.call("dataplane", stage.node, "--agent-namespace", plugin.namespace)
    assert [one["frontend"] for one in detail["vips"]] == [f"{plugin.namespace}/web"]
    assert agent.requests == {path: 2}
    assert refused.exit_code == 1
    assert refused.stderr == "Error: VPP cannot be read: hung\n"
    assert stage.node in refused.stdout


def _own_address() -> str:
    """Return an address of this machine; the API server refuses to go to loopback for anybody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def _pretend_pod(kubectl: Kubectl, node: str, agent: CountingHttpServer) -> None:
    labels = {"app.kubernetes.io/name": "vpplb", "app.kubernetes.io/component": "agent"}
    container = {
        "name": "agent",
        "image": "vpplb",
        "ports": [{"name": "http", "containerPort": agent.port}],
    }
    spec = {"nodeName": node, "automountServiceAccountToken": False, "containers": [container]}
    metadata: dict[str, object] = {"name": "agent", "labels": labels}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    kubectl.apply(
        [account, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]
    )
    addresses = {"podIP": agent.address, "podIPs": [{"ip": agent.address}]}
    patch = json.dumps({"status": {"phase": "Running", **addresses}})
    kubectl("patch", "pod", "agent", "--subresource=status", "--type=merge", "-p", patch)


VERBS_RUN = (
    "status", "status web", "backends", "pause nginx2", "resume nginx2", "disable nginx2",
    "enable nginx2", "drain nginx2 --for 100ms", "enable nginx2", "weight web spare nginx2 100",
    "dataplane", "dataplane {node} --agent-url {url}", "watch --history",
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS_RUN)
def test_a_verb_takes_three_tenths_of_a_second_with_kubectl_behind_it(
    plugin: Plugin, stage: NodeStage, verb: str
) -> None:
    arguments = verb.format(node=stage.node, url=stage.agent.http).split()
    takes_less(lambda: plugin.run_once(*arguments), 0.3, f"kubectl vpplb {verb}")


@pytest.mark.parametrize("losing", ["--down nginx2", "-f {manifest}"])
def test_a_plan_takes_three_tenths_of_a_second_at_the_median(
    plugin: Plugin, tmp_path: Path, losing: str
) -> None:
    """It reads whole objects: half of it is the import of pydantic and of what describes kinds."""
    path = tmp_path / "web.yaml"
    path.write_text(yaml.safe_dump(plugin.job.frontend(pools=POOLS)))
    arguments = losing.format(manifest=path).split()
    takes_less(
        lambda: plugin.run_once("plan", *arguments), 0.3, f"kubectl vpplb plan {losing}", runs=9
    )


def test_completion_takes_three_tenths_of_a_second(plugin: Plugin) -> None:
    takes_less(lambda: plugin.run_once("__complete", "pause"), 0.3, "completing -n by namespaces")

"""Options of the chart that change what the programs do, tried in a cluster of three nodes.

The VPPs are of no release, and count the calls that change them: while options change, nothing
moves there. The tests build on each other in the order in which they stand.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cluster.certificates import write_serving_certificate
from cluster.helm_release import VPP_GROUP, values
from cluster.installed import CHART
from cluster.kubectl import Kubectl, KubectlError
from cluster.node_vpps import PATIENT
from cluster.operators import Operators
from cluster.served_release import VIP, ServedRelease, wait_direct
from cluster.three_nodes import NODES, Cluster
from data.manifests import Raw, backend, frontend, health_check
from lab.waiting import wait_for
from vpplb.agent.node_guard import KEPT, OPEN

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.usefixtures("in_order")]

OTHER_VIP, SMALL_VIP, BEYOND = "192.0.2.21", "192.0.2.22", "192.0.2.99"
AGENT = "system:serviceaccount:vpplb-system:vpplb-agent"
ELECTIONS = "elections"
HEADER = "authorization=Bearer%20n3ver-shown"
COLLECTOR = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        programs = [name for name in ("operator", "agent") if f"vpplb-{name}-".encode() in sent]
        print(self.path, self.headers["Authorization"], *programs, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass

HTTPServer(("", 4318), Collector).serve_forever()
"""


@pytest.fixture(scope="module")
def served(cluster: Cluster, image_folder: Path) -> ServedRelease:
    made = ServedRelease(cluster, image_folder)
    made.install()
    return made


@pytest.fixture
def whole(served: ServedRelease) -> Iterator[None]:
    """Leave the frontend as it was before, and no other VIP."""
    yield
    served.wait_whole()


def test_programs_serve_on_the_nodes_own_network(served: ServedRelease) -> None:
    _ping(served)  # by a ping socket, in a pod's network
    served.upgrade(
        operator={"hostNetwork": True, "rawSockets": True, "httpPort": 9092, "directPort": 9444},
        agent={"hostNetwork": True},
    )
    release = served.release
    running = release.list_running("operator") + release.list_running("agent")
    assert len(running) == 2 + NODES
    assert all(pod["status"]["podIP"] == pod["status"]["hostIP"] for pod in running)
    wait_direct(served.kubectl, NODES)
    served.fail_over()
    _ping(served)  # by a raw socket, in the node's


def test_on_the_nodes_own_network_the_next_leader_is_heard_when_a_leaders_node_crashes(
    served: ServedRelease,
) -> None:
    *others, victim = served.vpps.nodes  # the others have the API server, and the servers
    operators = Operators(served.release.kubectl)
    operators.move_lead(victim, away_from=others[1])
    before = operators.find_leader()
    operators.wait_heard(served.vpps.nodes)

    served.cluster.crash_node(NODES)
    operators.wait_another(before)
    operators.wait_heard(others)
    served.fail_over(others)

    served.servers.boot_last_node(served.shop)
    operators.wait_heard(served.vpps.nodes)
    served.wait_whole()


def test_without_the_direct_road_the_status_alone_tells_agents(served: ServedRelease) -> None:
    served.upgrade(direct={"enabled": False})
    wait_direct(served.kubectl, 0)
    served.fail_over()


def test_policies_are_for_the_pods_and_ports_that_there_are(served: ServedRelease) -> None:
    """The cluster need not enforce a NetworkPolicy: whether it would let agents in is looked at."""
    served.upgrade(
        networkPolicy={"enabled": True},
        addressClaims=[{"addresses": [VIP], "namespaces": ["shop"]}],
        operator={"probeAllow": sorted(served.addresses.values())},
    )
    release = served.release
    policies = release.kubectl.list("networkpolicies")
    assert len(policies) == 2
    for policy in policies:
        spec = policy["spec"]
        component = policy["metadata"]["labels"]["app.kubernetes.io/component"]
        running = release.list_running(component)
        assert _select(release.kubectl, spec["podSelector"]) == _names(running) != set()
        let_in = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
        for pod in running:
            (container,) = pod["spec"]["containers"]
            assert let_in == {port["containerPort"] for port in container["ports"]}
            for port in let_in:
                _connect(served.cluster, pod["status"]["podIP"], port)
    (direct,) = (
        rule for policy in policies for rule in policy["spec"]["ingress"] if "from" in rule
    )
    (agents,) = direct["from"]
    assert _select(release.kubectl, agents["podSelector"]) == _names(release.list_running("agent"))
    wait_direct(served.kubectl, NODES)
    served.fail_over()


@pytest.mark.usefixtures("whole")
def test_what_claims_and_bounds_keep_out_they_keep_out(served: ServedRelease) -> None:
    of_another = served.kubectl.refusal(frontend("other", address=VIP))
    assert f"{VIP}/32 is for the namespaces shop alone" in of_another
    assert f"{OTHER_VIP} is in no range" in served.shop.refusal(
        frontend("other", address=OTHER_VIP)
    )
    _assert_probe_denied(served.shop)


# --- one operator, with all of its own --------------------------------------------------------


def test_one_operator_serves_by_an_election_accounts_and_sockets_of_its_own(
    served: ServedRelease,
) -> None:
    release = served.release
    served.kubectl("create", "namespace", ELECTIONS)
    release.kubectl("create", "serviceaccount", "of-agents")
    release.kubectl("create", "secret", "generic", "collector", f"--from-literal=headers={HEADER}")
    for node in range(1, NODES + 1):
        script = "ln -s /run/vpp /run/vpp-edge && ln -s api.sock /run/vpp/binary-api.sock"
        served.cluster.run_on_node(node, "sh", "-c", script)
    served.upgrade(
        operator={
            "replicas": 1,
            "electionNamespace": ELECTIONS,
            "serviceAccount": {"name": "of-operators"},
            "headersFromSecrets": True,
            "allowNat": True,
            "probeDeny": [f"{BEYOND}/32"],
        },
        agent={
            "serviceAccount": {"create": False, "name": "of-agents"},
            "vpp": {"runDir": "/run/vpp-edge", "apiSocket": "binary-api.sock"},
        },
        rbac={"aggregate": False},
        traces={
            "endpoint": f"http://{_start_collector(served)}:4318",
            "headersSecret": {"name": "collector"},
        },
    )
    (operator,) = release.list_running("operator")
    leader = Operators(release.kubectl, ELECTIONS).find_leader()
    assert leader.startswith(operator["metadata"]["name"])
    for component in ("operator", "agent"):
        accounts = {pod["spec"]["serviceAccountName"] for pod in release.list_running(component)}
        assert accounts == {f"of-{component}s"}
    wait_direct(served.kubectl, NODES)
    served.fail_over()
    _wait_rights(served, KEPT)


def test_a_failover_is_traced_by_both_programs_with_the_header_of_a_secret(
    served: ServedRelease,
) -> None:
    def told() -> set[str]:
        return set(served.shop("logs", "collector").splitlines())

    expected = {f"/v1/traces Bearer n3ver-shown {name}" for name in ("operator", "agent")}
    wait_for(lambda: told() == expected, "traces of both come")


@pytest.mark.usefixtures("whole")
def test_what_needs_an_option_is_served_with_it(served: ServedRelease) -> None:
    shop, address = served.shop, served.addresses["nginx0"]
    shop("create", "secret", "generic", "token", "--from-literal=value=n3ver-shown")
    key = {"secretKeyRef": {"name": "token", "key": "value"}}
    http = {"path": "/healthz", "headers": [{"name": "Authorization", "valueFrom": key}]}
    check = health_check("small", type="HTTP", port=8080, interval="500ms", http=http)
    _apply_small(shop, address, check, encap="NAT4", targetPort=8080)
    shop.wait("vfe/small", "condition=Programmed", timeout=PATIENT)
    assert shop.field("vhc", "small", ".status.conditions[0].reason") == "Accepted"
    _delete_small(shop)
    _assert_probe_denied(shop)


def test_without_aggregation_who_has_edit_may_make_no_frontend(served: ServedRelease) -> None:
    shop = served.shop
    shop("create", "rolebinding", "ann", "--clusterrole=edit", "--user=ann")
    assert _may(shop, "create", "configmaps", "ann")
    wait_for(lambda: not _may(shop, "create", "frontends", "ann"), "the roles are gone")
    assert not _may(shop, "get", "frontends", "ann")


# --- rights and certificates ------------------------------------------------------------------


def test_without_the_policy_an_agent_may_write_for_others_and_says_so(
    served: ServedRelease, tmp_path: Path
) -> None:
    release, servers = served.release, served.servers
    for name in ("of-operators", "of-agents"):
        pair = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        write_serving_certificate(*pair)
        release.kubectl("create", "secret", "tls", name, f"--cert={pair[0]}", f"--key={pair[1]}")
    served.upgrade(
        agent={"ownNodeOnly": False},
        http={"tlsSecret": "of-operators", "agentTlsSecret": "of-agents"},
    )
    for component in ("operator", "agent"):
        expected = (tmp_path / f"of-{component}s.crt").read_text()
        for pod in release.list_running(component):
            url = f"https://{pod['status']['podIP']}:9091/healthz"
            curl = ("curl", "-sk", "-o", "/dev/null", "-w", "%{certs}", url)
            assert expected in served.cluster.run_on_node(1, *curl)
    assert "ValidatingAdmissionPolicy" not in release.helm("get", "manifest", release.name)
    assert served.kubectl(*_writing_as_agent(servers.nodes[0]))
    wait_for(lambda: release.find_line("agent", OPEN), "agents warn", timeout=PATIENT, every=1)
    assert not _may(served.shop, "update", "frontends", AGENT, "--subresource=status")
    wait_direct(served.kubectl, NODES)
    served.fail_over()


def test_without_agents_an_operator_decides_and_no_vpp_is_told(served: ServedRelease) -> None:
    before = served.vpps.changes()
    served.release.upgrade(CHART, values(agent={"enabled": False}))
    wait_for(lambda: not served.release.list_running("agent"), "the agents are gone")
    for breaks, state in ((True, "down"), (False, "up")):
        change = served.servers.break_server if breaks else served.servers.mend_server
        change("nginx1")
        served.shop.wait("vbe/nginx1", f"jsonpath={{.status.state}}={state}", timeout=PATIENT)
    assert served.vpps.changes() == before
    served.release.upgrade(CHART, values(agent={"markStale": False}))
    served.wait_whole()


def test_agents_that_mark_nothing_have_no_right_to(served: ServedRelease) -> None:
    assert not _may(served.shop, "update", "frontends", AGENT, "--subresource=status")
    with pytest.raises(KubectlError, match="an agent may write what is named as its node alone"):
        served.kubectl(*_writing_as_agent(served.vpps.nodes[0]))
    served.fail_over()


def test_an_agent_of_another_user_needs_the_group_of_vpp_and_a_folder_of_its_own(
    served: ServedRelease,
) -> None:
    user, folder = "4711", "/var/lib/vpplb-of-another"
    nodes = range(1, NODES + 1)
    for node in nodes:
        served.cluster.run_on_node(node, "install", "-d", "-o", user, "-m", "700", folder)
        served.cluster.run_on_node(node, "chgrp", str(VPP_GROUP), "/run/vpp/api.sock.vpplb")
    context = {
        "runAsUser": int(user),
        "runAsGroup": int(user),
        "runAsNonRoot": True,
        "supplementalGroups": [VPP_GROUP],
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    served.upgrade(
        agent={"podSecurityContext": context, "stateDir": folder}, operator={"retire": False}
    )
    for node in nodes:
        owner = served.cluster.run_on_node(node, "stat", "-c", "%u", f"{folder}/agent.json")
        assert owner.strip() == user
    servers = served.servers
    for address in (servers.read_pod_address("agent", name) for name in servers.nodes):
        assert servers.read_page(address, "readyz")["lock"] == "held"
    wait_direct(served.kubectl, NODES)
    served.fail_over()


# --- removal ----------------------------------------------------------------------------------


def test_uninstalled_without_retiring_statuses_stay_as_they_were(served: ServedRelease) -> None:
    served.wait_whole()
    before = served.shop.get("vfe", "web")["status"]["dataplane"], served.vpps.changes()
    served.release.uninstall()
    assert served.release.kubectl.list("jobs") == []
    assert "Stale" not in served.shop("get", "vfe,vbe")
    assert (served.shop.get("vfe", "web")["status"]["dataplane"], served.vpps.changes()) == before


def test_without_keeping_definitions_they_go_and_vips_with_the_next_agents(
    served: ServedRelease,
) -> None:
    served.install(crds={"keep": False})
    served.release.uninstall()
    crds = served.kubectl.list("crds")
    assert [one for one in crds if one["spec"]["group"] == "vpplb.dev"] == []
    served.release.install(CHART, values())
    vpps = served.vpps
    wait_for(lambda: not any(map(vpps.see, vpps.nodes)), "all VPPs are empty", every=0.5)


# --- pieces -----------------------------------------------------------------------------------


def _ping(served: ServedRelease) -> None:
    """Return when a server answers ICMP probes; none of it is left."""
    check = health_check("small", type="ICMP", interval="500ms")
    _apply_small(served.shop, served.addresses["nginx0"], check)
    assert served.shop.field("vbe", "small", ".status.code") == "L3OK"
    _delete_small(served.shop)
    served.wait_whole()


def _apply_small(shop: Kubectl, address: str, check: Raw, **more: object) -> None:
    """Return when the one server of a frontend `small` is up."""
    server = backend("small", address, healthCheckRef={"name": "small"})
    pools = [{"name": "main", "backends": [{"name": "small"}]}]
    shop.apply([check, server, frontend("small", address=SMALL_VIP, pools=pools, **more)])
    shop.wait("vbe/small", "jsonpath={.status.state}=up", timeout=PATIENT)


def _delete_small(shop: Kubectl) -> None:
    shop("delete", "vfe/small", "vbe/small", "vhc/small", timeout=PATIENT)


def _assert_probe_denied(shop: Kubectl) -> None:
    """Assert that an address is refused for probes, by the operator's bounds."""
    shop.apply(backend("beyond", BEYOND, healthCheckRef={"name": "web"}))
    reason = 'jsonpath={.status.conditions[?(@.type=="Accepted")].reason}=ProbeDenied'
    shop.wait("vbe/beyond", reason, timeout=PATIENT)
    shop.delete("vbe", "beyond")


def _names(pods: list[dict[str, dict[str, str]]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def _select(kubectl: Kubectl, selector: dict[str, dict[str, str]]) -> set[str]:
    """Return the names of the pods that a policy's selector means."""
    labels = ",".join(f"{name}={value}" for name, value in selector["matchLabels"].items())
    return _names(kubectl.list("pods", "-l", labels))


def _connect(cluster: Cluster, address: str, port: int) -> None:
    """Connect from a node; RuntimeError where nobody listens."""
    cluster.run_on_node(1, "timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")


def _start_collector(served: ServedRelease) -> str:
    """Start what prints who sends traces and by which header, and return its address."""
    container = {
        "name": "collector",
        "image": served.cluster.python_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", COLLECTOR],
        "readinessProbe": {"tcpSocket": {"port": 4318}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "collector"}, "spec": spec}
    served.shop.apply(pod)
    served.shop.wait("pod/collector", "condition=Ready", timeout=PATIENT)
    return served.shop.field("pod", "collector", ".status.podIP")


def _wait_rights(served: ServedRelease, rights: str) -> None:
    """Return when every agent says that it has these rights."""
    for node in served.vpps.nodes:
        address = served.servers.read_pod_address("agent", node)
        has = partial(_has_rights, served, address, rights)
        wait_for(has, f"{node} is {rights}", timeout=PATIENT, every=1)


def _has_rights(served: ServedRelease, address: str, rights: str) -> bool:
    return bool(served.servers.read_page(address, "readyz")["rights"] == rights)


def _writing_as_agent(node: str) -> tuple[str, ...]:
    """Return what tries to write for a node with the agents' account, without a node's token."""
    return (f"--as={AGENT}", "annotate", "dataplane", node, "try=it", "--dry-run=server")


def _may(kubectl: Kubectl, verb: str, kind: str, user: str, *args: str) -> bool:
    try:
        return "yes" in kubectl("auth", "can-i", verb, kind, f"--as={user}", *args)
    except KubectlError:  # how it says no
        return False

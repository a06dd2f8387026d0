"""HTTPS, tokens and acting from the dashboard, installed with helm in a cluster of three nodes."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, HTTPSHandler, OpenerDirector, Request, build_opener

import pytest
from click.testing import CliRunner

from cluster.binaries import ensure
from cluster.certificates import write_serving_certificate
from cluster.installed import SYSTEM, Installed
from cluster.kubectl import Kubectl
from cluster.node_vpps import PATIENT
from cluster.three_nodes import Cluster
from data.manifests import backend, frontend
from lab.processes import Program, free_port
from lab.waiting import wait_for
from vpplb.cli.kubectl.group import cli as plugin

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.usefixtures("in_order")]

VIP = "192.0.2.11"
SECRET = "vpplb-tls"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    write_serving_certificate(folder / "tls.crt", folder / "tls.key")
    return folder / "tls.crt"


@pytest.fixture(scope="module")
def installed(cluster: Cluster, image_folder: Path, certificate: Path) -> Installed:
    programs = ensure(("kubectl", "helm"), print)
    cluster.load_image(image_folder)
    made = Installed(cluster, Kubectl(programs["kubectl"], cluster.kubeconfig), programs["helm"])
    made.kubectl("create", "namespace", SYSTEM)
    pair = (f"--cert={certificate}", f"--key={certificate.with_suffix('.key')}")
    made.system("create", "secret", "tls", SECRET, *pair)
    made.install(http={"tlsSecret": SECRET, "auth": "kubernetes", "actions": True})
    return made


@pytest.fixture(scope="module")
def shop(installed: Installed) -> Kubectl:
    """Give kubectl in a namespace where alice may edit; she may view all others."""
    installed.kubectl("create", "namespace", "shop")
    shop = installed.kubectl.within("shop")
    shop("create", "serviceaccount", "alice")
    alice = "--serviceaccount=shop:alice"
    shop("create", "rolebinding", "alice", "--clusterrole=edit", alice)
    installed.kubectl("create", "clusterrolebinding", "alice", "--clusterrole=view", alice)
    pools = [{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]
    servers = [backend("a", "203.0.113.1"), backend("b", "203.0.113.2")]
    shop.apply([*servers, frontend(address=VIP, pools=pools)])
    shop.wait("vfe/web", "condition=Programmed", timeout=PATIENT)
    return shop


class Browser:
    """A browser behind `kubectl port-forward`."""

    def __init__(self, url: str, certificate: Path) -> None:
        trust = ssl.create_default_context(cafile=str(certificate))
        self._url = url
        self._opener: OpenerDirector = build_opener(
            HTTPSHandler(context=trust), HTTPCookieProcessor()
        )

    def send(self, path: str, body: object = None) -> Any:
        headers = {"X-Vpplb-Request": "page", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with self._opener.open(Request(self._url + path, data, headers), timeout=30) as answer:
            return json.loads(answer.read())


@pytest.fixture
def browser(installed: Installed, certificate: Path, tmp_path: Path) -> Iterator[Browser]:
    port, binary = free_port(), installed.kubectl.binary
    forward: list[str | Path] = [
        *(binary, f"--kubeconfig={installed.kubectl.kubeconfig}", "-n", SYSTEM),
        *("port-forward", "deployment/vpplb-operator", f"{port}:9091"),
    ]
    with Program(forward, log=tmp_path / "forward.log"):
        made = Browser(f"https://127.0.0.1:{port}", certificate)
        wait_for(lambda: _is_reached(made), "the operator is reached")
        yield made


def _is_reached(browser: Browser) -> bool:
    try:
        return browser.send("/api/v1/session")["acting"] is True
    except OSError:
        return False


def test_the_kubelets_probes_reach_both_programs_by_https(installed: Installed) -> None:
    for node in installed.nodes:
        installed.kubectl.wait(f"vdp/{node}", "condition=Connected", timeout=PATIENT)


def test_who_may_edit_a_namespace_acts_there_and_every_vpp_follows(
    installed: Installed, shop: Kubectl, browser: Browser
) -> None:
    token = shop("create", "token", "alice").strip()
    name = browser.send("/api/v1/session", {"token": token})["name"]
    assert name == "system:serviceaccount:shop:alice"
    assert browser.send("/api/v1/frontends")["items"]
    asked = {"action": "pause", "backends": ["shop/a"]}
    forecast = browser.send("/api/v1/actions", {**asked, "dryRun": True})
    (web,) = forecast["frontends"]
    assert {one["address"]: one["after"]["part"] for one in web["servers"]} == {
        "203.0.113.1": 0.0,
        "203.0.113.2": 1.0,
    }
    told = browser.send("/api/v1/actions", asked)
    assert told["backends"][0]["outcome"] == "done"
    weights = {"203.0.113.1": 0, "203.0.113.2": 100}
    installed.wait_weights(f"{VIP}/32 tcp/80", weights, installed.nodes)
    said = f"paused by {name} from the dashboard"
    wait_for(
        lambda: said in shop("get", "events", "-o", "jsonpath={.items[*].message}"),
        "the event is there",
    )


def test_a_program_of_the_cluster_reads_metrics_by_its_token_alone(installed: Installed) -> None:
    installed.system("create", "serviceaccount", "scraper")
    rule = ("--verb=get", "--non-resource-url=/metrics")
    installed.kubectl("create", "clusterrole", "scraper", *rule)
    scraper = f"--serviceaccount={SYSTEM}:scraper"
    installed.kubectl("create", "clusterrolebinding", "scraper", "--clusterrole=scraper", scraper)
    token = installed.system("create", "token", "scraper").strip()
    for component in ("operator", "agent"):
        node = installed.nodes_of(component)[0]
        url = f"https://{installed.read_pod_address(component, node)}:9091/metrics"
        for header, status in ((f"Authorization: Bearer {token}", "200"), ("X-None: 1", "401")):
            said = installed.cluster.run_on_node(
                *(1, "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, url)
            )
            assert said.strip() == status, (component, header)


def test_the_plugin_says_why_it_cannot_read_an_agent_by_the_api_server(
    installed: Installed,
) -> None:
    runner = CliRunner(env={"VPPLB_KUBECTL": str(installed.kubectl.binary)})
    config = f"--kubeconfig={installed.kubectl.kubeconfig}"
    told = runner.invoke(plugin, ["dataplane", installed.nodes[0], config])
    assert told.exit_code == 1
    assert "sign in first, or send a bearer token" in told.output

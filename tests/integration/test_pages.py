"""The commands of the documentation's pages, typed as a reader would; the output is compared."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.reader import ClusterReader, cluster_reader
from cluster.stage import VPPLB
from data.pages import LOCAL, ROOT, CommandStep, list_blocks, list_spans
from lab.page_session import PageSession, matches
from lab.processes import free_port
from lab.router_reader import ENDED_BY_TIMEOUT
from lab.servers import CountingHttpServer

pytestmark = pytest.mark.slow


@pytest.fixture
def session(tmp_path: Path) -> Iterator[PageSession]:
    """Give a shell in an empty folder, in which the project's programs are on the PATH."""
    swaps = {"127.0.0.1:9091": f"127.0.0.1:{free_port()}", "/tmp/vpp": str(tmp_path / "vpp")}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    env = {"PATH": f"{VPPLB.parent}{os.pathsep}{os.environ['PATH']}"}
    with PageSession(tmp_path, env, swaps) as shell:
        yield shell


@pytest.mark.parametrize("page", LOCAL)
def test_a_page_is_true(session: PageSession, page: str) -> None:
    for block in list_blocks(ROOT / page):
        if not block.needs:
            session.follow_block(block)


@pytest.mark.parametrize(
    ("says", "prints", "true"),
    [
        ("weight 50", "weight 50", True),
        ("weight 50", "weight 5", False),
        ("up  13s   web", "up 2m4s web", True),
        ("up 13s", "down 13s", False),
        ("09:48:19.121  up", "23:00:00.001 up", True),
        ("ready after 0.1 s", "ready after 12.8 s", True),
        ("node …", "node a-2", True),
        ("first\n…\nlast", "first\nsecond\nthird\nlast", True),
        ("first\nlast", "first\nsecond\nlast", False),
        ("first", "first\nsecond", False),
    ],
)
def test_what_varies_and_nothing_else_may_differ(says: str, prints: str, true: bool) -> None:
    assert matches(says.splitlines(), prints.splitlines()) is true


def test_a_page_that_says_something_else_is_wrong(session: PageSession, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one\ntwo\n```\n\n```sh\nfalse\n```\n")
    for block in list_blocks(page):
        with pytest.raises(AssertionError, match=r"page\.md"):
            session.follow_block(block)


# --- with a cluster -------------------------------------------------------------------------------

SERVERS = {"address0": "127.77.1.1", "address1": "127.77.1.2"}
"""What the page about kind asks of nodes: the addresses of two pods that answer on port 80."""
ONE_NODE = {"3/3": "1/1", "10.244.1.3": "127.77.1.1", "10.244.2.3": "127.77.1.2"}
"""What the page shows of three nodes and their pods, as it is here."""


@pytest.mark.control_plane
@pytest.mark.privileged
def test_the_page_about_kind_is_true(tmp_path: Path) -> None:
    with cluster_reader(tmp_path, SERVERS, ONE_NODE) as reader:
        for address in SERVERS.values():
            serve = f"{sys.executable} -m http.server 80 --bind {address} >/dev/null 2>&1 &"
            reader.type_command(serve)
        reader.follow_page("docs/start-kind.md")


@pytest.mark.control_plane
def test_the_readme_is_true(tmp_path: Path) -> None:
    with cluster_reader(tmp_path, {}, {}) as reader:
        reader.follow_page("README.md")
        (manifests,) = [
            block.text for block in list_blocks(ROOT / "README.md") if block.language == "yaml"
        ]
        reader.kubectl.apply(manifests)
        commands = [span for span in list_spans(ROOT / "README.md") if span.startswith("kubectl ")]
        for command in commands:
            if " " in command.removeprefix("kubectl "):
                ends = " --for 3s" if command.endswith("monitor") else ""  # else it never does
                reader.type_command(command.replace("NODE", reader.asked_node) + ends)


SHOP = """
apiVersion: vpplb.dev/v1alpha1
kind: HealthCheck
metadata: {{name: http}}
spec: {{type: HTTP, port: {port}, interval: 200ms, timeout: 150ms, rise: 2, fall: 3}}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {{name: nginx0}}
spec: {{address: 127.77.1.1, healthCheckRef: {{name: http}}}}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {{name: nginx1}}
spec: {{address: 127.77.1.2, healthCheckRef: {{name: http}}}}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {{name: nginx2}}
spec: {{address: 127.77.1.3, healthCheckRef: {{name: http}}}}
---
apiVersion: vpplb.dev/v1alpha1
kind: Frontend
metadata: {{name: web}}
spec:
  address: 192.0.2.2
  port: 80
  pools:
    - name: main
      backends: [{{name: nginx0}}, {{name: nginx1, weight: {weight}}}]
    - name: spare
      backends: [{{name: nginx2}}]
"""
"""What the page about the plugin shows: a frontend before servers on loopback."""


@pytest.mark.control_plane
def test_the_commands_of_the_page_about_the_plugin_are_true(tmp_path: Path) -> None:
    """What changes is compared as a whole, of a look at all the first line: states differ here."""
    swaps = {"node-3ec8bf": "node-1"}
    with cluster_reader(tmp_path, {}, swaps) as reader:
        reader.follow_page("README.md")
        reader.type_command("kubectl delete -f examples/http-failover.yaml")
        reader.type_command("kubectl create namespace shop")
        swaps["node-1 --agent-url http://127.0.0.1:53605"] = reader.asked_node
        port = free_port()
        with ExitStack() as stack:
            for host in (1, 2, 3):
                address = f"127.77.1.{host}"
                stack.enter_context(CountingHttpServer(address=address, port=port))
            reader.kubectl.within("shop").apply(SHOP.format(port=port, weight=100))
            (tmp_path / "checkout" / "web.yaml").write_text(SHOP.format(port=port, weight=5))
            reader.type_command("kubectl wait -n shop --for=condition=Programmed vfe/web")
            reader.type_command(
                "kubectl wait -n shop --for=jsonpath={.status.state}=up vbe/nginx0 vbe/nginx1"
            )
            for block in list_blocks(ROOT / "docs/kubectl.md"):
                for step in block.list_steps() if block.language == "console" else ():
                    _type_step(reader, step)


def _type_step(reader: ClusterReader, step: CommandStep) -> None:
    _, _, verb, *_ = step.command.split()
    endless = verb == "watch"
    status, printed = reader.shell.run(f"timeout 3 {step.command}" if endless else step.command)
    said = f"{step.command}\n{printed}"
    assert status == {"plan": 1, "watch": ENDED_BY_TIMEOUT}.get(verb, 0), said
    lines = None if verb in ("pause", "resume", "weight", "plan") else 0 if endless else 1
    expected = [reader.shell.swap(line) for line in step.output[:lines]]
    assert matches(expected, printed.splitlines()[:lines]), said

"""The page about the plugin, with the servers that it tells of: what it prints is compared."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from cluster.reader import ClusterReader, cluster_reader
from data.pages import ROOT, CommandStep, list_blocks
from lab.page_session import matches
from lab.processes import free_port
from lab.servers import CountingHttpServer
from lab.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

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


class Shop:
    """The frontend of the page and its servers, which go and come as the page tells."""

    def __init__(self, reader: ClusterReader, servers: list[CountingHttpServer]) -> None:
        self._reader, self._servers = reader, servers

    def wait_state(self, backend: str, state: str) -> None:
        wait = f"kubectl wait -n shop --for=jsonpath={{.status.state}}={state} --timeout=30s"
        self._reader.type_command(f"{wait} vbe/{backend}")

    def lose(self, number: int) -> None:
        self._servers[number].stop()
        self.wait_state(f"nginx{number}", "down")

    def bring_back(self, number: int) -> None:
        self._servers[number].start()
        self.wait_state(f"nginx{number}", "up")

    def fail_over_and_back(self, watched: Path) -> None:
        """Do what the page shows of a watch, as soon as that says something."""
        pause, resume = (
            f"kubectl vpplb {verb} nginx2 -n shop --wait" for verb in ("pause", "resume")
        )

        def is_watched() -> bool:
            self._reader.type_command(pause)
            self._reader.type_command(resume)
            return "nginx2  up → paused" in watched.read_text()

        wait_for(is_watched, "it watches")
        self.lose(1)
        self.bring_back(0)


def _type_step(reader: ClusterReader, step: CommandStep) -> None:
    """Type a command; AssertionError unless it prints what the page has, and ends as it should."""
    status, printed = reader.shell.run(step.command)
    expected = [reader.shell.swap(line) for line in step.output]
    assert matches(expected, printed.splitlines()), f"{step.command}\n{printed}"
    assert status == (1 if " plan " in step.command else 0), f"{step.command}\n{printed}"


def _look(reader: ClusterReader, step: CommandStep) -> bool:
    _type_step(reader, step)
    return True


def _watch(reader: ClusterReader, step: CommandStep, shop: Shop, folder: Path) -> None:
    """See each line of the page; which of two that belong together comes first may differ."""
    watched = folder / "watched"
    reader.shell.run(f"{step.command} >watched 2>&1 &")
    wait_for(watched.exists, "it began")
    shop.fail_over_and_back(watched)

    def has_all() -> bool:
        printed = watched.read_text().splitlines()
        return all(matches(["…", line, "…"], printed) for line in step.output)

    wait_for(has_all, f"it prints {step.output}")
    reader.shell.run("kill %1")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[ClusterReader]:
    """Give a reader with a release and the page's namespace; its names are others here."""
    swaps = {
        "node-3ec8bf": "node-1",
        "operator-0_6f1d22c4": "…",
        "160 existing, 40 first": "0 existing, 0 first",  # nobody sends packets
    }
    with cluster_reader(tmp_path, {}, swaps) as reader:
        reader.follow_page("README.md")
        swaps["node-1 --agent-url http://127.0.0.1:53605"] = reader.asked_node
        reader.type_command("kubectl delete -f examples/http-failover.yaml")
        reader.type_command("kubectl create namespace shop")
        yield reader


def test_the_page_about_the_plugin_is_true(reader: ClusterReader, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(CountingHttpServer(address=f"127.77.1.{host}", port=port))
            for host in (1, 2, 3)
        ]
        reader.kubectl.within("shop").apply(SHOP.format(port=port, weight=100))
        (tmp_path / "checkout" / "web.yaml").write_text(SHOP.format(port=port, weight=5))
        shop = Shop(reader, servers)
        for number in range(3):
            shop.wait_state(f"nginx{number}", "up")
        shop.lose(0)
        for block in list_blocks(ROOT / "docs/kubectl.md"):
            for step in block.list_steps() if block.needs == "plugin" else ():
                match step.command.split()[2]:
                    case "watch":
                        _watch(reader, step, shop, tmp_path / "checkout")
                        shop.bring_back(1)
                    case "pause" | "resume" | "weight":
                        _type_step(reader, step)
                    case _:  # what is shown may follow what happened a moment later
                        wait_for(partial(_look, reader, step), "it prints what the page has")

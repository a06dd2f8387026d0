"""Commands that pages name in prose, or that need a release alone: typed, without nodes.

Those for routers are in `test_router_pages.py`, README's own in `test_pages.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.reader import ClusterReader, cluster_reader
from data.pages import PAGES, ROOT, list_blocks, list_spans

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

WEB = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {name: web}
spec: {address: 127.77.1.3}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {name: nginx0, labels: {rack: b7}}
spec: {address: 127.77.1.1}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {name: nginx2}
spec: {address: 127.77.1.2}
---
apiVersion: vpplb.dev/v1alpha1
kind: Frontend
metadata: {name: web}
spec:
  address: 192.0.2.10
  port: 80
  pools: [{name: main, backends: [{name: nginx0}, {name: nginx2}, {name: web}]}]
"""
"""What pages name; what they call NAME is `web`, whatever it is."""
UNFINISHED = ("kubectl rollout status", "kubectl vpplb plan", "kubectl wait --for=condition=Ready")
"""Verbs of more than one word, named without what they are about."""
ENDED_BY_TIMEOUT = 124
ELSEWHERE = (ROOT / "README.md", ROOT / "docs" / "modules.md")
"""README's commands are typed by `test_pages.py`. The page of modules says what each module is for:
the commands that it names are its subjects, without their arguments, and are told to nobody."""


def _named_commands() -> list[str]:
    """Return commands of kubectl, those last that take away what others ask for."""
    pages = [page for page in PAGES if page not in ELSEWHERE]
    named = {span for page in pages for span in list_spans(page) if span.startswith("kubectl ")}
    commands = [one for one in named if " " in one.removeprefix("kubectl ") and "…" not in one]
    return sorted(set(commands) - {*UNFINISHED}, key=lambda one: (_rank(one), one))


def _rank(command: str) -> int:
    harms = (" patch ", " annotate ", " delete dataplane ", " delete vdp ", " delete crd ")
    return next((rank for rank, harm in enumerate(harms, 1) if harm in command), 0)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[ClusterReader]:
    """Give a reader with a release and what pages name."""
    swaps = {"/var/lib/vpplb": str(tmp_path)}
    env = {"VPPLB_VPP_API_SOCKET": str(tmp_path / "vpp.sock")}
    with cluster_reader(tmp_path, env, swaps) as reader:
        reader.follow_page("README.md")
        swaps |= {"NODE": reader.node, '"$(hostname)"': reader.node}
        reader.type_command("kubectl delete -f examples/http-failover.yaml")
        reader.kubectl.apply(WEB)
        (tmp_path / "checkout" / "web.yaml").write_text(WEB.replace("port: 80", "port: 81"))
        reader.type_command("kubectl wait --for=condition=Programmed vfe/web")
        yield reader


def test_commands_that_pages_name_can_be_typed(reader: ClusterReader) -> None:
    for command in _named_commands():
        _type_named(reader, command)


BLOCKS = [one for page in PAGES for one in list_blocks(page) if one.needs == "release"]


def test_commands_that_need_a_release_are_true(reader: ClusterReader) -> None:
    for block in BLOCKS:
        reader.shell.follow_block(block)


def _type_named(reader: ClusterReader, command: str) -> None:
    plugin = command.startswith("kubectl vpplb ")
    node = reader.asked_node if plugin else reader.node
    swaps = {
        "NODE": node,
        "worker-1": node,
        "NAMESPACE:ACCOUNT": "vpplb-system:vpplb-operator",
        "NAME": "web",
        "FRONTEND": "web",
    }
    for before, after in swaps.items():
        command = command.replace(before, after)
    if " vdp " in command or (" dataplane " in command and not plugin):
        reader.type_command(f"kubectl wait --for=create vdp/{reader.node} --timeout=30s")
    verb = command.split()[2] if plugin else ""
    fit = {
        "watch": f"timeout 3 {command}",
        "monitor": f"{command} --for 1s",
        "drain": f"{command} --for 1s",
    }
    status, printed = reader.shell.run(fit.get(verb, command))
    assert status == {"plan": 1, "watch": ENDED_BY_TIMEOUT}.get(verb, 0), f"{command}\n{printed}"

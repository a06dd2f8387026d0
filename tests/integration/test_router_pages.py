"""The commands of pages about routers, typed beside a simulated VPP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.pages import PAGES, ROOT, CodeBlock, list_blocks, list_spans
from lab.router_reader import RouterReader, router_reader
from lab.waiting import wait_for

pytestmark = pytest.mark.slow

STANDALONE = "vpplb standalone /etc/vpplb/manifests"
WEB = """
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
  pools: [{name: main, backends: [{name: nginx0}, {name: nginx2}]}]
"""
"""What the pages name, of servers that nobody probes."""


def _manifests_of_the_readme() -> str:
    blocks = list_blocks(ROOT / "README.md")
    return "\n".join(one.text for one in blocks if one.language == "yaml")


@pytest.fixture
def on_router(tmp_path: Path) -> Iterator[RouterReader]:
    """Give a reader with README's manifests."""
    with router_reader(tmp_path, _manifests_of_the_readme()) as reader:
        yield reader


def test_ten_minutes_on_a_router_are_true(on_router: RouterReader) -> None:
    for block in list_blocks(ROOT / "docs/start-router.md"):
        for step in block.list_steps() if block.language == "sh" else ():
            on_router.type_command(step.command)

    def states() -> list[str]:
        said = on_router.type_command("vpplb ctl backends -o json")
        return [one["state"] for one in json.loads(said)]

    wait_for(lambda: states() == ["paused"], "it is paused")
    on_router.shell.run("kill %1 && wait %1")


BLOCKS = [one for page in PAGES for one in list_blocks(page) if one.needs == "router"]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_commands_that_need_a_router_are_true(on_router: RouterReader, block: CodeBlock) -> None:
    for step in block.list_steps():
        on_router.type_command(step.command)


PAGES_THAT_STEER = [
    page for page in PAGES if any(one.startswith("vpplb ctl ") for one in list_spans(page))
]


@pytest.mark.parametrize("page", PAGES_THAT_STEER, ids=lambda page: page.stem)
def test_what_a_page_says_of_steering_a_router_is_true(tmp_path: Path, page: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "web.yaml").write_text(WEB.replace("port: 80", "port: 81"))
    with router_reader(tmp_path, WEB) as reader:
        reader.type_command(STANDALONE)
        for span in list_spans(page):
            if span.startswith("vpplb ctl "):
                reader.type_command(span.replace("NAME", "web"))


VIPS = [one for page in PAGES for one in list_blocks(page) if one.needs == "vips"]
NETWORK = """
exec unshare --net bash --norc --noprofile
ip link set lo up
ip address add 192.0.2.10/32 dev lo
python3 -m http.server 80 --bind 192.0.2.10 >/dev/null 2>&1 &
until curl -s http://192.0.2.10/ >/dev/null; do sleep 0.1; done
"""
"""Has the shell go on in a network of its own, with a server where the VIP is."""


@pytest.mark.privileged
@pytest.mark.parametrize("block", VIPS, ids=str)
def test_vips_are_monitored_as_the_page_says(on_router: RouterReader, block: CodeBlock) -> None:
    """All but those of a cluster."""
    on_router.shell.run(NETWORK)
    on_router.type_command(STANDALONE)
    for step in block.list_steps():
        if not step.command.startswith("kubectl "):
            said = on_router.type_command(step.command)
            assert re.search(r"192\.0\.2\.10.*, by .*: \d+ probes in .* s, 0 failed\n", said), said

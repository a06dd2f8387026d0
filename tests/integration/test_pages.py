"""The commands of the documentation's pages, typed as a reader would; the output is compared."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.reader import cluster_reader
from cluster.stage import VPPLB
from data.pages import LOCAL, ROOT, list_blocks, list_spans
from lab.page_session import PageSession, matches
from lab.processes import free_port

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

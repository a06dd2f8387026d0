"""The documentation's site: a link to nothing fails its build, and a reader needs no other server.

`make site` builds the real one; here its settings make small ones, and the real one once more.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPHINX = Path(sys.executable).with_name("sphinx-build")
INDEX = "# Pages\n\n```{toctree}\nother\n```\n\n## What is here\n\n"
Build = Callable[[str], subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Give what builds a site of two pages, the first of which says `text`, as `make site` does."""

    def make(text: str) -> subprocess.CompletedProcess[str]:
        source = tmp_path / "source"
        source.mkdir()
        for name in ("conf.py", "openapi.json"):
            (source / name).write_text((ROOT / "docs" / name).read_text())
        (source / "index.md").write_text(INDEX + text)
        (source / "other.md").write_text("# Other\n\n## Its heading\n")
        options = _options_of_make()
        return subprocess.run(
            [SPHINX, *options, source, tmp_path / "site"],
            capture_output=True,
            text=True,
            check=False,
        )

    return make


def _options_of_make() -> list[str]:
    found = re.search(r"sphinx-build (.*) docs build/site", (ROOT / "Makefile").read_text())
    assert found
    return found[1].split()


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("[a](nowhere.md)", "nowhere.md"),
        ("[a](other.md#no-such-heading)", "no-such-heading"),
        ("[a](#no-such-heading)", "no-such-heading"),
        ("![a](picture.svg)", "picture.svg"),
    ],
)
def test_a_link_to_nothing_fails_the_build(build: Build, link: str, says: str) -> None:
    done = build(link)
    assert done.returncode != 0
    assert says in done.stderr


def test_a_site_whose_links_lead_somewhere_is_built(build: Build) -> None:
    done = build("[a](other.md#its-heading), [b](#what-is-here)")
    assert done.returncode == 0, done.stderr


def test_the_documentation_needs_no_other_server(tmp_path: Path) -> None:
    subprocess.run([SPHINX, *_options_of_make(), ROOT / "docs", tmp_path], check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 50
    loaded = {
        where
        for page in pages
        for where in re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"([^\"]+)", page.read_text()
        )
    }
    assert loaded
    assert {where for where in loaded if re.match(r"(https?:)?//", where)} == set()
    styles = "".join(style.read_text() for style in tmp_path.rglob("*.css"))
    assert re.findall(r"url\([\"']?(?:https?:)?//[^)]*", styles) == []

"""What the pages of the documentation name is there: commands, flags, files, metrics, manifests."""

import ast
import json
import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest
import yaml

from data.pages import COMMANDS, FOLLOWED, PAGES, ROOT, CodeBlock, list_blocks, list_spans
from vpplb.cli.kubectl.group import cli as plugin
from vpplb.cli.main import cli as program
from vpplb.files.manifests import load_manifests
from vpplb.resources.allowances import AddressAllowances
from vpplb.telemetry.catalog import METRICS

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCKS = [block for page in PAGES for block in list_blocks(page)]
EVERYTHING = AddressAllowances(loopback=True, nat=True)
ELSEWHERE = {
    "deb": ("tests/integration/test_debian_package.py", "tests/lab/debian_package.py"),
    "image": (
        ".github/workflows/release.yaml",  # whose step the next one runs
        "tests/integration/test_image.py",
        "tests/cluster/image.py",
    ),
    "install": ("tests/integration/test_packages.py",),
    "kind": ("tests/cluster/three_nodes.py",),
    "make": (".ci/run",),
    "nodes": (
        "tests/cluster/installed.py",
        "tests/e2e/test_guarded_http.py",
        "tests/e2e/test_in_cluster.py",
        "tests/e2e/test_releases.py",
        "tests/integration/test_verify_install.py",
    ),
}
"""What commands of `sh` blocks need beside this machine, and where tests run them."""
TYPED = {
    "debian": "tests/integration/test_debian_package.py",
    "plugin": "tests/integration/test_plugin_page.py",
    "release": "tests/integration/test_named_commands.py",
    "router": "tests/integration/test_router_pages.py",
    "vips": "tests/integration/test_router_pages.py",
}
"""What commands need whose blocks a test types as they stand."""
READERS = {
    "argo-cd": "tests/integration/test_gitops_health.py",
    "prometheus": "tests/integration/test_page_files.py",
    "values": "tests/integration/test_page_files.py",
}
"""Who reads a block of YAML that is no manifest of ours, and the test that has it read."""
SAMPLES = {
    "charts/vpplb/README.md": ("tests/integration/test_policies.py",),
    "docs/service.md": ("tests/integration/test_debian_package.py",),
    "docs/status.md": (
        "tests/unit/telemetry/test_start_log.py",
        "tests/unit/telemetry/test_sync_log.py",
    ),
}
"""Pages with blocks of `text` that a program says, and the tests that compare them."""
UNRUN = "unrun"
"""What a block names that no test runs."""
VERBS = re.compile(
    r"\b(?:kubectl vpplb|vpplb ctl|vpplb|kubectl|helm|make|pip|skopeo|systemctl|kind|docker)"
    r"(?: -n \S+| --namespace \S+| --\S+)* ([a-z][a-z-]+)"
)
"""A program of a command with its verb."""
HIDDEN = re.compile(
    r"^(?:\$ )?(?:kubectl|vpplb|helm|make|curl|apt|systemctl|vppctl) (?!.*\[OPTIONS\])[a-z-]", re.M
)
"""A command in a block that is no block of commands; neither a line of a log nor a usage."""
PLACES = re.compile(r"(?:tests|docs|examples|benchmarks|charts|crds|operator)/[\w./-]+")
SERIES = re.compile(r"vpplb_[a-z_]+")


@cache
def _commands(page: Path) -> list[str]:
    """Return what a page has people type, or could: blocks of commands, and spans."""
    steps = [step for block in list_blocks(page) for step in block.list_steps() if _runs(block)]
    return [step.command for step in steps] + list_spans(page)


def _runs(block: CodeBlock) -> bool:
    return block.language in COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_stand_in_blocks_that_are_run(page: Path) -> None:
    hidden = [
        str(block)
        for block in list_blocks(page)
        if block.language in ("", "text") and HIDDEN.search(block.text)
    ]
    assert hidden == [], "say `console` or `sh` behind the fence"


def test_blocks_are_typed_where_they_are_said_to_be() -> None:
    needs = {one.needs for one in BLOCKS}
    for need, place in TYPED.items():
        assert need in needs
        assert f'"{need}"' in (ROOT / place).read_text()


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS if one.needs not in ("", UNRUN, *TYPED)], ids=str
)
def test_the_verbs_of_a_block_that_needs_more_stand_in_tests_that_have_it(
    block: CodeBlock,
) -> None:
    commands = [step.command.partition(" #")[0] for step in block.list_steps()]
    verbs = {verb for command in commands for verb in VERBS.findall(command)}
    run = {verb for place in ELSEWHERE[block.needs] for verb in _verbs_run(ROOT / place)}
    assert verbs - run == set()


@cache
def _verbs_run(file: Path) -> set[str]:
    """Return what may be verbs that a file runs: arguments, methods called, verbs of commands.

    Neither comments nor docstrings count.
    """
    text = file.read_text()
    if file.suffix != ".py":
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        return set(VERBS.findall("\n".join(lines)))
    nodes = list(ast.walk(ast.parse(text)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr=method)):
                found.add(method)
            case ast.Constant(value=str(argument)) if id(node) not in docstrings:
                found |= {argument, *VERBS.findall(argument)}
    return found


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('"""vpplb ctl pause a"""\n# vpplb ctl pause b', False),
        ('def f():\n    """pause"""', False),
        ('said = "what is paused, and not pause"', False),
        ("pause = 1", False),
        ('ctl("pause", "a")', True),
        ('run("vpplb ctl pause a")', True),
        ("router.pause(a)", True),
    ],
)
def test_a_word_is_no_verb_that_is_run(written: str, found: bool, tmp_path: Path) -> None:
    file = tmp_path / "test.py"
    file.write_text(written)
    assert ("pause" in _verbs_run(file)) is found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_that_need_nothing_are_run(page: Path) -> None:
    """Those of the pages that `tests/integration/test_pages.py` follows are; others have none."""
    free = [str(block) for block in list_blocks(page) if _runs(block) and not block.needs]
    assert not free or str(page.relative_to(ROOT)) in FOLLOWED


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_manifests_are_right(page: Path, tmp_path: Path) -> None:
    texts = [block.text for block in list_blocks(page) if block.language == "yaml"]
    ours = [text for text in texts if "vpplb.dev/" in text]
    for number, text in enumerate(ours):
        (tmp_path / f"{number}.yaml").write_text(text)
    for text in texts:
        list(yaml.safe_load_all(text))
    findings = load_manifests([tmp_path], EVERYTHING).findings if ours else []
    assert [str(one) for one in findings] == []


def test_a_file_that_is_no_manifest_says_who_reads_it() -> None:
    others = [one for one in BLOCKS if one.language == "yaml" and "vpplb.dev/v1" not in one.text]
    assert {one.reader for one in others if not one.file_name} == READERS.keys()
    assert all((ROOT / place).exists() for place in READERS.values())


def test_what_programs_say_is_compared_by_their_tests() -> None:
    """Usages and help in the page of all commands are written from the code."""
    said = {one.page for one in BLOCKS if one.language == "text" and not one.file_name}
    said.discard(ROOT / "docs/commands.md")
    assert {str(page.relative_to(ROOT)) for page in said} == SAMPLES.keys()
    for page, places in SAMPLES.items():
        assert all(f'"{page}"' in (ROOT / place).read_text() for place in places)


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "json"], ids=str)
def test_json_is_json(block: CodeBlock) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_and_flags_exist(page: Path) -> None:
    wrong = [
        complaint
        for command in _commands(page)
        for called, group in (("vpplb", program), ("kubectl vpplb", plugin))
        for line in re.split(r"[|;&\n]", command.replace("\\\n", " "))
        if line.strip().startswith(f"{called} ")
        if (complaint := _complain(line, called, group))
    ]
    assert wrong == []


def _complain(line: str, called: str, group: click.Group) -> str:
    """Say what of a command line is not there; empty when all of it is."""
    words = shlex.split(line.removeprefix(called), comments=True) if "'" not in line else []
    words = words or line.strip().removeprefix(called).split()
    command: click.Command | None = group
    context = click.Context(group, info_name=called, **group.context_settings)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0).strip("…"))
        if command is not None:
            context = click.Context(command, parent=context, **command.context_settings)
    if command is None:
        return f"no such command: {line}"
    flags = {
        name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)
    }
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word, re.I)}
    return f"no {', '.join(sorted(given - flags))}: {line}" if given - flags else ""


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    mentioned = {
        target
        for command in _commands(page)
        for target in re.findall(r"(?:^|\s)make ([a-z][a-z0-9-]*)", command)
    }
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = {place for text in _commands(page) for place in PLACES.findall(text)}
    assert [place for place in sorted(named) if not _is_there(place)] == []


@cache
def _is_there(place: str) -> bool:
    """Whether a place exists; words in capitals within it stand for any."""
    pattern = re.sub(r"\b[A-Z]{4,}\b", "*", place.rstrip("."))
    return any(ROOT.glob(pattern)) or any(ROOT.glob(f"{pattern}*"))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_metrics_that_are_named_are_served(page: Path) -> None:
    names = {one.name for one in METRICS}
    named = {name for text in _commands(page) for name in SERIES.findall(text)}
    wrong = [
        name
        for name in named - names
        if not any(one.startswith(name) for one in names) or not name.endswith("_")
    ]
    assert wrong == []


def test_each_decision_has_a_number_of_its_own_and_its_title_says_it() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert len(numbers) == len(set(numbers))
    titles = [page.read_text().partition("\n")[0] for page in pages]
    assert [int(title.removeprefix("# ").partition(".")[0]) for title in titles] == numbers

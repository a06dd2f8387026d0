"""`vpplb ctl reload`: what came of reading the files again."""

from click.testing import CliRunner, Result

from fakes.user_client import FakeUserClient
from vpplb.cli.main import cli


def reload(console: FakeUserClient, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["ctl", "reload", *arguments], obj=console)


def test_what_is_in_force_is_counted() -> None:
    console = FakeUserClient()
    console.reloaded = {"findings": [], "discarded": [], "objects": 1}
    assert reload(console).output == "the manifests are in force: 1 object\n"
    assert console.reloads == [False]


def test_what_is_forgotten_is_named() -> None:
    console = FakeUserClient()
    console.reloaded = {"findings": [], "discarded": ["Backend default/a: paused"], "objects": 2}
    result = reload(console, "--discard-changes")
    assert result.output.splitlines()[0] == "no longer in force: Backend default/a: paused"
    assert console.reloads == [True]


def test_what_is_forgotten_is_named_also_where_the_files_are_refused() -> None:
    console = FakeUserClient()
    console.reloaded = {"findings": ["web.yaml:3: no"], "discarded": ["Backend default/a: paused"]}
    result = reload(console, "--discard-changes")
    assert (result.exit_code, result.stdout) == (
        2,
        "no longer in force: Backend default/a: paused\n",
    )


def test_each_finding_is_a_line_and_the_end_is_that_of_check() -> None:
    console = FakeUserClient()
    console.reloaded = {"findings": ["web.yaml:3: no", "web.yaml:9: no"], "discarded": []}
    result = reload(console)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "web.yaml:3: no",
        "web.yaml:9: no",
        "the manifests are refused, the old ones stay in force",
    ]

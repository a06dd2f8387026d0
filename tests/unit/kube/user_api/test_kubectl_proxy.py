"""A cluster by kubectl, of which a script of a few lines takes the place."""

import asyncio
from pathlib import Path

import pytest

from vpplb.kube.api_types import ApiUnreachable, ConfigError
from vpplb.kube.user_api import kubectl_proxy
from vpplb.kube.user_api.kubectl_proxy import find_namespace, list_contexts, open_cluster
from vpplb.model.names import ObjectKind


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file that a test fills with what kubectl does; its arguments are in `asked`."""
    program = tmp_path / "kubectl"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("VPPLB_KUBECTL", str(program))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(kubectl_proxy, "_POD_NAMESPACE", tmp_path / "namespace")
    return program


def play(program: Path, script: str) -> Path:
    """Have kubectl note how it was called, and then do this."""
    asked = program.with_name("asked")
    program.write_text(f'#!/bin/sh\necho "$$ $@" >> {asked}\n{script}\n')
    program.chmod(0o755)
    return asked


def runs(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_kubectl_is_called_with_the_flags_and_ends_with_the_command(kubectl: Path) -> None:
    asked = play(kubectl, "echo Starting to serve; exec sleep 60")
    async with open_cluster(["--context=x", "--as=ann"]) as client:
        with pytest.raises(ApiUnreachable, match="No such file"):
            await client.list_objects(ObjectKind.BACKEND)
        pid, *words = asked.read_text().split()
        assert runs(pid)
    assert words[0] == "proxy"
    assert words[1].startswith(f"--unix-socket={kubectl.parent}/vpplb-")
    assert words[2:] == ["--context=x", "--as=ann"]
    assert list(kubectl.parent.glob("vpplb-*")) == []
    assert not runs(pid)


def test_kubectl_is_that_of_the_path_or_where_envtest_keeps_it(
    kubectl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> str:
        return asyncio.run(find_namespace(["--context=x"]))

    kubectl.write_text("#!/bin/sh\necho of-envtest\n")
    kubectl.chmod(0o755)
    monkeypatch.delenv("VPPLB_KUBECTL")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ConfigError, match="kubectl cannot be run"):
        ask()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(kubectl.parent))
    assert ask() == "of-envtest"
    first = tmp_path / "bin" / "kubectl"
    first.parent.mkdir()
    first.write_text("#!/bin/sh\necho of-path\n")
    first.chmod(0o755)
    assert ask() == "of-path"


async def test_only_this_user_may_open_the_folder_of_the_socket(kubectl: Path) -> None:
    asked = play(kubectl, "echo Starting; exec sleep 60")
    async with open_cluster([]):
        folder = Path(asked.read_text().split()[2].removeprefix("--unix-socket=")).parent
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_what_keeps_kubectl_from_it_is_said_in_its_words_without_its_log(
    kubectl: Path,
) -> None:
    said = 'E1129 10:00:00.000000 7 memcache.go:1] noise\\nerror: context "moon" does not exist'
    play(kubectl, f"printf '{said}\\n' >&2; exit 1")
    with pytest.raises(ConfigError) as caught:
        async with open_cluster([]):
            raise AssertionError("it was reached")
    assert str(caught.value) == 'no usable cluster configuration: context "moon" does not exist'


async def test_a_plugin_that_logs_in_is_heard_and_kubectls_own_log_is_not(
    kubectl: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    play(
        kubectl,
        "echo Starting; echo 'E1129 10:00:00.0 7 x.go:1] noise' >&2;"
        " printf 'Code: ' >&2; exec sleep 60",
    )
    async with open_cluster([]):
        heard = ""
        async with asyncio.timeout(30):
            while "Code: " not in heard:
                heard += capfd.readouterr().err
                await asyncio.sleep(0.01)
    assert heard == "Code: "


async def test_a_cluster_that_nobody_named_is_no_cluster_that_is_away(kubectl: Path) -> None:
    play(kubectl, "echo Starting; exec sleep 60")
    with pytest.raises(ConfigError, match="kubectl knows of no cluster"):
        async with open_cluster([]):
            raise ApiUnreachable("dial tcp 127.0.0.1:8080: connect: connection refused")
    with pytest.raises(ApiUnreachable, match=r"10\.0\.0\.1"):
        async with open_cluster([]):
            raise ApiUnreachable("dial tcp 10.0.0.1:6443: connect: connection refused")


async def test_no_kubectl_is_said_with_what_to_do(kubectl: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be run \(No such file or directory\).*PATH"):
        async with open_cluster([]):
            raise AssertionError("it was reached")


async def test_the_namespace_is_that_of_the_context_else_default(
    kubectl: Path, tmp_path: Path
) -> None:
    asked = play(kubectl, "printf shop")
    assert await find_namespace(["--context=x"]) == "shop"
    assert asked.read_text().split()[1:] == [
        "config", "view", "--minify", "--output=jsonpath={..namespace}", "--context=x",
    ]  # fmt: skip
    play(kubectl, "exit 1")
    assert await find_namespace([]) == "default"
    (tmp_path / "namespace").write_text("vpplb-system\n")
    assert await find_namespace([]) == "vpplb-system"


@pytest.mark.parametrize(("given", "seen"), [("", "400"), ("50", "50")])
async def test_kubectl_collects_its_memory_rarely_unless_the_user_says_how_often(
    kubectl: Path, monkeypatch: pytest.MonkeyPatch, given: str, seen: str
) -> None:
    monkeypatch.delenv("GOGC", raising=False)
    if given:
        monkeypatch.setenv("GOGC", given)
    play(kubectl, 'printf "$GOGC"')
    assert await find_namespace([]) == seen


async def test_contexts_are_those_that_kubectl_knows(kubectl: Path) -> None:
    play(kubectl, r"printf 'a\nb\n'")
    assert await list_contexts([]) == ["a", "b"]
    play(kubectl, "exit 1")
    assert await list_contexts([]) == []

from pathlib import Path

import pytest

from vpplb.probers.netns import NetworkNamespace, namespace_path


@pytest.mark.parametrize(
    ("name", "path"),
    [("blue", "/var/run/netns/blue"), ("/proc/7/ns/net", "/proc/7/ns/net"), ("./x", "x")],
)
def test_a_namespace_is_named_or_a_path(name: str, path: str) -> None:
    assert namespace_path(name) == Path(path)


def test_a_namespace_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        NetworkNamespace("no-such-namespace").enter_namespace()


def test_what_is_no_namespace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        NetworkNamespace(str(tmp_path / "file")).enter_namespace()


@pytest.mark.privileged
def test_a_name_that_comes_to_stand_for_another_namespace_or_none_is_noticed(
    tmp_path: Path,
) -> None:
    name = tmp_path / "blue"
    name.symlink_to("/proc/self/ns/net")
    namespace = NetworkNamespace(str(name))
    namespace.enter_namespace()
    assert namespace.describe_loss() is None
    name.unlink()
    assert namespace.describe_loss() == "is gone"
    name.symlink_to("/proc/self/ns/mnt")  # any other
    assert namespace.describe_loss() == "was made anew"
    name.unlink()
    name.symlink_to("/proc/self/ns/net")
    assert namespace.describe_loss() is None

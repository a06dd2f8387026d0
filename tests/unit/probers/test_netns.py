from pathlib import Path

import pytest

from vpplb.probers.netns import enter, namespace_path


@pytest.mark.parametrize(
    ("name", "path"),
    [("blue", "/var/run/netns/blue"), ("/proc/7/ns/net", "/proc/7/ns/net"), ("./x", "x")],
)
def test_a_namespace_is_named_or_a_path(name: str, path: str) -> None:
    assert namespace_path(name) == Path(path)


def test_a_namespace_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        enter("no-such-namespace")


def test_what_is_no_namespace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        enter(str(tmp_path / "file"))

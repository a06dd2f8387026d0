"""An agent is the same after a restart beside its VPP, and no other's."""

from pathlib import Path

import pytest

from vpplb.agent.identity import agent_identity, make_outranking
from vpplb.files import machine

SOCKET = Path("/run/vpp/api.sock")


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "boot_id"
    file.write_text("boot-1\n")
    monkeypatch.setattr(machine, "BOOT_ID", file)
    return file


def test_one_beside_the_same_vpp_is_the_same_until_the_machine_starts_anew(boot: Path) -> None:
    before = agent_identity("n1", SOCKET)
    assert agent_identity("n1", SOCKET) == before
    assert agent_identity("n1", SOCKET.with_name("other.sock")) != before
    boot.write_text("boot-2")
    assert agent_identity("n1", SOCKET) != before


def test_one_where_the_kubelet_is_goes_before_one_of_another_machine_or_start(boot: Path) -> None:
    here = agent_identity("n1", SOCKET)
    boot.write_text("boot-2")
    elsewhere = agent_identity("n1", SOCKET)
    assert make_outranking(lambda: "boot-2")(here)
    assert not make_outranking(lambda: "boot-2")(elsewhere)
    assert not make_outranking(lambda: "boot-1")(here)
    assert not make_outranking(lambda: "")(here)

"""`drain`: paused, waited for, and disabled."""

import pytest

from data.cluster_objects import decided_backend
from fakes.console import FakeConsole
from in_memory.plugin import call
from vpplb.model.names import ObjectKind


def drained(*names: str, operates: bool = True) -> FakeConsole:
    """Return a cluster with these backends, and with an operator at work."""
    console = FakeConsole(
        *((ObjectKind.BACKEND, decided_backend(name, "10.0.0.1")) for name in names)
    )

    def operate() -> None:
        for name in names:
            raw = console.of(ObjectKind.BACKEND, name)
            raw["status"] |= {
                "state": "paused",
                "code": "",
                "observedGeneration": raw["metadata"]["generation"],
            }

    if operates:
        console.after_edit = operate
    return console


def test_a_drain_pauses_waits_and_disables_so_that_enable_alone_brings_it_back() -> None:
    console = drained("a", "b")
    result = call(console, "drain", "a", "b", "--for", "1ms")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "backend a paused",
        "backend b paused",
        "backend a is paused on all nodes after 0.0 s",
        "backend b is paused on all nodes after 0.0 s",
        "flows may end for 0.001 s",
        "backend a disabled: `enable` brings it back",
        "backend b disabled: `enable` brings it back",
    ]
    out = {"spec": {"enabled": False, "paused": False}}
    assert [body for _, body in console.edits] == [{"spec": {"paused": True}}] * 2 + [out] * 2


def test_nothing_is_cut_before_all_nodes_have_the_pause() -> None:
    console = drained("a", operates=False)
    result = call(console, "drain", "a", "--for", "1ms", "--timeout", "1ms")
    assert result.exit_code == 1
    assert "the operator has not seen backend a" in result.output
    assert [body for _, body in console.edits] == [{"spec": {"paused": True}}]


def test_an_interrupted_drain_leaves_its_backends_paused_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = drained("a")

    async def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vpplb.cli.verbs.drain.wait_for_flows", interrupted)
    result = call(console, "drain", "a", "--for", "1h")
    assert result.exit_code == 130
    assert "backend a stays paused: `resume` undoes it" in result.output
    assert len(console.edits) == 1


def test_backends_are_named_or_chosen_by_labels() -> None:
    assert call(drained("a"), "drain").exit_code == 2
    assert call(drained("a"), "drain", "a", "-l", "x=y").exit_code == 2

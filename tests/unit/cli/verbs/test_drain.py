"""`drain`: paused, waited for, and disabled."""

import pytest

from data.cluster_objects import decided_backend
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.model.names import ObjectKind


def drained(*names: str, operates: bool = True) -> FakeUserClient:
    """Return a cluster with these backends, and with an operator at work."""
    console = FakeUserClient(
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
    assert [body for _, body in console.edits[:2]] == [{"spec": {"paused": True}}] * 2
    specs = [console.of(ObjectKind.BACKEND, name)["spec"] for name in ("a", "b")]
    assert [(spec["enabled"], spec["paused"]) for spec in specs] == [(False, False)] * 2


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


@pytest.mark.parametrize(
    ("meanwhile", "enabled", "said"),
    [
        ({"paused": False}, True, "not drained, since resumed by somebody meanwhile: a"),
        ({"paused": False, "enabled": False}, False, "backend a disabled"),
        ({"paused": True, "enabled": False}, False, "backend a disabled"),
    ],
)
def test_what_somebody_has_resumed_meanwhile_is_left_in(
    monkeypatch: pytest.MonkeyPatch, meanwhile: dict[str, bool], enabled: bool, said: str
) -> None:
    console = drained("a", "b")

    async def others_work(_: float) -> None:
        console.of(ObjectKind.BACKEND, "a")["spec"] |= meanwhile

    monkeypatch.setattr("vpplb.cli.verbs.drain.wait_for_flows", others_work)
    result = call(console, "drain", "a", "b", "--for", "1h")
    assert said in result.output
    assert result.exit_code == int(enabled)
    specs = [console.of(ObjectKind.BACKEND, name)["spec"] for name in ("a", "b")]
    assert [spec.get("enabled", True) for spec in specs] == [enabled, False]


def test_backends_are_named_or_chosen_by_labels() -> None:
    assert call(drained("a"), "drain").exit_code == 2
    assert call(drained("a"), "drain", "a", "-l", "x=y").exit_code == 2

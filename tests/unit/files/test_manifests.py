"""All files are one set; whatever is wrong is found with file, line and field."""

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.manifests import EXAMPLES
from vpplb.files.manifests import STDIN, Loaded, load
from vpplb.model.names import ObjectKey

BACKEND = """\
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata:
  name: {name}
spec:
  address: 192.0.2.1
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def lines(loaded: Loaded, folder: Path) -> list[str]:
    return [str(finding).removeprefix(f"{folder}/") for finding in loaded.findings]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_without_a_fault(path: Path) -> None:
    loaded = load([path])
    assert loaded.findings == loaded.skipped == []
    assert loaded.frontends


def test_objects_are_found_by_kind_and_key(tmp_path: Path) -> None:
    text = BACKEND.format(name="b").replace("name: b", "name: b\n  namespace: shop")
    write(tmp_path, one=BACKEND.format(name="a"), two=text)
    loaded = load([tmp_path])
    assert list(loaded.backends) == [ObjectKey("default", "a"), ObjectKey("shop", "b")]
    assert list(loaded.objects) == [("Backend", key) for key in loaded.backends]
    assert not loaded.frontends
    assert not loaded.health_checks
    assert not loaded.dataplanes


def test_every_finding_has_its_file_line_object_and_field(tmp_path: Path) -> None:
    bad = BACKEND.format(name="b").replace("192.0.2.1", "192.0.2\n  pasued: true")
    write(tmp_path, one=f"# first\n---\n{BACKEND.format(name='a')}---\n{bad}")
    loaded = load([tmp_path])
    assert lines(loaded, tmp_path) == [
        "one.yaml:15: Backend default/b: spec.address:"
        ' must be an IPv4 or IPv6 address, not "192.0.2"',
        "one.yaml:16: Backend default/b: spec.pasued: is not a known field; did you mean paused?",
    ]
    assert list(loaded.backends) == [ObjectKey("default", "a")]
    assert ("Backend", ObjectKey("default", "b")) in loaded.objects


def test_findings_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    bad = "apiVersion: vpplb.dev/v1alpha1\nkind: Backend\nx: 1\nmetadata: {name: a}\nspec: {}\n"
    write(tmp_path, b=bad, a=bad.replace("name: a", "name: b"))
    found = [(Path(f.file).name, f.line) for f in load([tmp_path]).findings]
    assert found == [("a.yaml", 3), ("a.yaml", 5), ("b.yaml", 3), ("b.yaml", 5)]


def test_a_file_that_is_no_yaml_leaves_the_others_alone(tmp_path: Path) -> None:
    write(tmp_path, a="x: [\n", b=BACKEND.format(name="b"))
    loaded = load([tmp_path])
    assert loaded.unparseable
    assert [line.split(": ")[:2] for line in lines(loaded, tmp_path)] == [["a.yaml:2", "not YAML"]]
    assert list(loaded.backends) == [ObjectKey("default", "b")]


def test_a_file_that_is_not_utf_8_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")
    loaded = load([tmp_path])
    assert lines(loaded, tmp_path) == ["a.yaml:2: not YAML: not UTF-8"]
    assert loaded.unparseable


def test_a_file_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    loaded = load([tmp_path / "a.yaml"])
    assert lines(loaded, tmp_path) == ["a.yaml:1: cannot be read: No such file or directory"]


def test_an_object_that_is_there_twice_is_named_with_the_first(tmp_path: Path) -> None:
    text = BACKEND.format(name="a")
    write(tmp_path, a=text, b=text)
    [line] = lines(load([tmp_path]), tmp_path)
    assert line == (
        f"b.yaml:4: Backend default/a: metadata.name: is there twice, first in {tmp_path}/a.yaml:1"
    )


def test_a_repeated_field_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, a=BACKEND.format(name="a") + "  address: 192.0.2.2\n")
    assert lines(load([tmp_path]), tmp_path) == [
        "a.yaml:7: Backend default/a: spec.address: is there twice in the same mapping"
    ]


def test_lists_are_opened(tmp_path: Path) -> None:
    item = "\n".join(f"    {line}" for line in BACKEND.format(name="a").splitlines())
    bad = item.replace("name: a", "name: b").replace("address", "adress")
    text = f"apiVersion: v1\nkind: List\nitems:\n  -\n{item}\n  -\n{bad}\n"
    write(tmp_path, a=text)
    loaded = load([tmp_path])
    assert list(loaded.backends) == [ObjectKey("default", "a")]
    assert [finding.line for finding in loaded.findings] == [16, 17]


def test_objects_of_others_are_skipped_and_ours_of_unknown_kind_are_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n---\n"
        "apiVersion: vpplb.dev/v1alpha1\nkind: Fronted\nmetadata: {name: f}\n",
    )
    loaded = load([tmp_path])
    assert [str(s).removeprefix(f"{tmp_path}/") for s in loaded.skipped] == [
        "a.yaml:1: v1 Service: skipped, since it is not of vpplb.dev/v1alpha1"
    ]
    assert lines(loaded, tmp_path) == [
        "a.yaml:7: Fronted default/f: kind:"
        " must be one of HealthCheck, Backend, Frontend, Dataplane"
    ]


def test_what_is_no_object_at_all_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, a="- a\n", b="name: a\n")
    assert lines(load([tmp_path]), tmp_path) == [
        "a.yaml:1: must be an object with apiVersion, kind and metadata",
        "b.yaml:1: (no kind) default/(no name): apiVersion: must be vpplb.dev/v1alpha1",
        "b.yaml:1: (no kind) default/(no name): kind:"
        " must be one of HealthCheck, Backend, Frontend, Dataplane",
    ]


def test_a_folder_is_read_with_all_below_but_what_is_hidden(tmp_path: Path) -> None:
    for place, name in (("sub", "a"), ("..data", "b"), (".git", "c")):
        (tmp_path / place).mkdir()
        write(tmp_path / place, **{name: BACKEND.format(name=name)})
    (tmp_path / "d.txt").write_text("x: [")
    (tmp_path / "e.json").write_text('{"apiVersion": "v1", "kind": "Pod"}')
    loaded = load([tmp_path])
    assert [os.path.relpath(file, tmp_path) for file in loaded.files] == ["e.json", "sub/a.yaml"]


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a=BACKEND.format(name="a"))
    loaded = load([tmp_path, tmp_path / "a.yaml"])
    assert (len(loaded.files), loaded.findings) == (1, [])


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    text = BACKEND.format(name="a").replace("192.0.2.1", "x")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    [finding] = load([STDIN]).findings
    assert (finding.file, finding.line) == ("<stdin>", 6)


def test_dataplanes_have_no_namespace(tmp_path: Path) -> None:
    write(tmp_path, a="apiVersion: vpplb.dev/v1alpha1\nkind: Dataplane\nmetadata: {name: n1}\n")
    loaded = load([tmp_path])
    assert list(loaded.dataplanes) == ["n1"]
    assert list(loaded.objects) == [("Dataplane", ObjectKey("", "n1"))]

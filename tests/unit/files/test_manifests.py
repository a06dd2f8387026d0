"""All files are one set; whatever is wrong is found with file, line and field."""

import errno
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.manifests import EXAMPLES
from vpplb.files.file_content import STDIN
from vpplb.files.manifests import LoadedManifests, load_manifests
from vpplb.model.names import ObjectKey

BACKEND = """\
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata:
  name: {name}
spec:
  address: 192.0.2.1
"""

EVERYTHING = """\
apiVersion: vpplb.dev/v1alpha1
kind: HealthCheck
metadata: {name: hc, namespace: ns, labels: {a: b}, annotations: {c: d}}
spec:
  type: HTTPS
  port: 8443
  interval: 1s
  timeout: 2s
  rise: 3
  probeSource: {ipv4: 192.0.2.9}
  http: {path: /x, host: h, method: GET, headers: [{name: X-A, value: v}],
    responseCodes: {min: 200, max: 299}, responseRegexp: ok}
  tls: {serverName: s, insecureSkipVerify: true, caBundle: pem}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {name: be, namespace: ns}
spec: {address: 192.0.2.1, healthCheckRef: {name: hc}, enabled: true, paused: false}
---
apiVersion: vpplb.dev/v1alpha1
kind: Frontend
metadata: {name: fe, namespace: ns}
spec: {description: text, address: 198.51.100.1, protocol: UDP, port: 53, encap: GRE4,
  srcIPSticky: false, flushOnDown: true, flowTableLength: 2048, nodeSelector: {k: v},
  pools: [{name: p, backends: [{name: be, weight: 7}]}]}
---
apiVersion: vpplb.dev/v1alpha1
kind: Dataplane
metadata: {name: n1}
spec: {paused: false, ipv4SourceAddress: 192.0.2.8, stickyBucketsPerCore: 1024, flowTimeout: 40s}
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def give_stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))


def lines(loaded: LoadedManifests, folder: Path) -> list[str]:
    return [str(finding).removeprefix(f"{folder}/") for finding in loaded.findings]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_without_a_fault(path: Path) -> None:
    loaded = load_manifests([path])
    assert loaded.findings == loaded.skipped == []
    assert loaded.frontends


def test_objects_are_found_by_kind_and_key(tmp_path: Path) -> None:
    text = BACKEND.format(name="b").replace("name: b", "name: b\n  namespace: shop")
    write(tmp_path, one=BACKEND.format(name="a"), two=text)
    loaded = load_manifests([tmp_path])
    assert list(loaded.backends) == [ObjectKey("default", "a"), ObjectKey("shop", "b")]
    assert list(loaded.objects) == [("Backend", key) for key in loaded.backends]
    assert not loaded.frontends
    assert not loaded.health_checks
    assert not loaded.dataplanes


def test_every_finding_has_its_file_line_object_and_field(tmp_path: Path) -> None:
    bad = BACKEND.format(name="b").replace("192.0.2.1", "192.0.2\n  pasued: true")
    write(tmp_path, one=f"# first\n---\n{BACKEND.format(name='a')}---\n{bad}")
    loaded = load_manifests([tmp_path])
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
    found = [(Path(f.file).name, f.line) for f in load_manifests([tmp_path]).findings]
    assert found == [("a.yaml", 3), ("a.yaml", 5), ("b.yaml", 3), ("b.yaml", 5)]


def test_a_file_that_is_no_yaml_leaves_the_others_alone(tmp_path: Path) -> None:
    write(tmp_path, a="x: [\n", b=BACKEND.format(name="b"))
    loaded = load_manifests([tmp_path])
    assert loaded.unparseable
    assert [line.split(": ")[:2] for line in lines(loaded, tmp_path)] == [["a.yaml:2", "not YAML"]]
    assert list(loaded.backends) == [ObjectKey("default", "b")]


def test_a_file_that_is_not_utf_8_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")
    loaded = load_manifests([tmp_path])
    assert lines(loaded, tmp_path) == ["a.yaml:2: not YAML: not UTF-8"]
    assert loaded.unparseable


def test_a_file_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    loaded = load_manifests([tmp_path / "a.yaml"])
    assert lines(loaded, tmp_path) == ["a.yaml:1: cannot be read: No such file or directory"]


def test_an_object_that_is_there_twice_is_named_with_the_first(tmp_path: Path) -> None:
    text = BACKEND.format(name="a")
    write(tmp_path, a=text, b=text)
    [line] = lines(load_manifests([tmp_path]), tmp_path)
    assert line == (
        f"b.yaml:4: Backend default/a: metadata.name: is there twice, first in {tmp_path}/a.yaml:1"
    )


def test_a_repeated_field_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, a=BACKEND.format(name="a") + "  address: 192.0.2.2\n")
    assert lines(load_manifests([tmp_path]), tmp_path) == [
        "a.yaml:7: Backend default/a: spec.address: is there twice in the same mapping"
    ]


def test_lists_are_opened(tmp_path: Path) -> None:
    item = "\n".join(f"    {line}" for line in BACKEND.format(name="a").splitlines())
    bad = item.replace("name: a", "name: b").replace("address", "adress")
    text = f"apiVersion: v1\nkind: List\nitems:\n  -\n{item}\n  -\n{bad}\n"
    write(tmp_path, a=text)
    loaded = load_manifests([tmp_path])
    assert list(loaded.backends) == [ObjectKey("default", "a")]
    assert [finding.line for finding in loaded.findings] == [16, 17]


def test_objects_of_others_are_skipped_and_ours_of_unknown_kind_are_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n---\n"
        "apiVersion: vpplb.dev/v1alpha1\nkind: Fronted\nmetadata: {name: f}\n",
    )
    loaded = load_manifests([tmp_path])
    assert [str(s).removeprefix(f"{tmp_path}/") for s in loaded.skipped] == [
        "a.yaml:1: v1 Service: skipped, since it is not of vpplb.dev/v1alpha1"
    ]
    assert lines(loaded, tmp_path) == [
        "a.yaml:7: Fronted default/f: kind:"
        " must be one of HealthCheck, Backend, Frontend, Dataplane"
    ]


def test_what_is_no_object_at_all_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, a="- a\n", b="name: a\n")
    assert lines(load_manifests([tmp_path]), tmp_path) == [
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
    loaded = load_manifests([tmp_path])
    assert [os.path.relpath(file, tmp_path) for file in loaded.files] == ["e.json", "sub/a.yaml"]


def forbid_folders(monkeypatch: pytest.MonkeyPatch, *names: str, error: int = errno.EACCES) -> None:
    """Have these folders refuse to be listed: the rights of files do not bind root."""
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name in names:
            raise OSError(error, os.strerror(error), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_folder_that_may_not_be_read_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "shut", "shut/below"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, x=BACKEND.format(name=name[-3:]))
    forbid_folders(monkeypatch, "shut")
    loaded = load_manifests([tmp_path])
    assert lines(loaded, tmp_path) == ["shut:1: cannot be read: Permission denied"]
    assert loaded.files == [f"{tmp_path}/one/x.yaml"]
    assert list(loaded.backends) == [ObjectKey("default", "one")]
    (only,) = load_manifests([tmp_path / "shut"]).findings
    assert str(only) == f"{tmp_path}/shut:1: cannot be read: Permission denied"


def test_a_folder_below_one_that_may_not_be_entered_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert lines(load_manifests([tmp_path / "a"]), tmp_path) == [
        "a:1: cannot be read: Permission denied"
    ]


def test_a_folder_that_goes_while_it_is_read_is_a_finding_only_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    write(tmp_path, a=BACKEND.format(name="a"))
    forbid_folders(monkeypatch, "gone", error=errno.ENOENT)
    loaded = load_manifests([tmp_path])
    assert (loaded.findings, list(loaded.backends)) == ([], [ObjectKey("default", "a")])
    assert lines(load_manifests([tmp_path / "gone"]), tmp_path) == [
        "gone:1: cannot be read: No such file or directory"
    ]


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a=BACKEND.format(name="a"))
    loaded = load_manifests([tmp_path, tmp_path / "a.yaml"])
    assert (len(loaded.files), loaded.findings) == (1, [])


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    text = BACKEND.format(name="a").replace("192.0.2.1", "x")
    give_stdin(monkeypatch, text)
    [finding] = load_manifests([STDIN]).findings
    assert (finding.file, finding.line) == ("<stdin>", 6)


def test_dataplanes_have_no_namespace(tmp_path: Path) -> None:
    write(tmp_path, a="apiVersion: vpplb.dev/v1alpha1\nkind: Dataplane\nmetadata: {name: n1}\n")
    loaded = load_manifests([tmp_path])
    assert list(loaded.dataplanes) == ["n1"]
    assert list(loaded.objects) == [("Dataplane", ObjectKey("", "n1"))]


HOSTILE = [
    "!!int foo",
    "!!bool maybe",
    "!!timestamp foo",
    "!!binary '***'",
    "!!null x",
    "!mine x",
    "0b_",
    "0x_",
    "9" * 5000,
    "-" + "9" * 400,
    ".inf",
    ".nan",
    "1e999",
    "[]",
    "{}",
    "[[[[]]]]",
    "~",
    "''",
    "' '",
    '"\\0"',
    '"\\x1b[2J"',
    '"\\u202e"',
    "2001:db8::1",
    "fe80::1%eth0",
    "256.0.0.1",
    "yes",
    "2026-01-01",
    "1:2:3",
    "{a: {b: [1, {c: 2}]}}",
    "{<<: {a: 1}}",
    "!!set {a}",
    "&a [*a]",
    "=",
    "<<",
]


def everything_with(value: str) -> Iterator[str]:
    """Give the manifests again and again, each time with another field that has this value."""
    for text in EVERYTHING.split("---\n"):
        for place in re.finditer(r"(?<=: )[^\[\]{}\n,]+(?=[,}\]\n])", text):
            yield f"{text[: place.start()]}{value}{text[place.end() :]}"


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: value[:20])
def test_no_value_in_no_place_is_more_than_a_finding(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in everything_with(value):
        give_stdin(monkeypatch, text)
        loaded = load_manifests([STDIN])
        assert all(1 <= finding.line <= text.count("\n") + 1 for finding in loaded.findings)


def test_a_broken_value_is_told_once_and_with_its_object(tmp_path: Path) -> None:
    write(tmp_path, a=BACKEND.format(name="a").replace("192.0.2.1", "!!int foo"))
    loaded = load_manifests([tmp_path])
    assert lines(loaded, tmp_path) == [
        "a.yaml:6: Backend default/a: spec.address: is not a whole number: foo"
    ]
    assert loaded.unparseable


def test_what_objects_of_others_hold_is_their_business(tmp_path: Path) -> None:
    write(tmp_path, a="apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: !!binary x\n")
    loaded = load_manifests([tmp_path])
    assert (loaded.findings, loaded.unparseable) == ([], False)


def test_a_long_list_is_opened_in_one_go(tmp_path: Path) -> None:
    item = "\n".join(f"    {line}" for line in BACKEND.splitlines())
    names = [f"b{n}" for n in range(500)]
    items = "".join(f"  -\n{item.format(name=name)}\n" for name in names)
    write(tmp_path, a=f"apiVersion: v1\nkind: List\nitems:\n{items}")
    start = time.process_time()
    assert len(load_manifests([tmp_path]).backends) == 500
    assert time.process_time() - start < 5, "it must not look at all lines for each entry"

"""`vpplb check`: every finding on a line, one summary, and the exit status of the contract."""

import errno
import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from data.manifests import ROOT, Raw, accepted, backend, frontend, health_check
from vpplb.cli.main import cli


def check(*paths: Path | str, stdin: str | None = None) -> Result:
    """Run the command; NAT is allowed, and loopback by the tests' environment."""
    paths = (*paths, "--allow-nat")
    return CliRunner().invoke(cli, ["check", *map(str, paths)], input=stdin)


def check_objects(folder: Path, *objects: Raw) -> tuple[int, list[str]]:
    """Check objects in one file, each in a document; give lines without the file's name."""
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    result = check(path)
    return result.exit_code, [line.removeprefix(f"{path}:") for line in result.output.splitlines()]


def test_the_examples_are_valid_as_one_set() -> None:
    result = check(ROOT / "examples")
    assert result.exit_code == 0
    assert result.output.endswith(": valid\n")


def test_a_valid_set(tmp_path: Path) -> None:
    objects = (frontend(), backend(healthCheckRef={"name": "check"}), health_check())
    assert check_objects(tmp_path, *objects) == (0, ["1 file, 3 objects: valid"])


def test_all_accepted_scenarios_are_valid_one_by_one(tmp_path: Path) -> None:
    for case in accepted():
        _, lines = check_objects(tmp_path, case.object)
        wrong = [line for line in lines[:-1] if ": warning: " not in line]
        own = [line for line in wrong if "there is no " not in line]
        assert own == [], case.name


def test_a_warning_is_said_and_does_not_count_as_wrong(tmp_path: Path) -> None:
    code, lines = check_objects(tmp_path, backend(), frontend(encap="NAT4"))
    assert code == 0
    assert lines[0].startswith("19: Frontend default/web: spec.encap: warning: VPP ")
    assert lines[1:] == ["1 file, 2 objects: valid"]


def test_what_has_to_be_asked_for_is_refused_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VPPLB_ALLOW_LOOPBACK")
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all([backend(address="127.0.0.1"), frontend(encap="NAT4")]))
    refused = CliRunner().invoke(cli, ["check", str(path)])
    assert refused.exit_code == 2
    assert "spec.address: must not be loopback: " in refused.output
    assert "spec.encap: must not be NAT4 or NAT6: " in refused.output
    allowed = CliRunner().invoke(cli, ["check", str(path), "--allow-loopback", "--allow-nat"])
    assert allowed.exit_code == 0


def test_a_backend_where_probes_may_not_go_is_an_error_where_it_has_a_check(tmp_path: Path) -> None:
    path = tmp_path / "objects.yaml"
    checked = backend(address="10.1.2.3", healthCheckRef={"name": "check"})
    path.write_text(yaml.safe_dump_all([checked, backend("b", "10.1.2.4"), health_check()]))
    denied = CliRunner().invoke(cli, ["check", str(path), "--probe-deny", "10.1.0.0/16"])
    assert denied.exit_code == 2
    assert "6: Backend default/a: spec.address: 10.1.2.3 is in 10.1.0.0/16, " in denied.output
    assert denied.output.endswith(": 1 problem\n")
    here = {"VPPLB_PROBE_ALLOW": "192.0.2.0/24 10.1.2.0/24"}
    assert CliRunner(env=here).invoke(cli, ["check", str(path)]).exit_code == 0


def test_wrong_fields_exit_2_and_all_are_said(tmp_path: Path) -> None:
    bad = frontend(port=0, dscp=3)
    code, lines = check_objects(tmp_path, backend(), bad)
    assert code == 2
    assert lines == [
        "14: Frontend default/web: spec.port: is required with protocol TCP or UDP",
        "19: Frontend default/web: spec.dscp: must be absent unless encap is L3DSR",
        "1 file, 2 objects: 2 problems",
    ]


def test_references_to_nothing_are_errors(tmp_path: Path) -> None:
    code, lines = check_objects(
        tmp_path,
        frontend(pools=[{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]),
        backend(healthCheckRef={"name": "none"}),
    )
    assert code == 2
    assert lines == [
        "21: Backend default/a: spec.healthCheckRef.name: there is no HealthCheck default/none",
        "12: Frontend default/web: spec.pools[0].backends[1].name: there is no Backend default/b",
        "1 file, 2 objects: 2 problems",
    ]


def test_a_reference_to_something_that_is_wrong_itself_is_not_one_to_nothing(
    tmp_path: Path,
) -> None:
    code, lines = check_objects(
        tmp_path,
        frontend(),
        backend(address="x", healthCheckRef={"name": "check"}),
        backend("b", healthCheckRef={"name": "check"}),
        health_check(type="TCP"),
    )
    assert code == 2
    assert [line.split(": ")[2] for line in lines[:-1]] == ["spec.address", "spec.port"]


def test_conflicts_between_frontends_are_errors(tmp_path: Path) -> None:
    code, lines = check_objects(tmp_path, frontend("a"), frontend("b"), backend())
    assert code == 2
    assert len(lines) == 2
    assert lines[0].startswith("18: Frontend default/b: spec.address: ")
    assert "Frontend default/a" in lines[0]


def test_files_are_one_set(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(frontend()))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(backend()))
    assert check(tmp_path / "a.yaml").exit_code == 2
    assert check(tmp_path / "a.yaml", tmp_path / "b.yaml").exit_code == 0


def test_what_is_no_yaml_exits_1_and_the_other_files_are_checked_all_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text("a: [\n")
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(backend(address="x")))
    result = check(tmp_path)
    assert result.exit_code == 1
    first, second, summary = result.output.splitlines()
    assert first.startswith(f"{tmp_path}/a.yaml:2: not YAML: ")
    assert second.startswith(f"{tmp_path}/b.yaml:6: Backend default/a: spec.address: ")
    assert summary == "2 files, 1 object: 2 problems"


def test_references_are_not_judged_where_a_file_is_missing_from_the_set(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(frontend()))
    (tmp_path / "b.yaml").write_text("spec: [\n")
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "there is no" not in result.output


def test_objects_of_others_are_noted_at_the_end_and_are_no_error(tmp_path: Path) -> None:
    service: Raw = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    code, lines = check_objects(tmp_path, service, backend())
    assert (code, lines) == (
        0,
        [
            "1: v1 Service: skipped, since it is not of vpplb.dev/v1alpha1",
            "1 file, 1 object, 1 skipped: valid",
        ],
    )


def test_standard_input() -> None:
    result = check("-", stdin=yaml.safe_dump(backend(address="x")))
    assert result.exit_code == 2
    assert result.output.startswith("<stdin>:6: Backend default/a: spec.address: ")


@pytest.mark.parametrize("paths", [[], ["/nonexistent"]])
def test_usage_errors_exit_2(paths: list[str]) -> None:
    assert check(*paths).exit_code == 2


def from_secret(name: str, at: str = "value") -> Raw:
    header = {"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": at}}}
    return health_check(type="HTTP", http={"headers": [header]})


SECRET: Raw = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token"},
    "stringData": {"value": "s3cret"},
}


def test_a_secret_that_is_not_among_the_files_is_warned_of_where_no_other_is(
    tmp_path: Path,
) -> None:
    code, lines = check_objects(tmp_path, from_secret("token"))
    assert code == 0
    assert "secretKeyRef.name: warning: there is no Secret default/token" in lines[0]


def test_a_header_finds_its_value_in_a_secret_among_the_files(tmp_path: Path) -> None:
    assert check_objects(tmp_path, SECRET, from_secret("token"))[0] == 0
    for check_of, says in (
        (from_secret("tokn"), "secretKeyRef.name: there is no Secret default/tokn"),
        (from_secret("token", "k"), "secretKeyRef.key: Secret default/token has no key k"),
    ):
        code, lines = check_objects(tmp_path, SECRET, check_of)
        assert code == 2
        assert says in lines[0]
        assert "s3cret" not in str(lines)


def test_a_folder_that_may_not_be_read_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> object:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    result = check(tmp_path)
    assert (result.exit_code, result.output.splitlines()) == (
        2,
        [f"{tmp_path}:1: cannot be read: Permission denied", "0 files, 0 objects: 1 problem"],
    )

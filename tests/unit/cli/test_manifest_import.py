"""`vpplb import`: manifests on one stream, findings by line on the other, and an exit status."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from data.imports import config
from vpplb.cli.main import cli
from vpplb.cli.manifest_import import import_command
from vpplb.standalone.local_vpp import NODE

MAGLEV = config(
    """
    maglev:
      healthchecker: {netns: data plane}
      vpp:
        lb:
          ipv4-src-address: 192.0.2.1
          ipv6-src-address: 2001:db8::1
      healthchecks:
        ping: {type: icmp, interval: 1s, timeout: 1s}
      backends:
        a: {address: 10.0.0.1, healthcheck: ping}
      frontends:
        web:
          address: 203.0.113.1
          protocol: tcp
          port: 80
          pools: [{name: main, backends: {a: {}}}]
    """
)


def run(folder: Path, text: str, *flags: str) -> Result:
    path = folder / "given"
    path.write_text(text)
    return CliRunner().invoke(cli, ["import", str(path), *flags])


def lines(result: Result, folder: Path) -> list[str]:
    return [one.removeprefix(f"{folder}/given:") for one in result.stderr.splitlines()]


def test_what_is_printed_is_a_valid_set_of_manifests(tmp_path: Path) -> None:
    result = run(tmp_path, MAGLEV)
    assert result.exit_code == 0
    assert lines(result, tmp_path) == [
        "2: healthchecker.netns: note: is the option --netns of vpplb standalone"
        " and vpplb operator",
        "4 objects: all is carried",
        "options for vpplb standalone: --netns 'data plane'",
    ]
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(result.stdout)
    checked = CliRunner().invoke(cli, ["check", str(manifests)])
    assert checked.output == "1 file, 4 objects: valid\n"
    kinds = [one["kind"] for one in yaml.safe_load_all(result.stdout)]
    assert kinds == ["Dataplane", "HealthCheck", "Backend", "Frontend"]
    assert f"# {tmp_path}/given:12\n" in result.stdout


def test_namespace_and_node_are_as_asked(tmp_path: Path) -> None:
    result = run(tmp_path, MAGLEV, "--namespace", "lb", "--node", "worker-1")
    metadata = [one["metadata"] for one in yaml.safe_load_all(result.stdout)]
    assert metadata == [
        {"name": "worker-1"},
        {"name": "ping", "namespace": "lb"},
        {"name": "a", "namespace": "lb"},
        {"name": "web", "namespace": "lb"},
    ]


def test_the_dataplane_is_named_as_standalone_names_its_node() -> None:
    node = next(one for one in import_command.params if one.name == "node")
    assert node.default == NODE


def test_what_is_lost_exits_2_and_the_rest_is_printed(tmp_path: Path) -> None:
    result = run(tmp_path, MAGLEV.replace("address: 10.0.0.1,", "address: 10.0.0.1, colour: red,"))
    assert result.exit_code == 2
    assert lines(result, tmp_path)[1:3] == [
        "10: backends.a.colour: not carried: is not known",
        "4 objects: 1 finding to look at",
    ]
    assert len(list(yaml.safe_load_all(result.stdout))) == 4


def test_what_our_own_rules_refuse_is_said_with_its_line(tmp_path: Path) -> None:
    text = MAGLEV.replace("203.0.113.1", "10.0.0.1").replace(
        "backends: {a: {}}", "backends: {b: {}}"
    )
    result = run(tmp_path, text)
    assert result.exit_code == 2
    assert lines(result, tmp_path)[1:3] == [
        "16: Frontend default/web: spec.pools[0].backends[0].name: there is no Backend default/b",
        "4 objects: 1 finding to look at",
    ]


def test_loopback_has_to_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VPPLB_ALLOW_LOOPBACK")
    text = MAGLEV.replace("10.0.0.1", "127.0.0.1")
    assert run(tmp_path, text).exit_code == 2
    assert run(tmp_path, text, "--allow-loopback").exit_code == 0


@pytest.mark.parametrize(
    ("text", "flags", "says"),
    [
        ("upstream web {}\n", (), "1: is none of these, or does not look like it: "),
        ("maglev: [\n", (), "2: is not YAML: "),
        ("listen web\n  bind 'x\n", (), "2: the quote ' has no end"),
        ("virtual_server 192.0.2.1 80 {\n", (), "1: the block that begins here does not end"),
        ("maglev: {}\n", ("--format", "haproxy"), "1: maglev: stands in no section"),
    ],
)
def test_what_cannot_be_read_exits_1_with_its_line(
    tmp_path: Path, text: str, flags: tuple[str, ...], says: str
) -> None:
    result = run(tmp_path, text, *flags)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert lines(result, tmp_path)[-1].startswith(says)


def test_what_is_no_text_exits_1(tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"maglev:\n  \xff\n")
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "given")])
    assert (result.exit_code, lines(result, tmp_path)) == (1, ["2: is not UTF-8"])


def test_standard_input_is_read_for_a_dash() -> None:
    result = CliRunner().invoke(cli, ["import", "-"], input=MAGLEV)
    assert result.exit_code == 0
    assert "# <stdin>:12\n" in result.stdout


def test_the_vips_of_haproxy_are_read_as_addresses(tmp_path: Path) -> None:
    text = "listen web\n  bind :80\n  server a 10.0.0.1:80\n"
    found = run(tmp_path, text, "--vip", "192.0.2.1")
    assert found.exit_code == 0
    assert "address: 192.0.2.1\n" in found.stdout
    for odd in ("web.example", "::ffff:192.0.2.1", "fe80::1%eth0"):
        refused = run(tmp_path, text, "--vip", odd)
        assert refused.exit_code == 2
        assert f"{odd!r} is no IPv4 or IPv6 address" in refused.stderr


def test_nothing_that_a_file_says_reaches_the_terminal_as_an_escape(tmp_path: Path) -> None:
    result = run(tmp_path, 'maglev: {"a\\e[31mb": 1}\n')
    assert "\x1b" not in result.stdout + result.stderr
    assert r"a\u001b[31mb" in result.stderr

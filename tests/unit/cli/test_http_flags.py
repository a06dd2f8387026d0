"""The flags that guard the HTTP server: what each needs, and that it is off by default."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from vpplb.cli.http_flags import cluster_http_flags, local_http_flags
from vpplb.cli.options import http_address, local_http_address
from vpplb.telemetry.http_access import HttpAccess

PAIR = ("--http-tls-cert=tls.crt", "--http-tls-key=tls.key")


def run_flags(*flags: str, local: bool = False) -> tuple[Result, dict[str, Any]]:
    found: dict[str, Any] = {}

    @click.command()
    @(local_http_address if local else http_address)
    @(local_http_flags if local else cluster_http_flags)
    def command(**given: Any) -> None:
        found.update(given)

    return CliRunner().invoke(command, flags), found


@pytest.mark.parametrize("local", [False, True])
def test_by_default_anybody_reads_and_nobody_acts(local: bool) -> None:
    _, found = run_flags(local=local)
    assert found["http_access"] == HttpAccess()


def test_a_router_listens_to_its_own_machine_alone() -> None:
    _, found = run_flags(local=True)
    assert found["http_address"] == "127.0.0.1:9091"


def test_in_a_cluster_people_act_by_their_tokens() -> None:
    _, found = run_flags("--http-actions", "--http-auth=kubernetes", *PAIR)
    access = found["http_access"]
    assert (access.actions, access.signed_in_only) == (True, True)
    assert access.tls.certificate == Path("tls.crt")


@pytest.mark.parametrize(
    ("flags", "local", "said"),
    [
        (PAIR[:1], False, "belong together"),
        (PAIR[1:], True, "belong together"),
        (("--http-auth=kubernetes",), False, "needs --http-tls-cert and --http-tls-key"),
        (("--http-auth=accounts",), True, "need --http-accounts"),
        (("--http-actions",), True, "need --http-accounts"),
    ],
)
def test_flags_that_make_no_sense_alone_are_refused(
    flags: tuple[str, ...], local: bool, said: str
) -> None:
    result, _ = run_flags(*flags, local=local)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("address", ["127.0.0.1:9091", "[::1]:9091", "localhost:9091", ""])
def test_who_listens_to_his_own_machine_needs_no_tls(address: str) -> None:
    result, _ = run_flags("--http-auth=kubernetes", f"--http-address={address}")
    assert result.exit_code == 0, result.output

import logging
from pathlib import Path

import pytest

from data.pages import list_samples
from vpplb import __version__
from vpplb.telemetry.listen_address import ListenAddress
from vpplb.telemetry.start_log import describe_source, log_start


def test_one_line_says_version_source_address_and_vpp(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    http = ListenAddress("127.0.0.1", 9091)
    log_start(
        "standalone", objects="of /etc/vpplb/manifests", http=http, vpp=Path("/run/vpp/api.sock")
    )
    [line] = caplog.messages
    assert line == (
        f"vpplb {__version__} standalone begins: objects of /etc/vpplb/manifests,"
        " http 127.0.0.1:9091, vpp /run/vpp/api.sock"
    )
    assert f"{line}\n".replace(__version__, "0.1.0") in list_samples("docs/status.md")


def test_what_is_not_served_is_said_to_be_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_start("agent", objects="here", http=None, traces=None)
    assert caplog.messages[0].endswith("objects here, http off")


def test_objects_are_of_all_namespaces_or_of_those_that_are_named() -> None:
    assert describe_source("https://api", ()) == "of https://api (all namespaces)"
    assert describe_source("https://api", ("a", "b")) == "of https://api (namespaces a, b)"

"""NO_PROXY as kubectl reads it: what Go exempts, we exempt."""

import pytest

from vpplb.kube.environment_proxy import find_proxy

PROXY = "http://proxy.example:3128"
POD = "https://10.96.0.1:443"


@pytest.fixture(autouse=True)
def _proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)


@pytest.mark.parametrize(
    ("server", "exempted"),
    [
        (POD, "10.96.0.1"),
        (POD, "example.com, 10.96.0.0/12"),
        (POD, "10.96.0.1:443"),
        (POD, "*"),
        ("https://10.96.0.1", "10.96.0.1:443"),
        ("https://[fd00::1]:443", "fd00::/8"),
        ("https://[fd00::1]:443", "fd00::1"),
        ("https://[fd00::1]:443", "[fd00::1]:443"),
        ("https://corp.example:6443", "corp.example"),
        ("https://api.corp.example:6443", "corp.example"),
        ("https://api.corp.example:6443", ".corp.example"),
        ("https://api.corp.example:6443", "*.corp.example"),
        ("https://API.corp.example:6443", "api.CORP.example:6443"),
        ("https://127.0.0.1:6443", ""),
        ("https://localhost:6443", ""),
        ("https://[::1]:6443", ""),
        ("http://10.96.0.1", ""),  # which the proxy of another scheme is not for
    ],
)
def test_a_server_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, server: str, exempted: str
) -> None:
    monkeypatch.setenv("NO_PROXY", exempted)
    assert find_proxy(server) is None


@pytest.mark.parametrize(
    ("server", "exempted"),
    [
        (POD, ""),
        (POD, "10.96.0.1:6443"),
        (POD, "10.97.0.0/16,fd00::/8,,:,[,a:b"),
        ("https://[fd00::1]:443", "10.0.0.0/8,fd00::2"),
        ("https://evilcorp.example", "corp.example"),
        ("https://corp.example", "example.org"),
        ("https://corp.example", ".corp.example"),
        ("https://corp.example", "*.corp.example"),
        ("https://evilcorp.example", "*.corp.example"),
    ],
)
def test_a_server_is_asked_by_the_proxy(
    monkeypatch: pytest.MonkeyPatch, server: str, exempted: str
) -> None:
    monkeypatch.setenv("NO_PROXY", exempted)
    assert find_proxy(server) == PROXY

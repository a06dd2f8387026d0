"""Addresses with ports as proxies write them."""

from ipaddress import ip_address

import pytest

from vpplb.migration.endpoints import read_endpoints


@pytest.mark.parametrize(
    ("text", "address", "ports", "version"),
    [
        ("192.0.2.1:80", "192.0.2.1", [80], 4),
        ("192.0.2.1", "192.0.2.1", [0], 4),
        ("ipv4@192.0.2.1:80-82", "192.0.2.1", [80, 81, 82], 4),
        ("[2001:db8::1]:443", "2001:db8::1", [443], 6),
        ("[2001:db8::1]", "2001:db8::1", [0], 6),
        ("2001:db8::1:443", "2001:db8::1", [443], 6),
        (":80", None, [80], 0),
        ("*:80", None, [80], 0),
        ("0.0.0.0:80", None, [80], 4),
        (":::80", None, [80], 6),
        ("[::]:80", None, [80], 6),
        ("ipv6@:80", None, [80], 6),
    ],
)
def test_an_endpoint(text: str, address: str | None, ports: list[int], version: int) -> None:
    found = list(read_endpoints(text))
    assert [one.port for one in found] == ports
    assert {one.address for one in found} == {ip_address(address) if address else None}
    assert {one.version for one in found} == {version}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("unix@/run/x", "unix@ is no address"),
        ("/run/x", "a Unix socket"),
        ("fd@3", "fd@ is no address"),
        ("web.example:80", "names are not looked up"),
        ("192.0.2.1:x", "is no port"),
        ("192.0.2.1:0", "is no port"),
        ("192.0.2.1:70000", "is no port"),
        ("192.0.2.1:82-80", "is no port"),
        (f"192.0.2.1:{'9' * 5000}", "^9{20} is no port"),
        ("192.0.2.1:1-1000", "are too many"),
        ("fe80::1%eth0:80", "names are not looked up"),
    ],
)
def test_what_is_no_endpoint(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(read_endpoints(text))

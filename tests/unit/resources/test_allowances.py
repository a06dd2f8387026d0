"""What is denied unless a person asks for it."""

from ipaddress import ip_address, ip_network

import pytest

from vpplb.resources.allowances import EVERYTHING, NOTHING, AddressAllowances

NOBODYS_SERVERS = (
    "169.254.169.254",
    "fe80::1",
    "fd00:ec2::254",
    "168.63.129.16",
    "100.100.100.200",
    "64:ff9b::169.254.169.254",
)
LOOPBACK = ("127.0.0.1", "127.1.2.3", "::1")


def probed(allowed: AddressAllowances, address: str) -> bool:
    return not allowed.reach.refuse_address(ip_address(address))


@pytest.mark.parametrize("address", [*NOBODYS_SERVERS, *LOOPBACK])
def test_probes_go_to_no_link_local_no_loopback_and_no_clouds_own_address(address: str) -> None:
    assert not probed(NOTHING, address)


@pytest.mark.parametrize("address", ["10.0.0.1", "100.100.100.1", "2001:db8::1", "fd00:ec2::1"])
def test_probes_go_to_any_other_address(address: str) -> None:
    assert probed(NOTHING, address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_asked_for_in_one_way(address: str) -> None:
    assert probed(AddressAllowances(loopback=True), address)


@pytest.mark.parametrize("address", NOBODYS_SERVERS)
def test_who_allows_loopback_and_nat_has_allowed_nothing_else(address: str) -> None:
    assert not probed(EVERYTHING, address)


def test_what_is_denied_by_default_is_allowed_by_its_name_and_not_by_a_wider_one() -> None:
    cloud = ip_network("168.63.129.16/32")
    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert not probed(AddressAllowances(probe_allow=everywhere), "168.63.129.16")
    assert probed(AddressAllowances(probe_allow=(*everywhere, cloud)), "168.63.129.16")


def test_what_a_person_denies_is_denied_besides() -> None:
    denied = AddressAllowances(probe_deny=(ip_network("10.0.0.0/8"),))
    assert not probed(denied, "10.0.0.1")
    assert not probed(denied, "169.254.169.254")

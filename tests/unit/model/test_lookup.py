"""What is found is what a look at everything would find."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from vpplb.model.lookup import AddressSet, PrefixSet
from vpplb.model.vip import IPAddress, IPNetwork

# Few of them, so that they meet.
addresses = st.one_of(
    st.integers(0, 7).map(lambda n: ip_address(f"10.0.0.{n}")),
    st.integers(0, 3).map(lambda n: ip_address(f"fd00::{n}")),
    st.sampled_from([ip_address("0.0.0.0"), ip_address("255.255.255.255")]),
)


def _prefix(address: IPAddress, off: int) -> IPNetwork:
    return (
        ip_network((int(address), address.max_prefixlen - off), strict=False)
        if (address.version == 4)
        else ip_network(f"{address}/{128 - off}", strict=False)
    )


prefixes = st.builds(_prefix, addresses, st.sampled_from([0, 1, 2, 8, 32]))
edits = st.lists(st.tuples(st.booleans(), prefixes), max_size=12)
moves = st.lists(st.tuples(st.booleans(), addresses), max_size=12)


@given(edits=edits, address=addresses)
def test_prefixes_around_an_address_come_the_longest_first(
    edits: list[tuple[bool, IPNetwork]], address: IPAddress
) -> None:
    found, plain = PrefixSet(), set[IPNetwork]()
    for there, prefix in edits:
        (found.add_prefix if there else found.discard_prefix)(prefix)
        (plain.add if there else plain.discard)(prefix)
    around = [prefix for prefix in plain if address in prefix]
    assert list(found.find_around(address)) == sorted(around, key=lambda p: -p.prefixlen)


@given(moves=moves, prefix=prefixes)
def test_addresses_within_a_prefix_come_in_their_order(
    moves: list[tuple[bool, IPAddress]], prefix: IPNetwork
) -> None:
    found, plain = AddressSet(), set[IPAddress]()
    for there, address in moves:
        (found.add_address if there else found.discard_address)(address)
        (plain.add if there else plain.discard)(address)
    assert list(found.find_within(prefix)) == sorted(a for a in plain if a in prefix)

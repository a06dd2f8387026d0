"""Prefixes found by an address in them, and addresses found by a prefix around them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from vpplb.model.vip import IPAddress, IPNetwork


class PrefixSet:
    """Prefixes. Finding costs a look-up for each length in use, however many there are."""

    def __init__(self) -> None:
        self._by_start: dict[int, dict[int, dict[int, IPNetwork]]] = {4: {}, 6: {}}

    def add_prefix(self, prefix: IPNetwork) -> None:
        lengths = self._by_start[prefix.version]
        if prefix.prefixlen not in lengths:
            lengths[prefix.prefixlen] = {}
            self._by_start[prefix.version] = dict(sorted(lengths.items(), reverse=True))
        self._by_start[prefix.version][prefix.prefixlen][_first_number(prefix)] = prefix

    def discard_prefix(self, prefix: IPNetwork) -> None:
        lengths = self._by_start[prefix.version]
        starts = lengths.get(prefix.prefixlen, {})
        starts.pop(_first_number(prefix), None)
        if not starts:
            lengths.pop(prefix.prefixlen, None)

    def find_around(self, address: IPAddress) -> Iterator[IPNetwork]:
        """Find the prefixes that an address is in, the longest first."""
        number, bits = int(address), address.max_prefixlen
        for length, starts in self._by_start[address.version].items():
            found = starts.get(number >> (bits - length))
            if found is not None:
                yield found


class AddressSet:
    """Addresses. Finding costs what is found, and the logarithm of how many there are."""

    def __init__(self) -> None:
        self._numbers: dict[int, list[int]] = {4: [], 6: []}
        self._addresses: dict[tuple[int, int], IPAddress] = {}

    def add_address(self, address: IPAddress) -> None:
        at = (address.version, int(address))
        if at not in self._addresses:
            self._addresses[at] = address
            insort(self._numbers[address.version], int(address))

    def discard_address(self, address: IPAddress) -> None:
        if self._addresses.pop((address.version, int(address)), None) is not None:
            numbers = self._numbers[address.version]
            del numbers[bisect_left(numbers, int(address))]

    def find_within(self, prefix: IPNetwork) -> Iterator[IPAddress]:
        """Find the addresses in a prefix, in their order."""
        numbers = self._numbers[prefix.version]
        begin = bisect_left(numbers, int(prefix.network_address))
        end = bisect_right(numbers, int(prefix.broadcast_address))
        return (self._addresses[prefix.version, number] for number in numbers[begin:end])


def _first_number(prefix: IPNetwork) -> int:
    return int(prefix.network_address) >> (prefix.max_prefixlen - prefix.prefixlen)

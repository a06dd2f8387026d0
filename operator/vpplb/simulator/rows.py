"""What VPP's lb plugin keeps of a VIP and of an application server, and what names them.

Addresses are 128-bit numbers, IPv4 right-aligned in zeros; prefix lengths are of 128 bits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Generic, NamedTuple, TypeVar

from vpplb.model.vip import Encap, IPAddress, VipId, VipProtocol

T = TypeVar("T")


class VppPool(Generic[T]):
    """Elements by index; freed ones are taken again, the last freed first.

    What an element held when it was freed is still in it when it is taken again (pool.h): VPP's
    constructors set only some fields, and its answers depend on the others.
    """

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._slots: list[T] = []
        self._free: list[int] = []

    def take_index(self) -> int:
        """Return the index of a free element, made by `new` if it was never taken before."""
        if self._free:
            return self._free.pop()
        self._slots.append(self._new())
        return len(self._slots) - 1

    def free_index(self, index: int) -> None:
        self._free.append(index)

    def __getitem__(self, index: int) -> T:
        return self._slots[index]

    def __len__(self) -> int:
        return len(self._slots) - len(self._free)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indexes in use, ascending; elements may be put meanwhile."""
        free = set(self._free)
        return iter([index for index in range(len(self._slots)) if index not in free])


ANY_PROTOCOL = 255

IP4_BITS = 32
IP6_BITS = 128


class VppRetval(IntEnum):
    """Return values of VPP (vnet/error.h) that are used here."""

    OK = 0
    UNSPECIFIED = -1
    """Here: real VPP would do it, or break; the simulator does not model it."""
    INVALID_SW_IF_INDEX = -2
    NO_SUCH_ENTRY = -6
    INVALID_MEMORY_SIZE = -70
    INVALID_ARGUMENT = -73
    VALUE_EXIST = -81
    INVALID_ADDRESS_FAMILY = -97


class VppAborted(Exception):
    """VPP dies of this; the text says why."""


class VipType(NamedTuple):
    """Family of a VIP's prefix and encapsulation to its servers (lb.h, lb_vip_type_t)."""

    family: int
    encap: Encap

    def __str__(self) -> str:
        return f"ip{self.family}-{self.encap.value.lower()}"


_TYPES = {VipType(family, encap) for family in (4, 6) for encap in (Encap.GRE4, Encap.GRE6)} | {
    VipType(4, Encap.L3DSR),
    VipType(4, Encap.NAT4),
    VipType(6, Encap.NAT6),
}
_DEFAULT_TYPE = VipType(6, Encap.GRE6)  # number 0: what an impossible combination turns into
NAT = (Encap.NAT4, Encap.NAT6)


class VipKey(NamedTuple):
    """What names a VIP. Host bits of `address` do not matter."""

    address: int
    length: int
    protocol: int
    port: int

    @property
    def stored_key(self) -> "VipKey":
        """The key as it is stored: host bits cleared; port 0 means all protocols."""
        shift = IP6_BITS - self.length
        protocol = self.protocol if self.port else ANY_PROTOCOL
        return VipKey(self.address >> shift << shift, self.length, protocol, self.port)

    @property
    def is_ip4(self) -> bool:
        """Whether VPP takes the prefix for an IPv4 one."""
        return self.length >= IP6_BITS - IP4_BITS and self.address < 1 << IP4_BITS


_NO_KEY = VipKey(0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVip:
    """Arguments of an addition, as far as VPP looks at them."""

    encap: Encap | None
    dscp: int = 0
    service_type: int = 0
    target_port: int = 0
    table_length: int = 1024
    src_ip_sticky: bool = False


@dataclass(slots=True)
class ServerRow:
    """An application server, live or (not `used`) lingering until it is collected."""

    address: int = 0
    weight: int = 0
    used: bool = False
    vip_index: int = 0
    last_used: int = 0
    """Second of VPP's uptime at which it was last removed; kept when the row is taken again."""


@dataclass(slots=True)
class VipRow:
    """A VIP, or (not `used`) what is left of one until its servers are collected."""

    key: VipKey = _NO_KEY
    type: VipType = _DEFAULT_TYPE
    used: bool = False
    table_length: int = 1
    src_ip_sticky: bool = False
    encap_byte: int = 0
    """DSCP of L3DSR or service type of NAT: one byte for both in VPP. Kept when taken again."""
    target_port: int = 0
    last_collection: int = 0
    servers: VppPool[list[int]] = field(default_factory=lambda: VppPool(lambda: [0]))
    shares: dict[IPAddress, int] | None = None
    """Buckets by server; None: to be computed when somebody asks."""
    new_flows: list[int] | None = None
    """Index of the server of each bucket; None: to be computed when a packet comes."""

    def as_new(self) -> NewVip:
        """Return the arguments that add such a VIP."""
        nat = self.type.encap in NAT
        return NewVip(
            encap=self.type.encap,
            dscp=0 if nat else self.encap_byte,
            service_type=self.encap_byte if nat else 0,
            target_port=self.target_port,
            table_length=self.table_length,
            src_ip_sticky=self.src_ip_sticky,
        )

    @property
    def has_mappings(self) -> bool:
        """Whether its servers have SNAT mappings (lb_vip_is_nat4_port, lb_vip_is_nat6_port)."""
        return self.type.encap in NAT and self.key.port != 0

    def reset_tables(self) -> None:
        self.shares = self.new_flows = None


def to_address(number: int) -> IPAddress:
    """Return a 128-bit number as the address it stands for."""
    return IPv4Address(number) if number < 1 << IP4_BITS else IPv6Address(number)


def vip_id(key: VipKey) -> VipId:
    """Return a key in the model's terms; KeyError for a protocol that it does not have."""
    length = key.length - (IP6_BITS - IP4_BITS) if key.is_ip4 else key.length
    protocol = {6: VipProtocol.TCP, 17: VipProtocol.UDP, ANY_PROTOCOL: VipProtocol.ANY}[
        key.protocol
    ]
    address = IPv4Address(key.address) if key.is_ip4 else IPv6Address(key.address)
    return VipId(ip_network((address, length)), protocol, key.port)


def type_of(key: VipKey, encap: Encap | None) -> VipType:
    """Return the type of a VIP: VPP quirk, L3DSR and NAT4 on an IPv6 prefix come out as GRE6."""
    if encap is None:
        return _DEFAULT_TYPE
    type_ = VipType(4 if key.is_ip4 else 6, encap)
    return type_ if type_ in _TYPES else _DEFAULT_TYPE


def servers_are_ip4(type_: VipType) -> bool:
    """Say which family a VIP's servers have; that of the VIP does not matter."""
    return type_.encap in (Encap.GRE4, Encap.L3DSR, Encap.NAT4)

"""VPP's return values in words (vnet/error.h, as lb.c uses them)."""

SUCCESS = 0
NO_SUCH_ENTRY = -6
INVALID_MEMORY_SIZE = -70
INVALID_ARGUMENT = -73
VALUE_EXIST = -81
INVALID_ADDRESS_FAMILY = -97

NOT_SENT = -10_000
"""Not VPP's: the call was refused here, since VPP would not have refused it."""

_WORDS = {
    -1: "unspecified error",
    NO_SUCH_ENTRY: "no such entry",
    -7: "invalid value",
    -9: "not implemented",
    INVALID_MEMORY_SIZE: "not a power of two",
    INVALID_ARGUMENT: "invalid argument: VIPs of one prefix must have the same encapsulation",
    VALUE_EXIST: (
        "exists already, or an all-port and a per-port VIP exclude each other on one prefix"
    ),
    INVALID_ADDRESS_FAMILY: "wrong address family for this encapsulation",
}


def in_words(retval: int) -> str:
    """Say what a return value means, number included; empty for 0."""
    if retval == SUCCESS:
        return ""
    return f"{_WORDS.get(retval, 'refused by VPP')} ({retval})"

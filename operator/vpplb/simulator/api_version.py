"""What differs from one VPP to the next: the numbers of messages, and the CRCs of definitions."""

from dataclasses import dataclass

from vpplb.simulator.messages import MESSAGE_IDS, MESSAGES, MessageSpec

_LAST_FIXED = MESSAGE_IDS["sockclnt_create_reply"]
"""Clients know it and the one before by number, before they are told any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiVersion:
    """Numbers and CRCs of one VPP.

    Ids are `shift` higher than here, but for those up to the ones that clients know beforehand;
    messages named in `other_crcs` have another CRC, as in a VPP that defines them otherwise.
    """

    shift: int = 0
    other_crcs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """ValueError for what no VPP can be."""
        if unknown := self.other_crcs - MESSAGES.keys():
            raise ValueError(f"no such message: {', '.join(sorted(unknown))}")
        if self.shift < 0 or len(MESSAGE_IDS) + self.shift > 0xFFFF:
            raise ValueError(f"message ids cannot be shifted by {self.shift}")

    def message_id(self, name: str) -> int:
        number = MESSAGE_IDS[name]
        return number if number <= _LAST_FIXED else number + self.shift

    def message_name(self, number: int) -> str | None:
        """Return the message of an id; None when there is none."""
        if number > _LAST_FIXED:
            number -= self.shift
            return _NAMES.get(number) if number > _LAST_FIXED else None
        return _NAMES.get(number)

    def message_crc(self, message: MessageSpec) -> int:
        return message.crc ^ (0xFFFFFFFF if message.name in self.other_crcs else 0)

    def message_table(self) -> list[tuple[int, str]]:
        """Return id and `name_crc` of all messages, which a client gets when it connects."""
        return [(self.message_id(n), f"{n}_{self.message_crc(m):08x}") for n, m in MESSAGES.items()]


_NAMES = {number: name for name, number in MESSAGE_IDS.items()}

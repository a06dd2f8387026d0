"""What differs from one VPP to the next: the numbers of messages, and the CRCs of definitions."""

from dataclasses import dataclass

from vpplb.simulator.messages import MESSAGE_IDS, MESSAGES, Message

_FIXED = frozenset({"sockclnt_create", "sockclnt_create_reply"})
"""Messages that clients know by number before they are told any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Numbers and CRCs of one VPP.

    All ids but the two that never change are `shift` higher than here; messages named in
    `other_crcs` have another CRC, as in a VPP that defines them otherwise.
    """

    shift: int = 0
    other_crcs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what no VPP can be (ValueError)."""
        if unknown := self.other_crcs - MESSAGES.keys():
            raise ValueError(f"no such message: {', '.join(sorted(unknown))}")
        if self.shift < 0 or len(MESSAGE_IDS) + self.shift > 0xFFFF:
            raise ValueError(f"message ids cannot be shifted by {self.shift}")

    def number(self, name: str) -> int:
        """Return the id of a message."""
        return MESSAGE_IDS[name] + (0 if name in _FIXED else self.shift)

    def name(self, number: int) -> str | None:
        """Return the message of an id; None when it is none's."""
        known = _NAMES.get(number)
        if known in _FIXED:
            return known
        known = _NAMES.get(number - self.shift)
        return None if known in _FIXED else known

    def crc(self, message: Message) -> int:
        """Return the CRC of a message."""
        return message.crc ^ (0xFFFFFFFF if message.name in self.other_crcs else 0)

    def table(self) -> list[tuple[int, str]]:
        """Return id and `name_crc` of all messages, which a client gets when it connects."""
        return [(self.number(n), f"{n}_{self.crc(m):08x}") for n, m in MESSAGES.items()]


_NAMES = {number: name for name, number in MESSAGE_IDS.items()}

"""What the fields of messages are, for those who write and read them without VPP's definitions."""

from collections.abc import Mapping

Value = int | bytes
Fields = Mapping[str, Value]
"""Values of a message by path: integers, booleans as 0 and 1, byte strings for what is longer."""

"""Which machine this is, as containers on it see it too."""

from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Random, new each time that a machine starts."""


def boot_id() -> str:
    """Return what no other machine has, nor this one after its next start; empty if unknown."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""

"""Durations as the Gateway API writes them."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?(?:(\d{1,5})ms)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration as the Gateway API writes it (GEP-2257): `1h30m`, `1s500ms`, `200ms`.

    ValueError when it is anything else. Never negative, never fractional.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"not a duration such as 200ms, 1s or 1m30s: {text!r}")
    hours, minutes, seconds, millis = (int(group or 0) for group in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)

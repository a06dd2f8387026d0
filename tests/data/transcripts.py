"""Recorded conversations with a real VPP: where they are, and how an answer compares to one.

A transcript is a file of JSON lines: first which VPP it was, then `request`, `args` and `reply`
(a list of details where the request is a dump), each file from a freshly started VPP.
"""

import ipaddress
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).parents[2]

TRANSCRIPTS = Path(
    os.environ.get("VPPLB_TEST_TRANSCRIPTS", _REPOSITORY / "../shared/vpp/transcripts")
)
DEFINITIONS = Path(os.environ.get("VPPLB_TEST_API_DEFINITIONS", _REPOSITORY / "../shared/vpp/api"))

_NOT_COMPARED = {
    "show_version": {"version", "build_date", "build_directory"},
    "control_ping": {"client_index", "vpe_pid"},
    "lb_as_dump": {"in_use_since"},
    "lb_as_v2_dump": {"in_use_since"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request, its arguments as keywords for a client, and what VPP answered."""

    request: str
    args: dict[str, Any]
    reply: Any


def require(folder: Path) -> Path:
    """Return the folder of recorded data; without it skip, which fails where CI is set."""
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}")
    return folder


def names() -> list[str]:
    """Return the names of the transcripts there are."""
    return sorted(path.stem for path in TRANSCRIPTS.glob("*.jsonl"))


def read(name: str) -> Iterator[Exchange]:
    """Read a transcript."""
    lines = (require(TRANSCRIPTS) / f"{name}.jsonl").read_text().splitlines()
    for line in lines[1:]:
        yield Exchange(**json.loads(line))


def plain(value: Any) -> Any:
    """Return a client's answer as transcripts write it: enums by name, addresses as text."""
    match value:
        case Enum():
            return value.name
        case bool() | int() | str() | None:
            return value
        case ipaddress.IPv4Address() | ipaddress.IPv6Address():
            return str(value)
        case ipaddress.IPv4Network() | ipaddress.IPv6Network():
            return str(value)
        case list():
            return [plain(element) for element in value]
        case _ if hasattr(value, "_asdict"):
            fields = value._asdict()
            return {k: plain(v) for k, v in fields.items() if k not in ("_0", "context")}
        case _:
            return str(value)


def comparable(request: str, reply: Any) -> Any:
    """Return a recorded or plain reply without what differs from one VPP to the next."""
    if isinstance(reply, list):
        return [comparable(request, element) for element in reply]
    fields = {k: v for k, v in reply.items() if k not in _NOT_COMPARED.get(request, ())}
    if request == "cli_inband":
        text = re.sub(r"dpo:\d+", "dpo:N", fields["reply"])
        fields["reply"] = re.sub(r"^vpp v.*\n", "vpp v\n", text)
    return fields

"""The flag `--control-socket`; apart from the other options, which `vpplb ctl` need not import."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

CONTROL_SOCKET: Mapping[str, Any] = {
    "default": "/run/vpplb/control.sock",
    "callback": lambda _ctx, _param, value: Path(value) if value else None,
    "type": click.Path(dir_okay=False),
}
"""What the flag is to who serves the control socket, and to who asks there."""

"""Connections of ours that VPP still has though nobody is at their other end.

VPP quirk: clients that hang up. At sixteen of them it stops: no packet is forwarded, nobody is
answered, and only a restart helps.
"""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

ALARMING = 8
"""As many that whoever runs the router has to act: half of what stops VPP."""


class StaleClients:
    """Says how many there are: in the log when there are more, in `trouble` from ALARMING on.

    `tell` is given each count. A second agent of this VPP counts among them, as does whoever
    looks at it in that moment (`vpplb plan`).
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self.count = 0

    def on_count(self, count: int) -> None:
        """Note how many connections of vpplb VPP has beside this one."""
        if count > self.count:
            log.log(
                logging.ERROR if count >= ALARMING else logging.WARNING,
                "VPP %s",
                _describe_count(count),
            )
        self.count = count
        self._tell(count)

    @property
    def alarm_text(self) -> str:
        """The sentence for `/readyz`; empty while the count is below ALARMING."""
        return f"VPP {_describe_count(self.count)}" if self.count >= ALARMING else ""


def _describe_count(count: int) -> str:
    return (
        f"has {count} more connections of vpplb than this one: what agents left behind that were "
        "killed, or a second agent. At 16 that were left behind it stops forwarding; restart it "
        "in time"
    )

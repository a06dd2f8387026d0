"""What people did from the dashboard, told: a line of the log, and an event of the stream."""

import logging

from vpplb.acting.ports import ActionRecord
from vpplb.model.printable import make_printable
from vpplb.telemetry.event_stream import EventStream

log = logging.getLogger(__name__)


class ActionLog:
    """Tells of actions, those that were refused too."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    def record_action(self, record: ActionRecord) -> None:
        log.warning(
            "Backend %s: %s by %s from the dashboard: %s%s",
            record.backend, record.action, make_printable(record.by),
            "" if record.done else "NOT DONE: ", make_printable(record.said),
        )  # fmt: skip
        self._stream.publish(
            "action",
            {
                "action": record.action,
                "backend": str(record.backend),
                "frontend": str(record.frontend or ""),
                "by": record.by,
                "at": record.at.isoformat(),
                "done": record.done,
                "said": record.said,
            },
        )

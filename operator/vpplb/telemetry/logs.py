"""Logs: one line a record, for people on a terminal, for the journal, or as JSON for machines.

Everything of the process goes through here, kopf's own loggers too (they are kept to warnings:
at INFO kopf tells of every handler that ran). What others have written into a line is escaped.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from vpplb.model.printable import make_printable

LogFormat = Literal["console", "journal", "json"]

_LEVELS = {
    **dict.fromkeys(("kopf", "asyncio", "aiohttp", "kubernetes", "urllib3"), logging.WARNING),
    # These tell each attempt of a request as an error, and what ends a watch with long tracebacks.
    # `ObjectWatch` says when that lasts, and what ended it.
    **dict.fromkeys(
        (
            "kopf._core.reactor.running",
            "kopf._core.reactor.orchestration",
            "kopf._core.reactor.observation",
            "kopf._cogs.clients.watching",
        ),
        logging.CRITICAL,
    ),
}
"""What is shown at least of the loggers of others, by their names."""
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (20, 6), (0, 7))
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def configure_logs(
    level: str = "info", format: LogFormat | None = None, stream: TextIO | None = None
) -> None:
    """Send all logs of the process to `stream` (default: standard error), replacing what was.

    `level` is the least severe level shown. Without a format: console on a terminal, else json.
    """
    out = sys.stderr if stream is None else stream
    chosen = format or ("console" if out.isatty() else "json")
    handler = logging.StreamHandler(out)
    handler.setFormatter(_make_formatter(chosen, colour=out.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(root.level, least))
    logging.captureWarnings(True)


def _make_formatter(format: LogFormat, *, colour: bool) -> logging.Formatter:
    match format:
        case "console":
            return ConsoleFormatter(colour=colour)
        case "journal":
            return JournalFormatter()
        case "json":
            return JsonFormatter()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339, UTC, milliseconds), `level`, `logger`, `message`.

    What was logged with `extra` follows under its own names, an exception under `exception`.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _record_time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return make_printable(json.dumps(line, default=str, ensure_ascii=False))


class ConsoleFormatter(logging.Formatter):
    """`12:00:00.123 WARNING vpp.client: VPP is gone  socket=/run/vpp/api.sock`, local time."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:7}"
        if self._colour and record.levelname in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelname]}m{level}\x1b[0m"
        time = _record_time(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        return f"{time} {level} {self.describe_record(record)}"

    def describe_record(self, record: logging.LogRecord) -> str:
        """Say all but when and how severe; an exception in further lines."""
        fields = make_printable(
            "".join(f"  {name}={value}" for name, value in _extra_fields(record).items())
        )
        name = record.name.removeprefix("vpplb.")
        line = f"{name}: {make_printable(record.getMessage())}{fields}"
        if record.exc_info:
            line += "\n" + make_printable(self.formatException(record.exc_info), keep="\n")
        return line


class JournalFormatter(ConsoleFormatter):
    """`<4>vpp.client: VPP is gone`: each line begins with its priority (sd-daemon(3)).

    The journal has the time, and shows by the priority (`journalctl -p warning`).
    """

    def __init__(self) -> None:
        super().__init__(colour=False)

    def format(self, record: logging.LogRecord) -> str:
        priority = next(value for level, value in _PRIORITIES if record.levelno >= level)
        lines = self.describe_record(record).split("\n")
        return "\n".join(f"<{priority}>{line}" for line in lines)


def _record_time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extra_fields(record: logging.LogRecord) -> dict[str, object]:
    """What was logged with `extra`; of kopf's, only the object that it is about."""
    fields = {
        name: value
        for name, value in record.__dict__.items()
        if name not in _OWN and not name.startswith(("k8s_", "settings"))
    }
    about = record.__dict__.get("k8s_ref")
    if isinstance(about, dict):
        where = "/".join(part for part in (about.get("namespace"), about.get("name")) if part)
        fields["object"] = f"{about.get('kind')} {where}"
    return fields

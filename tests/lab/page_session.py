"""A shell in which a page's commands are run one after the other, as a reader would type them.

What differs from one run to the next (times, ages, process ids, hashes) is the same for the
comparison, and so is the width of columns. A line `…` of a page stands for any lines, and `…`
within a line for anything there.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from data.pages import CodeBlock, CommandStep

END = "END-OF-COMMAND"
"""What the shell says behind each command's output, with its exit status."""
PATIENCE = 60.0
"""Seconds that a command may take."""

_VARIES = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"\b\d+[dhms](\d+[hms])*\b", "AGE"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "DURATION"),
    (r"\bpid \d+", "PID"),
    (r"^\[\d+\] \d+$", "JOB"),
    (r"\b[0-9a-f]{12}\b", "HASH"),
    (r"_[0-9a-f]{4}\b", "_SUFFIX"),
)


class PageSession:
    """A bash in an empty folder. `swaps` are texts of pages that are others here, such as ports."""

    def __init__(self, folder: Path, env: Mapping[str, str], swaps: Mapping[str, str]) -> None:
        self._folder, self._swaps = folder, swaps
        self._shell = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", "--norc", "--noprofile"],
            cwd=folder,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the shell and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        for stream in (self._shell.stdin, self._shell.stdout):
            if stream is not None:
                stream.close()

    def follow_block(self, block: CodeBlock) -> None:
        """Do what a block tells: write its file, or run its commands, comparing what they print."""
        if block.file_name:
            (self._folder / block.file_name).write_text(self.swap(block.text))
        elif block.language in ("console", "sh"):
            for step in block.list_steps():
                self._follow_step(block, step)

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; return its exit status and what it printed, on both streams."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{self.swap(command)}\necho {END} $?\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        hanging = threading.Timer(PATIENCE, self.close)
        hanging.start()
        try:
            for line in self._shell.stdout:
                if END in line:
                    before, _, status = line.rpartition(END)
                    return int(status), "".join([*lines, before])
                lines.append(line)
        finally:
            hanging.cancel()
        raise AssertionError(f"no end in {PATIENCE:.0f} s: {command}\n{''.join(lines)}")

    def _follow_step(self, block: CodeBlock, step: CommandStep) -> None:
        status, printed = self.run(step.command)
        said = f"{block}: {step.command}\n{printed}"
        if block.language == "sh":
            assert status == 0, said
            return
        expected = [self.swap(line) for line in step.output]
        assert matches(expected, printed.splitlines()), f"{said}\nexpected:\n" + "\n".join(expected)

    def swap(self, text: str) -> str:
        """Return a text of a page with what is another here."""
        for before, after in self._swaps.items():
            text = text.replace(before, after)
        return text


def matches(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Return whether lines are as a page has them, but for what varies."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else f"{_as_pattern(line)}\n"
        for line in _without_blanks(expected)
    )
    text = "".join(f"{_level(line)}\n" for line in _without_blanks(printed))
    return re.fullmatch(pattern, text) is not None


def _without_blanks(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def _as_pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in _level(line).split("…"))


def _level(line: str) -> str:
    """Return a line without what varies, and with one space where there are several."""
    for pattern, name in _VARIES:
        line = re.sub(pattern, name, line)
    return " ".join(line.split())

"""What is wrong with manifests, said with file, line and field."""

from collections.abc import Iterable
from dataclasses import dataclass


class BadManifests(Exception):
    """The manifests are wrong; `findings` say what and where, a line each."""

    def __init__(self, findings: Iterable[object]) -> None:
        self.findings = [str(one) for one in findings]
        super().__init__("\n".join(self.findings))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFinding:
    """Something to tell about a line of a file; `subject` is the object (`Kind namespace/name`)."""

    file: str
    line: int
    message: str
    subject: str = ""
    field: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.subject, self.field, self.message) if part)

"""Configurations of other load balancers as tests write them, and what became of them."""

from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from vpplb.migration.drafts import ImportedSet, ImportFinding


@dataclass(frozen=True, slots=True)
class ImportView:
    """An import in few words: specs by kind and name, what is lost and noted by its line."""

    imported: ImportedSet

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        return next(
            dict(one.spec) for one in self.imported.drafts if (one.kind, one.name) == (kind, name)
        )

    def names(self, kind: str) -> list[str]:
        return [one.name for one in self.imported.drafts if one.kind == kind]

    @property
    def lost(self) -> list[str]:
        """Findings of what is lost, as `line: subject: why`, by line."""
        return self._findings(lost=True)

    @property
    def notes(self) -> list[str]:
        return self._findings(lost=False)

    def _findings(self, *, lost: bool) -> list[str]:
        found = [one for one in self.imported.findings if one.lost is lost]
        return [_text(one) for one in sorted(found, key=lambda one: one.line)]


def _text(finding: ImportFinding) -> str:
    return f"{finding.line}: {finding.subject}: {finding.message}"


def config(text: str) -> str:
    """Return a configuration as it would stand in a file, its first line being line 1."""
    return dedent(text).removeprefix("\n")

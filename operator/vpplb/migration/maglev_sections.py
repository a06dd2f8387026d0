"""Sections of a maglev.yaml, read key by key: whatever nobody asks for is a finding."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from vpplb.files.yaml_documents import UnparseableYaml, YamlDocument, parse_documents
from vpplb.migration.drafts import ImportedSet, UnparseableConfig
from vpplb.resources.base import Loc
from vpplb.resources.messages import spell_path


class ConfigMapping:
    """A mapping of a document at `loc`; a value that is none is a finding, and empty."""

    def __init__(self, document: YamlDocument, loc: Loc, value: object, into: ImportedSet) -> None:
        self._document, self._loc, self._imported = document, loc, into
        self._asked: set[str] = set()
        self._values: Mapping[str, object] = {}
        if isinstance(value, Mapping):
            self._values = value
        elif value is not None:
            into.add_loss(self.line, self.path, "must be a mapping")

    @property
    def path(self) -> str:
        """The path without the `maglev` that everything is below."""
        return spell_path(self._loc[1:])

    @property
    def line(self) -> int:
        return self._document.line_of(spell_path(self._loc))

    def line_of(self, key: str) -> int:
        """The line of a key, or of the mapping where it is absent."""
        return self._document.line_of(spell_path((*self._loc, key)))

    def path_of(self, key: str) -> str:
        return spell_path((*self._loc[1:], key))

    def take_value(self, key: str) -> object:
        """Return the value of a key, None where it is absent or null."""
        self._asked.add(key)
        return self._values.get(key)

    def take_mapping(self, key: str) -> "ConfigMapping":
        return ConfigMapping(
            self._document, (*self._loc, key), self.take_value(key), self._imported
        )

    def take_list(self, key: str) -> "list[ConfigMapping]":
        """Return the mappings of a list; what is none is a finding."""
        value = self.take_value(key)
        if value is not None and not isinstance(value, list):
            self._imported.add_loss(self.line_of(key), self.path_of(key), "must be a list")
        entries = value if isinstance(value, list) else []
        return [
            ConfigMapping(self._document, (*self._loc, key, n), entry, self._imported)
            for n, entry in enumerate(entries)
        ]

    def iter_named(self) -> "Iterator[tuple[str, ConfigMapping]]":
        """Give the mappings in this one by their names."""
        for name in self._values:
            yield name, self.take_mapping(name)

    def finish(self) -> None:
        """Say which keys nobody has asked for."""
        for key in self._values:
            if key not in self._asked:
                close = get_close_matches(key, self._asked, n=1)
                said = "is not known" + (f"; did you mean {close[0]}?" if close else "")
                self._imported.add_loss(self.line_of(key), self.path_of(key), said)


def read_document(text: str, into: ImportedSet) -> ConfigMapping:
    """Read the mapping below `maglev:`; UnparseableConfig where there is none."""
    try:
        document = next(parse_documents(text), None)
    except UnparseableYaml as error:
        raise UnparseableConfig(error.line, f"is not YAML: {error.message}") from error
    value = document.value if document is not None else None
    if document is None or not isinstance(value, Mapping) or "maglev" not in value:
        raise UnparseableConfig(1, "there is no maglev: at the top")
    for fault in document.faults:
        into.add_loss(fault.line, fault.field.removeprefix("maglev."), fault.message)
    for key in value:
        if key != "maglev":
            into.add_loss(document.line_of(key), key, "is not known")
    return ConfigMapping(document, ("maglev",), value["maglev"], into)

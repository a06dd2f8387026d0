"""Which configuration a text is."""

import pytest

from vpplb.migration.drafts import UnparseableConfig
from vpplb.migration.formats import ConfigFormat, detect_format, import_config


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# mine\nmaglev:\n  backends: {}\n", ConfigFormat.MAGLEV),
        ('{"maglev": {}}', None),
        ("! mine\nvirtual_server 192.0.2.1 80 {\n}\n", ConfigFormat.KEEPALIVED),
        ("global_defs {\n}\n", ConfigFormat.KEEPALIVED),
        ("global\n  daemon\ndefaults\n", ConfigFormat.HAPROXY),
        ("listen web\n  bind :80\n", ConfigFormat.HAPROXY),
        ("", None),
        ("upstream web { server 10.0.0.1; }\n", None),
    ],
)
def test_a_configuration_is_known_by_its_keywords(text: str, found: ConfigFormat | None) -> None:
    if found is not None:
        assert detect_format(text) is found
        return
    with pytest.raises(UnparseableConfig, match="--format"):
        detect_format(text)


def test_what_is_said_beats_what_it_looks_like() -> None:
    imported = import_config('{"maglev": {}}', ConfigFormat.MAGLEV, "node", ())
    assert [one.name for one in imported.drafts] == ["node"]
    with pytest.raises(UnparseableConfig):
        import_config("maglev:\n", ConfigFormat.HAPROXY, "node", ())

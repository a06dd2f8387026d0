"""All verbs, a line each."""

from vpplb.cli.verbs.catalog import LINES


def test_each_verb_has_a_line_that_ends_as_a_sentence() -> None:
    assert [line for line in LINES.values() if not line.endswith(".")] == []

"""Words and sections of a haproxy.cfg."""

import pytest

from vpplb.migration.drafts import UnparseableConfig
from vpplb.migration.haproxy_lines import parse_sections, split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  server a\t10.0.0.1:80 # comment", ("server", "a", "10.0.0.1:80")),
        ("", ()),
        ("# only a comment", ()),
        (r"a\ b c", ("a b", "c")),
        ('say "a b" c', ("say", "a b", "c")),
        ("say 'a \"b' c", ("say", 'a "b', "c")),
        (r'say "a\"b"', ("say", 'a"b')),
        ('joined"a b"c', ("joineda bc",)),
        ('empty ""', ("empty", "")),
        (r"a\#b", ("a#b",)),
        ("a#b", ("a",)),
        (r"x\r\ny", ("x\r\ny",)),
    ],
)
def test_a_line_is_split_into_words(line: str, words: tuple[str, ...]) -> None:
    assert split_words(line, 1) == words


@pytest.mark.parametrize("line", ['say "a', "say 'a", "ends with \\"])
def test_a_line_that_ends_within_a_quote_or_an_escape_is_refused(line: str) -> None:
    with pytest.raises(UnparseableConfig) as caught:
        split_words(line, 7)
    assert caught.value.line == 7


def test_sections_have_their_lines_with_numbers() -> None:
    sections = parse_sections(
        "global\n\n  maxconn 1\ndefaults base\nlisten web from base\n bind :1"
    )
    assert [(one.kind, one.name, one.line) for one in sections] == [
        ("global", "", 1),
        ("defaults", "base", 4),
        ("listen", "web", 5),
    ]
    assert [(line.number, line.words) for line in sections[0].lines] == [(3, ("maxconn", "1"))]


def test_a_line_before_all_sections_is_refused() -> None:
    with pytest.raises(UnparseableConfig, match="bind stands in no section"):
        parse_sections("bind :80\n")

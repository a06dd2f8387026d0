"""Statements and blocks of a keepalived.conf."""

import pytest

from vpplb.migration.drafts import UnparseableConfig
from vpplb.migration.keepalived_blocks import ConfigStatement, parse_blocks


def shape(statements: list[ConfigStatement]) -> list[object]:
    """Return statements as (line, words, block)."""
    return [(one.line, one.words, shape(one.block)) for one in statements]


def test_statements_have_words_lines_and_blocks() -> None:
    statements, unread = parse_blocks("a b {\n  c 1 # comment\n  d { e }\n}\nf ! comment\n")
    assert shape(statements) == [
        (1, ("a", "b"), [(2, ("c", "1"), []), (3, ("d",), [(3, ("e",), [])])]),
        (5, ("f",), []),
    ]
    assert unread == []


def test_a_block_may_begin_on_the_next_line() -> None:
    assert shape(parse_blocks("a\n{\n b\n}\n")[0]) == [(1, ("a",), [(3, ("b",), [])])]


def test_a_quoted_text_is_one_word_whatever_is_in_it() -> None:
    assert shape(parse_blocks('script "/bin/x --a #1 { !" b')[0]) == [
        (1, ("script", "/bin/x --a #1 { !", "b"), [])
    ]


def test_definitions_are_put_in_where_they_are_used() -> None:
    text = "$NET=10.${SUB}\n$SUB=0.0\nreal ${NET}.1 $SUB $UNKNOWN\n$SUB=9.9\nreal ${NET}.1"
    assert [one.words for one in parse_blocks(text)[0]] == [
        ("real", "10.0.0.1", "0.0", "$UNKNOWN"),
        ("real", "10.9.9.1"),
    ]


def test_a_definition_of_itself_ends() -> None:
    statements, _ = parse_blocks("$A=x${A}\nsay ${A}")
    assert statements[0].words[1].endswith("${A}")


def test_what_is_not_looked_at_is_told_with_its_line() -> None:
    _, unread = parse_blocks("@main a\n~SEQ(X,1,3) b\ninclude c\n$D= \\\nincludes d\n")
    assert [one.line for one in unread] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a {\n b {\n }\n", 1, "the block that begins here does not end"),
        ("a\n}\n", 2, "} closes no block"),
        ("{\n}", 1, "{ opens a block of nothing"),
        ('a\nb "c', 2, "cannot be split into words"),
        ("a {\n" * 20, 17, "too deeply nested"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(UnparseableConfig) as caught:
        parse_blocks(text)
    assert (caught.value.line, caught.value.message.startswith(says)) == (line, True)

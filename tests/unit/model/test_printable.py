"""Text from outside cannot move a cursor, forge a line or turn a sentence round."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpplb.model.printable import make_printable

HOSTILE = {
    "an escape code": ("\x1b[2J", r"\u001b[2J"),
    "a line break": ("up\nFrontend a/b: forged", r"up\nFrontend a/b: forged"),
    "a carriage return": ("down\rup  ", r"down\rup  "),
    "a C1 control": ("\x9b31m", r"\u009b31m"),
    "DEL": ("\x7f", r"\u007f"),
    "NUL": ("\0", r"\u0000"),
    "a mark of direction": ("\u202egnp.exe", r"\u202egnp.exe"),
    "an isolate": ("\u2066a\u2069", r"\u2066a\u2069"),
    "a line separator": ("a\u2028b", r"a\u2028b"),
    "a lone surrogate": ("\ud800", r"\ud800"),
    "a tag beyond 16 bits": ("\U000e0041", r"\udb40\udc41"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_printed_is_shown_as_json_writes_it(text: str, shown: str) -> None:
    assert make_printable(text) == shown


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 世界 – 3 × ½", "back\\slash \\u001b"])
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    assert make_printable(text) == text


def test_line_breaks_stay_where_they_are_our_own() -> None:
    assert make_printable("a\nb\x1b", keep="\n") == "a\nb\\u001b"


@given(st.text(st.characters(codec=None)))
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    shown = make_printable(text)
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in shown)


@given(st.dictionaries(st.text(), st.text(st.characters(codec=None))))
def test_a_json_text_means_the_same_afterwards(content: dict[str, str]) -> None:
    text = json.dumps(content, ensure_ascii=False)
    assert json.loads(make_printable(text)) == content

import pytest

from vpplb.probers.body_regexp import BodyRegexp, UnusableRegexp


def test_an_expression_that_re2_does_not_take_says_why() -> None:
    with pytest.raises(UnusableRegexp, match=r"responseRegexp: .*missing \)"):
        BodyRegexp("(")


@pytest.mark.parametrize(
    ("pattern", "body", "found"),
    [
        ("grün", "\xff\xfe gr\xc3\xbcn", True),
        ("grün", "\xff\xfe", False),
        ("tat du .*OK", "\xe9tat du syst\xe8me: OK", True),
        ("<p>[^<]*OK", "<p>\xe9tat OK", True),
        ("MAGIC...READY", "MAGIC\xff\xfe\x80READY", True),
        ("^.$", "\xc3\xa9", True),  # one letter in UTF-8 …
        ("^..$", "\xc3\xa9", False),  # … and not two bytes
        ("\u20ac", "\xff", False),
    ],
)
def test_text_is_searched_by_letters_and_what_is_none_by_bytes(
    pattern: str, body: str, found: bool
) -> None:
    assert BodyRegexp(pattern).found_in(body.encode("latin-1"), whole=True) is found


def test_a_letter_cut_off_at_the_end_makes_bytes_of_a_text_only_when_nothing_follows() -> None:
    assert not BodyRegexp("caf.").found_in(b"caf\xc3", whole=False)
    assert BodyRegexp("caf.").found_in(b"caf\xc3", whole=True)


@pytest.mark.parametrize(
    ("pattern", "lasting"),
    [
        ("ok", True),
        ("^ok", True),
        (r"a\$", True),
        ("ok$", False),
        (r"ok\b", False),
        (r"\\$", False),
    ],
)
def test_what_looks_at_the_end_of_the_text_does_not_last(pattern: str, lasting: bool) -> None:
    assert BodyRegexp(pattern).lasting is lasting


def test_no_expression_takes_exponential_time() -> None:
    assert not BodyRegexp("(a*)*b").found_in(b"a" * 65536, whole=True)

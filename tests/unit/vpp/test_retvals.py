from vpplb.vpp.retvals import in_words


def test_success_needs_no_words() -> None:
    assert in_words(0) == ""


def test_a_known_number_is_said_in_words_and_kept() -> None:
    assert in_words(-6) == "no such entry (-6)"
    assert in_words(-70) == "not a power of two (-70)"


def test_an_unknown_number_is_at_least_named() -> None:
    assert in_words(-4711) == "refused by VPP (-4711)"

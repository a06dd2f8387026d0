from vpplb.kube.kinds import BACKEND
from vpplb.kube.known import KnownStatuses, Seen
from vpplb.model.names import ObjectKey

KEY = ObjectKey("default", "b")


def test_the_newest_version_wins_whatever_order_they_come_in() -> None:
    known = KnownStatuses()
    known.saw(BACKEND, KEY, Seen(1000, "u", {"state": "down"}))
    known.saw(BACKEND, KEY, Seen(999, "u", {"state": "up"}))
    assert known.get(BACKEND, KEY) == Seen(1000, "u", {"state": "down"})


def test_of_one_version_the_later_word_counts() -> None:
    known = KnownStatuses()
    known.saw(BACKEND, KEY, Seen(7, "u", {"state": "down", "extra": 1}))
    known.saw(BACKEND, KEY, Seen(7, "u", {"state": "down"}))
    assert known.get(BACKEND, KEY) == Seen(7, "u", {"state": "down"})


def test_a_forgotten_object_is_not_known() -> None:
    known = KnownStatuses()
    known.saw(BACKEND, KEY, Seen(7, "u", {"state": "down"}))
    known.forget(BACKEND, KEY)
    assert known.get(BACKEND, KEY) is None

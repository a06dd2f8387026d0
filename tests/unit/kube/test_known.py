from vpplb.kube.known import KnownStatuses, Seen
from vpplb.model.names import ObjectKey, ObjectKind

KEY = ObjectKey("default", "b")


def test_the_newest_version_wins_whatever_order_they_come_in() -> None:
    known = KnownStatuses()
    known.saw(ObjectKind.BACKEND, KEY, Seen(1000, "u", {"state": "down"}))
    known.saw(ObjectKind.BACKEND, KEY, Seen(999, "u", {"state": "up"}))
    assert known.get(ObjectKind.BACKEND, KEY) == Seen(1000, "u", {"state": "down"})


def test_of_one_version_the_later_word_counts() -> None:
    known = KnownStatuses()
    known.saw(ObjectKind.BACKEND, KEY, Seen(7, "u", {"state": "down", "extra": 1}))
    known.saw(ObjectKind.BACKEND, KEY, Seen(7, "u", {"state": "down"}))
    assert known.get(ObjectKind.BACKEND, KEY) == Seen(7, "u", {"state": "down"})


def test_a_forgotten_object_is_not_known() -> None:
    known = KnownStatuses()
    known.saw(ObjectKind.BACKEND, KEY, Seen(7, "u", {"state": "down"}))
    known.forget(ObjectKind.BACKEND, KEY)
    assert known.get(ObjectKind.BACKEND, KEY) is None


def test_a_status_that_changes_without_a_write_of_ours_is_told() -> None:
    known = KnownStatuses()
    assert not known.saw(ObjectKind.BACKEND, KEY, Seen(7, "u", {"state": "up"}))
    assert not known.saw(ObjectKind.BACKEND, KEY, Seen(8, "u", {"state": "up"}))
    assert known.saw(ObjectKind.BACKEND, KEY, Seen(9, "u", {"state": "down"}))
    assert not known.saw(ObjectKind.BACKEND, KEY, Seen(8, "u", {"state": "up"}))
    assert not known.saw(ObjectKind.BACKEND, KEY, Seen(10, "another", {"state": "up"}))


def test_what_the_server_made_of_a_write_stands_for_it() -> None:
    known, wrote = KnownStatuses(), {"state": "up", "held": True}
    known.saw(ObjectKind.BACKEND, KEY, Seen(7, "u", {"state": "up"}, wrote))
    known.saw(ObjectKind.BACKEND, KEY, Seen(8, "u", {"state": "up"}))
    seen = known.get(ObjectKind.BACKEND, KEY)
    assert seen is not None
    assert seen.shows(wrote)
    known.saw(ObjectKind.BACKEND, KEY, Seen(9, "u", {"state": "down"}))
    seen = known.get(ObjectKind.BACKEND, KEY)
    assert seen is not None
    assert not seen.shows(wrote)


def test_when_the_server_counts_anew_the_next_that_it_shows_is_the_newest() -> None:
    known = KnownStatuses()
    known.saw(ObjectKind.BACKEND, KEY, Seen(1000, "u", {"state": "up"}))
    known.rewound()
    assert known.saw(ObjectKind.BACKEND, KEY, Seen(10, "u", {"state": "down"}))
    assert known.get(ObjectKind.BACKEND, KEY) == Seen(10, "u", {"state": "down"})

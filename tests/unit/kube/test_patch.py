from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fake_apiserver import apply_merge_patch
from vpplb.kube.patch import merge_patch

scalars = st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=12,
)
statuses = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@pytest.mark.slow
@given(old=statuses, new=statuses)
def test_applying_the_patch_to_the_old_status_gives_the_new_one(
    old: Mapping[str, object], new: Mapping[str, object]
) -> None:
    assert apply_merge_patch(old, merge_patch(old, new)) == new


@pytest.mark.slow
@given(status=statuses)
def test_the_patch_between_equal_statuses_is_empty(status: Mapping[str, object]) -> None:
    assert merge_patch(status, status) == {}


@pytest.mark.slow
@given(old=statuses, new=statuses)
def test_a_key_that_did_not_change_is_not_in_the_patch(
    old: Mapping[str, object], new: Mapping[str, object]
) -> None:
    same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
    assert not same & merge_patch(old, new).keys()


def test_only_what_differs_is_sent_and_what_vanished_becomes_null() -> None:
    old = {"state": "up", "code": "L7OK", "vpp": {"pid": 1, "version": "26.10", "since": "then"}}
    new = {"state": "down", "code": "L7OK", "vpp": {"pid": 2, "version": "26.10"}}
    assert merge_patch(old, new) == {"state": "down", "vpp": {"pid": 2, "since": None}}


def test_none_in_the_new_status_counts_as_absent() -> None:
    assert merge_patch({"a": 1}, {"a": None, "b": None}) == {"a": None}


def test_lists_are_replaced_whole() -> None:
    assert merge_patch({"l": [1, 2, 3]}, {"l": [1, 2]}) == {"l": [1, 2]}

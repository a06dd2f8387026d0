import pytest

from vpplb.model.names import ObjectKey
from vpplb.telemetry.object_queries import ObjectQuery, UnknownQuery, format_key

KEYS = [ObjectKey("bank", "a"), ObjectKey("shop", "a"), ObjectKey("shop", "b")]
OBJECT = {
    "metadata": {"name": "web", "labels": {}},
    "status": {"state": "up", "backends": [{"name": "a", "weight": 1}, {"name": "b"}]},
}


def test_without_a_question_all_of_all_is_meant() -> None:
    query = ObjectQuery.parse({})
    assert query.select_page(KEYS) == (KEYS, False)
    assert query.select_fields(OBJECT) == OBJECT


def test_pages_go_on_behind_the_name_where_the_one_before_ended() -> None:
    seen, page = list[ObjectKey](), {"limit": "2"}
    while True:
        keys, more = ObjectQuery.parse(page).select_page(KEYS)
        seen += keys
        if not more:
            break
        page["continue"] = format_key(keys[-1])
    assert seen == KEYS


def test_a_page_whose_beginning_is_gone_goes_on_all_the_same() -> None:
    query = ObjectQuery.parse({"continue": "shop/aa"})
    assert query.select_page(KEYS) == ([KEYS[2]], False)


def test_nodes_are_continued_by_their_names() -> None:
    nodes = [ObjectKey("", "n1"), ObjectKey("", "n2")]
    assert format_key(nodes[0]) == "n1"
    assert ObjectQuery.parse({"continue": "n1"}).select_page(nodes) == ([nodes[1]], False)


def test_a_namespace_is_asked_for() -> None:
    query = ObjectQuery.parse({"namespace": "shop", "limit": "1"})
    assert query.select_page(KEYS) == ([KEYS[1]], True)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ("status.state", {"status": {"state": "up"}}),
        ("metadata,status.state", {"metadata": OBJECT["metadata"], "status": {"state": "up"}}),
        ("status.state,status", {"status": OBJECT["status"]}),
        ("status.backends.name", {"status": {"backends": [{"name": "a"}, {"name": "b"}]}}),
        ("status.backends.weight", {"status": {"backends": [{"weight": 1}, {}]}}),
        ("status.state.deeper", {"status": {"state": "up"}}),
        ("spec", {}),
    ],
)
def test_fields_are_given_as_paths_through_objects_and_lists(fields: str, shown: object) -> None:
    assert ObjectQuery.parse({"fields": fields}).select_fields(OBJECT) == shown


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limit": "0"}, "limit is not a number from 1: 0"),
        ({"limit": "-1"}, "limit is not a number from 1: -1"),
        ({"limit": "٣"}, "limit is not a number from 1: ٣"),
        ({"limit": "9" * 5000}, "limit is not a number"),
        ({"fields": ""}, "fields are not paths"),
        ({"fields": "a..b"}, "fields are not paths"),
        ({"fields": ",".join("a" * 65)}, "more than 64 fields"),
        ({"frontend": "web"}, "frontend is not namespace/name: web"),
        ({"continue": "a/b/c"}, "continue is not namespace/name: a/b/c"),
        ({"continue": ""}, "continue is not namespace/name"),
        ({"labelSelector": "a=b"}, "there is no parameter labelSelector; there are: namespace"),
    ],
)
def test_what_is_not_understood_is_said(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UnknownQuery, match=said):
        ObjectQuery.parse(asked)

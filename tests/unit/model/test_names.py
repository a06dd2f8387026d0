import pytest

from vpplb.model.names import ObjectKey


def test_a_key_is_written_and_read_as_namespace_and_name() -> None:
    assert str(ObjectKey("shop", "web")) == "shop/web"
    assert ObjectKey.parse_text("shop/web") == ObjectKey("shop", "web")


@pytest.mark.parametrize("text", ["", "web", "/web", "shop/", "shop/web/x", "/"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not of the form namespace/name"):
        ObjectKey.parse_text(text)


def test_keys_sort_by_namespace_then_name() -> None:
    keys = [ObjectKey("b", "b"), ObjectKey("b", "a"), ObjectKey("a", "z")]
    assert [str(key) for key in sorted(keys)] == ["a/z", "b/a", "b/b"]

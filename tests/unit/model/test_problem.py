import pytest

from data.objects import key
from vpplb.model.names import ObjectKind
from vpplb.model.problem import Problem


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("", "Backend default/a: is odd"),
        ("spec.address", "Backend default/a: spec.address: is odd"),
    ],
)
def test_a_problem_names_the_object_and_the_field_where_there_is_one(field: str, text: str) -> None:
    problem = Problem(
        kind=ObjectKind.BACKEND, key=key("a"), reason="Invalid", message="is odd", field=field
    )
    assert str(problem) == text

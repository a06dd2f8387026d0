"""What all kinds are made of."""

from vpplb.resources.base import SpecModel, StatusModel, build_models
from vpplb.resources.crd import DEFINITIONS
from vpplb.resources.dataplane_codec import OrderedDataplane


def test_a_program_builds_the_models_that_it_uses_or_all_at_once() -> None:
    class Used(SpecModel):
        port: int

    class Unused(StatusModel):
        port: int

    assert not Used.__pydantic_complete__
    assert Used.model_validate({"port": 1}).port == 1
    assert (Used.__pydantic_complete__, Unused.__pydantic_complete__) == (True, False)
    build_models()
    assert Unused.__pydantic_complete__


def test_all_models_are_built_those_that_extend_others_too() -> None:
    build_models()
    models: list[type[SpecModel | StatusModel]] = [OrderedDataplane]
    models += [model for one in DEFINITIONS for model in (one.spec, one.status)]
    assert all(model.__pydantic_complete__ for model in models)

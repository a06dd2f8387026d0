"""What all kinds are made of."""

import subprocess
import sys

from vpplb.resources.base import SpecModel, StatusModel, build_models
from vpplb.resources.crd import DEFINITIONS
from vpplb.resources.dataplane_codec import OrderedDataplane

_LATE = """
from vpplb.resources.base import build_models
from vpplb.resources.frontend import FrontendSpec, FrontendStatus
print(FrontendSpec.__pydantic_complete__, FrontendStatus.__pydantic_complete__)
FrontendSpec.model_validate({"address": "192.0.2.1", "port": 80, "pools": [{"name": "main"}]})
print(FrontendSpec.__pydantic_complete__, FrontendStatus.__pydantic_complete__)
build_models()
print(FrontendSpec.__pydantic_complete__, FrontendStatus.__pydantic_complete__)
"""


def test_a_program_builds_the_models_that_it_uses_or_all_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LATE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["False False", "True False", "True True"]


def test_all_models_are_built_those_that_extend_others_too() -> None:
    build_models()
    models: list[type[SpecModel | StatusModel]] = [OrderedDataplane]
    models += [model for one in DEFINITIONS for model in (one.spec, one.status)]
    assert all(model.__pydantic_complete__ for model in models)

"""What types of fields are made of: how they are read, and their part of the CRDs' schemas."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Schema = dict[str, Any]
T = TypeVar("T")


def read_text(read: Callable[[str], T], value: object, says: str) -> T:
    """Read a text; ValueError with the sentence `says` for any other, and for what is no text."""
    if not isinstance(value, str):
        raise ValueError(says)
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(says) from error


def make_cel_rule(rule: str, message: str) -> Schema:
    """Return one entry of `x-kubernetes-validations`."""
    return {"rule": rule, "message": message}


def make_string_schema(max_length: int, *rules: Schema, **more: object) -> WithJsonSchema:
    """Give a field the schema of a string; a bound on its length keeps CEL within its budget."""
    schema: Schema = {"type": "string", "maxLength": max_length, **more}
    if rules:
        schema["x-kubernetes-validations"] = list(rules)
    return WithJsonSchema(schema)


class SchemaOf:
    """Give a field the schema of a model without having it validated or built as one."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        self._model.model_rebuild()
        return handler(self._model.__pydantic_core_schema__)


MAP_BY_NAME: Schema = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
"""Make a list a map: names are unique, and clients may patch single entries."""

"""What our CRDs let into the API server: fields pruned, defaults added, the rest refused.

Their rules in CEL are not looked at.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema

from vpplb.kube.api_types import JsonObject, api_error
from vpplb.model.names import ObjectKind
from vpplb.resources.crd import make_crds


class ApiSchemas:
    """The schemas of the CRDs as they are generated now."""

    def __init__(self) -> None:
        self._schemas: dict[ObjectKind, dict[str, Any]] = {}
        for crd in make_crds().values():
            [version] = crd["spec"]["versions"]
            kind = ObjectKind(crd["spec"]["names"]["kind"])
            self._schemas[kind] = version["schema"]["openAPIV3Schema"]

    def admit(self, kind: ObjectKind, raw: JsonObject) -> JsonObject:
        """Return an object as it is stored; ApiError 422 when its schema does not allow it."""
        if kind not in self._schemas:
            return raw
        schema = self._schemas[kind]
        shaped = {**_shaped(schema, raw), "metadata": raw["metadata"]}
        error = next(jsonschema.Draft7Validator(schema).iter_errors(shaped), None)
        if error is not None:
            at = ".".join(str(step) for step in error.absolute_path)
            raise api_error(422, "Invalid", f"{at}: {error.message}")
        return shaped


def _shaped(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value without what the schema does not know, with its defaults."""
    if isinstance(value, list):
        return [_shaped(schema.get("items", {}), one) for one in value]
    if not isinstance(value, dict):
        return value
    if "additionalProperties" in schema:
        inner = schema["additionalProperties"]
        return {n: _shaped(inner, it) if isinstance(inner, dict) else it for n, it in value.items()}
    if schema.get("x-kubernetes-preserve-unknown-fields") or "properties" not in schema:
        return value
    known = schema["properties"]
    given = {n: one["default"] for n, one in known.items() if "default" in one and n not in value}
    return {n: _shaped(known[n], it) for n, it in {**value, **given}.items() if n in known}

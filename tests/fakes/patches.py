"""The patches that the API server takes, as their RFCs define them."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from vpplb.kube.api_types import JsonObject, api_error


def apply_merge_patch(target: object, patch: object) -> object:
    """Apply a merge patch (RFC 7386, section 2); neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge_patch(result.get(name), value)
    return result


def apply_json_patch(target: JsonObject, operations: Sequence[Mapping[str, Any]]) -> JsonObject:
    """Apply `test` and `add` of RFC 6902, which is all that is sent; ApiError 422."""
    result = deepcopy(target)
    for operation in operations:
        *steps, last = operation["path"].lstrip("/").split("/")
        place: Any = result
        try:
            for step in steps:
                place = place[int(step) if isinstance(place, list) else step]
            found = place.get(last)
        except (IndexError, KeyError) as error:
            raise api_error(422, "Invalid", "the path does not exist") from error
        if operation["op"] == "test" and found != operation["value"]:
            raise api_error(422, "Invalid", "testing value failed")
        if operation["op"] == "add":
            place[last] = operation["value"]
    return result

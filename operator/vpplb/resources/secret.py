"""Secrets of Kubernetes, as far as headers take their values from them."""

import binascii
from base64 import b64decode
from collections.abc import Collection, Mapping
from functools import cache

from pydantic import TypeAdapter, ValidationError

from vpplb.model.objects import SecretValues
from vpplb.resources.text import HeaderValue


@cache
def _value_reader() -> TypeAdapter[str]:
    return TypeAdapter(HeaderValue)


def read_secret(raw: Mapping[str, object], keys: Collection[str] | None = None) -> SecretValues:
    """Read a Secret, of which only these `keys` are kept where they are given.

    `stringData`, which only files have, wins over `data`. White space around a value is dropped:
    most files that Secrets are made of end in a newline.
    """
    values: dict[str, str | None] = {}
    for name, decode in (("data", _decode_value), ("stringData", str)):
        found = raw.get(name)
        for key, value in found.items() if isinstance(found, Mapping) else ():
            if keys is None or key in keys:
                values[str(key)] = _header_value(decode(value))
    return SecretValues(values=values)


def _decode_value(value: object) -> str:
    """Decode base64 as Go does, over several lines too; what is not is no header's value."""
    try:
        plain = str(value).replace("\n", "").replace("\r", "")
        return b64decode(plain, validate=True).decode()
    except (binascii.Error, ValueError):
        return "\0"


def _header_value(text: str) -> str | None:
    try:
        return _value_reader().validate_python(text.strip())
    except ValidationError:
        return None

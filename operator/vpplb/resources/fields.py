"""Types of fields that are numbers, enumerations, durations and times.

Every check is made twice, here for files and in the schema for the API server, in the same
words. The sentence completes the field's path: `spec.port: must be …`.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
)

from vpplb.model.durations import parse_duration
from vpplb.model.vip import Encap, VipProtocol
from vpplb.resources.raw_fields import parse_time
from vpplb.resources.schema import Schema, make_cel_rule, make_string_schema, read_text

# --- numbers --------------------------------------------------------------------------------

Port = Annotated[int, Field(ge=1, le=65535)]
PortOrAll = Annotated[int, Field(ge=0, le=65535)]
MOST_WEIGHT = 100
"""The greatest weight that a server may have in VPP."""
Weight = Annotated[int, Field(ge=0, le=MOST_WEIGHT)]
Count = Annotated[int, Field(ge=0)]


def _validate_power(most: int) -> AfterValidator:
    def check(value: int) -> int:
        if value not in _list_powers(most):
            raise ValueError(_power_says(most))
        return value

    return AfterValidator(check)


def _power_schema(most: int) -> WithJsonSchema:
    rule = make_cel_rule(f"self in {_list_powers(most)}", _power_says(most))
    return WithJsonSchema({"type": "integer", "x-kubernetes-validations": [rule]})


def _list_powers(most: int) -> list[int]:
    return [1 << n for n in range(most.bit_length())]


def _power_says(most: int) -> str:
    return f"must be a power of two from 1 to {most}"


TableLength = Annotated[int, _validate_power(65536), _power_schema(65536)]
StickyBuckets = Annotated[int, _validate_power(1 << 24), _power_schema(1 << 24)]

# --- enumerations: strict would ask for members of the enumeration, which JSON has not ------

EncapName = Annotated[Encap, Strict(False)]
ProtocolName = Annotated[VipProtocol, Strict(False)]

# --- durations and times --------------------------------------------------------------------

_DURATION_SAYS = "must be a duration such as 200ms, 1s or 1m30s"
_DURATION = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"
_IS_DURATION = f"self != '' && self.matches(r'{_DURATION}')"
_WHOLE_SAYS = "must be whole seconds"


def format_duration(value: timedelta) -> str:
    """Write a duration as GEP-2257 has it, in whole milliseconds: `1m30s`, `200ms`, `0s`."""
    millis = value // timedelta(milliseconds=1)
    hours, millis = divmod(millis, 3_600_000)
    minutes, millis = divmod(millis, 60_000)
    seconds, millis = divmod(millis, 1000)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"), (millis, "ms"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _validate_duration(least: timedelta) -> PlainValidator:
    def read(value: object) -> timedelta:
        duration = read_text(parse_duration, value, _DURATION_SAYS)
        if duration < least:
            raise ValueError(_least_says(least))
        return duration

    return PlainValidator(read)


def _check_whole_seconds(value: timedelta) -> timedelta:
    if value.microseconds:
        raise ValueError(_WHOLE_SAYS)
    return value


def _duration_schema(least: timedelta, *rules: Schema) -> WithJsonSchema:
    shortest = f"duration(self) >= duration('{format_duration(least)}')"
    return make_string_schema(
        24,
        make_cel_rule(_IS_DURATION, _DURATION_SAYS),
        _of_duration(shortest, _least_says(least)),
        *rules,
    )


def _of_duration(rule: str, says: str) -> Schema:
    """State a rule about a duration, silent where the text is none."""
    return make_cel_rule(f"!({_IS_DURATION}) || {rule}", says)


def _least_says(least: timedelta) -> str:
    return f"must be at least {format_duration(least)}"


_written = PlainSerializer(format_duration, return_type=str)
_MS, _10MS, _1S = (timedelta(milliseconds=n) for n in (1, 10, 1000))

Timeout = Annotated[timedelta, _validate_duration(_MS), _written, _duration_schema(_MS)]
Interval = Annotated[timedelta, _validate_duration(_10MS), _written, _duration_schema(_10MS)]
Seconds = Annotated[
    timedelta,
    _validate_duration(_1S),
    AfterValidator(_check_whole_seconds),
    _written,
    _duration_schema(
        _1S, _of_duration("duration(self).getMilliseconds() % 1000 == 0", _WHOLE_SAYS)
    ),
]


def format_time(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC with microseconds: `2026-01-02T03:04:05.000006Z`."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainValidator(lambda value: value if isinstance(value, datetime) else parse_time(value)),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

"""How a status write ended."""

from enum import StrEnum

from vpplb.kube.errors import ApiError, ApiUnreachable, KubeError, NotFound


class WriteResult(StrEnum):
    """How a write ended, as `vpplb_status_writes_total` counts it.

    UNCHANGED: no request was made. GONE: the object is deleted. THROTTLED: 429 or 503.
    REFUSED: any other failure answered by the server. ERROR: `render` raised.
    """

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    GONE = "gone"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    ERROR = "error"


class Unrenderable(KubeError):
    """There is no status to be had: `render` raised."""


def result_of(error: KubeError) -> WriteResult:
    """Name the result of a write that failed with `error`."""
    match error:
        case ApiUnreachable():
            return WriteResult.UNREACHABLE
        case Unrenderable():
            return WriteResult.ERROR
        case NotFound():
            return WriteResult.GONE
        case ApiError(status=409):
            return WriteResult.CONFLICT
        case ApiError(status=429 | 503):
            return WriteResult.THROTTLED
        case _:
            return WriteResult.REFUSED

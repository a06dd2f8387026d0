"""How a status write ended."""

from enum import StrEnum

from vpplb.kube.api_resources import RESOURCES
from vpplb.kube.errors import ApiError, ApiUnreachable, KubeError, NotFound
from vpplb.model.names import ObjectKind


class WriteResult(StrEnum):
    """How a write ended, as `vpplb_status_writes_total` counts it.

    UNCHANGED: no request was made. GONE: the object is deleted. THROTTLED: 429 or 503.
    FORBIDDEN: 401 or 403. NO_STATUS: the CRD has no status. TOO_LARGE: for etcd or the server.
    REFUSED: any other failure answered by the server. ERROR: `render` raised.
    """

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    GONE = "gone"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    NO_STATUS = "no_status"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    ERROR = "error"


class Unrenderable(KubeError):
    """There is no status to be had: `render` raised."""


class NoStatus(KubeError):
    """The object is there, but its status is not to be written: its CRD has no such subresource."""

    def __init__(self, kind: ObjectKind) -> None:
        resource = RESOURCES[kind]
        super().__init__(
            f"the CRD {resource.plural}.{resource.group} has no status subresource (is it of"
            " another version? `vpplb crds` writes those of this one)"
        )


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
        case NoStatus():
            return WriteResult.NO_STATUS
        case ApiError(status=401 | 403):
            return WriteResult.FORBIDDEN
        case ApiError() if error.status == 413 or "too large" in error.message:
            return WriteResult.TOO_LARGE
        case ApiError(status=429 | 503):
            return WriteResult.THROTTLED
        case _:
            return WriteResult.REFUSED

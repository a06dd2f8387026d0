"""What is spoken of with the API server: where each kind is, objects as JSON, and what goes wrong.

The HTTP library's errors end in this package: whoever calls it sees
only those that stand here, with the original chained.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from vpplb.model.names import GROUP, OWN_KINDS, VERSION, ObjectKey, ObjectKind

JsonObject = dict[str, Any]
"""An object as the API server sends it: parsed JSON, checked by whoever reads it."""

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

PAGE = 500
"""Objects asked for at once, as kubectl does."""


class ApiResource(NamedTuple):
    """Where a kind is found. `group` is empty for the core API; `plural` is its name in paths."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """Name group and version as `apiVersion` does."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection_path(self, namespace: str = "") -> str:
        """Path of all objects, of one namespace if given."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{root}{inside}/{self.plural}"

    def object_path(self, key: ObjectKey, subresource: str = "") -> str:
        """Path of one object, or of its subresource such as `status`."""
        path = f"{self.collection_path(key.namespace)}/{quote(key.name, safe='')}"
        return f"{path}/{subresource}" if subresource else path


_API_VERSIONS = dict.fromkeys(OWN_KINDS, (GROUP, VERSION)) | {
    ObjectKind.NAMESPACE: ("", "v1"),
    ObjectKind.NODE: ("", "v1"),
    ObjectKind.LEASE: ("coordination.k8s.io", "v1"),
    ObjectKind.EVENT: ("events.k8s.io", "v1"),
    ObjectKind.SECRET: ("", "v1"),
    ObjectKind.POD: ("", "v1"),
}
RESOURCES: Mapping[ObjectKind, ApiResource] = {
    kind: ApiResource(*_API_VERSIONS[kind], kind.plural) for kind in ObjectKind
}


class ObjectListing(NamedTuple):
    """All objects of a list, and the version from which a watch continues it."""

    items: list[JsonObject]
    resource_version: str


def cluster_key(name: str) -> ObjectKey:
    return ObjectKey("", name)


def key_of(raw: JsonObject) -> ObjectKey:
    """Return the key of an object of the API server."""
    metadata = raw["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def version_of(raw: JsonObject) -> int:
    """Return the `resourceVersion` of an object of the API server."""
    return int(raw["metadata"]["resourceVersion"])


class KubeError(Exception):
    """A request has failed; nothing is known of its effect unless a subclass says so."""


class ConfigError(KubeError):
    """There is no usable configuration for a cluster; the text says what was tried."""


class ApiUnreachable(KubeError):
    """No answer: refused, reset, name not found, TLS refused, or out of time. Try again later."""


class UntrustedServer(ApiUnreachable):
    """TLS failed: the server's certificate is not of a CA that we trust, or ours was refused."""


class ApiError(KubeError):
    """The API server answered with a failure.

    `status` is the HTTP status, `reason` the CamelCase reason of the `Status` object (empty when
    something in between answered), `retry_after` the seconds it asks to wait, if it does.
    """

    def __init__(
        self, status: int, reason: str = "", message: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(ApiError):
    """404: there is no such object, namespace or resource."""


class Conflict(ApiError):
    """409: it exists already, or has changed since it was read."""


class NamespaceTerminating(ApiError):
    """403: nothing is created in a namespace that is being deleted."""


class Gone(ApiError):
    """410: the list or watch to be continued has expired; begin anew."""


_BY_STATUS = {404: NotFound, 409: Conflict, 410: Gone}


def api_error(
    status: int, reason: str = "", message: str = "", retry_after: float | None = None
) -> ApiError:
    """Make the error for an HTTP status: the subclass where there is one."""
    return _BY_STATUS.get(status, ApiError)(status, reason, message, retry_after)


def read_answer(status: int, retry_after: str | None, content: bytes) -> JsonObject:
    """Turn an answer into its object, or raise the error it stands for."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    if 200 <= status < 300:
        if not isinstance(parsed, dict):
            raise ApiError(status, "", "the answer is not a JSON object")
        return parsed
    told = parsed if isinstance(parsed, dict) else {}
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    text = str(told.get("message") or content[:200].decode(errors="replace"))
    reason = str(told.get("reason") or "")
    if status == 403 and "NamespaceTerminating" in _read_causes(told):
        raise NamespaceTerminating(status, reason, text)
    raise api_error(status, reason, text, seconds)


def check_object(raw: JsonObject) -> JsonObject:
    """Return the answer where it is an object of the API server, else raise ApiError.

    Gateways, for example, answer 200 with JSON of their own.
    """
    try:
        key_of(raw), version_of(raw)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ApiError(200, "", f"the answer is no object of an API server: {error!r}") from error
    return raw


def read_page(page: JsonObject) -> list[JsonObject]:
    """Return the objects of a page of a list; ApiError where the answer is none of the API server.

    Of a page that is one `metadata` can be relied on.
    """
    metadata = page.get("metadata")
    if not isinstance(metadata, dict) or not str(metadata.get("resourceVersion")).isdecimal():
        raise ApiError(200, "", "the answer is no list of an API server")
    return [check_object(item) for item in page.get("items") or ()]


def _read_causes(status: Mapping[str, Any]) -> set[object]:
    """Return the reasons of a `Status` object's causes, as client-go's `HasStatusCause` does."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    listed = causes if isinstance(causes, list) else []
    return {one.get("reason") for one in listed if isinstance(one, dict)}

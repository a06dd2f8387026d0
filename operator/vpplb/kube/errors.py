"""What can go wrong with a request to the API server, in our own words.

The HTTP library's and the Kubernetes package's errors end in this package: whoever calls it
sees only these, with the original chained.
"""


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


class Gone(ApiError):
    """410: the list or watch to be continued has expired; begin anew."""


_BY_STATUS = {404: NotFound, 409: Conflict, 410: Gone}


def api_error(
    status: int, reason: str = "", message: str = "", retry_after: float | None = None
) -> ApiError:
    """Make the error for an HTTP status: the subclass where there is one."""
    return _BY_STATUS.get(status, ApiError)(status, reason, message, retry_after)

"""Types of fields that are text.

Every check is made twice, here for files and in the schema for the API server, in the same
words. The sentence completes the field's path: `spec.http.path: must begin with /`.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from vpplb.resources.addresses import read_address
from vpplb.resources.pem import read_certificates
from vpplb.resources.schema import make_cel_rule, make_string_schema

_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_PART}(\.{_PART})*"


def _validate_pattern(pattern: str, most: int, says: str) -> AfterValidator:
    """Check as the API server does: the whole text matches and is not too long."""

    def check(text: str) -> str:
        if len(text) > most:
            raise ValueError(f"must have at most {most} characters")
        if re.fullmatch(pattern, text) is None:
            raise ValueError(says)
        return text

    return AfterValidator(check)


def _by_cel(pattern: str, most: int, says: str, least: int = 1) -> WithJsonSchema:
    return make_string_schema(
        most, make_cel_rule(f'self.matches(r"^{pattern}$")', says), minLength=least
    )


def _by_pattern(pattern: str, most: int, least: int = 1) -> WithJsonSchema:
    """State a pattern, not CEL: for text in lists of thousands, beyond CEL's budget."""
    return make_string_schema(most, minLength=least, pattern=f"^{pattern}$")


_NAME_SAYS = "must be a name of lower-case letters, digits, - and . (RFC 1123)"
ObjectName = Annotated[
    str, _validate_pattern(_SUBDOMAIN, 253, _NAME_SAYS), _by_pattern(_SUBDOMAIN, 253)
]

_LABEL_SAYS = "must be a name of lower-case letters, digits and - (RFC 1123)"
DnsLabel = Annotated[str, _validate_pattern(_PART, 63, _LABEL_SAYS), _by_pattern(_PART, 63)]

_PATH = "/[!-~]*"
_PATH_SAYS = "must begin with / and be ASCII without spaces"
HttpPath = Annotated[
    str, _validate_pattern(_PATH, 2048, _PATH_SAYS), _by_cel(_PATH, 2048, _PATH_SAYS)
]

_HOST = r"[A-Za-z0-9._:\[\]-]+"
_HOST_SAYS = "must be a host name or an address, with or without a port"
HostName = Annotated[
    str, _validate_pattern(_HOST, 262, _HOST_SAYS), _by_cel(_HOST, 262, _HOST_SAYS)
]

_SERVER = r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?"
_NUMBER = r"(^|\.)[0-9]+\.?$"  # the last label of an address, never of a name (RFC 3696, 2)
_SERVER_SAYS = "must be a host name or an address"


def _check_server(text: str) -> str:
    try:
        read_address(text)
    except ValueError:
        name = re.fullmatch(_SERVER, text) is not None and len(text) <= 253
        if not name or re.search(_NUMBER, text):
            raise ValueError(_SERVER_SAYS) from None
    return text


ServerName = Annotated[
    str,
    AfterValidator(_check_server),
    make_string_schema(
        253,
        make_cel_rule(
            f'isIP(self) || self.matches(r"^{_SERVER}$") && !self.matches(r"{_NUMBER}")',
            _SERVER_SAYS,
        ),
        minLength=1,
    ),
]

_HEADER = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_SAYS = "must be a header name: letters, digits and -, no spaces (RFC 9110)"
_OWN_HEADERS = ["host", "connection", "content-length", "transfer-encoding"]
_OWN_SAYS = "must be none of Host, Connection, Content-Length, Transfer-Encoding: the probe's own"


def _not_own(name: str) -> str:
    if name.lower() in _OWN_HEADERS:
        raise ValueError(_OWN_SAYS)
    return name


HeaderName = Annotated[
    str,
    _validate_pattern(_HEADER, 128, _HEADER_SAYS),
    AfterValidator(_not_own),
    make_string_schema(
        128,
        make_cel_rule(f'self.matches(r"^{_HEADER}$")', _HEADER_SAYS),
        make_cel_rule(f"!(self.lowerAscii() in {_OWN_HEADERS})", _OWN_SAYS),
        minLength=1,
    ),
]

_VALUE = r"[\t -~]*"
_VALUE_SAYS = "must be one line of printable ASCII"
HeaderValue = Annotated[
    str, _validate_pattern(_VALUE, 2048, _VALUE_SAYS), _by_cel(_VALUE, 2048, _VALUE_SAYS, 0)
]

_KEY = "[-._a-zA-Z0-9]+"
_KEY_SAYS = "must be a key of a Secret: letters, digits, -, _ and ."
SecretKey = Annotated[str, _validate_pattern(_KEY, 253, _KEY_SAYS), _by_cel(_KEY, 253, _KEY_SAYS)]

LABEL_KEY = rf"({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
LABEL_KEY_SAYS = "must have names of labels as keys, such as topology.kubernetes.io/zone"
LabelKey = Annotated[str, _validate_pattern(LABEL_KEY, 317, LABEL_KEY_SAYS)]

_LABEL_VALUE = "([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
LabelValue = Annotated[
    str,
    _validate_pattern(_LABEL_VALUE, 63, "must be the value of a label"),
    _by_pattern(_LABEL_VALUE, 63, 0),
]

_REGEXP_SAYS = "must be a regular expression (RE2)"


def _check_regexp(pattern: str) -> str:
    import re2  # few checks have a pattern, and `kubectl vpplb plan` is soon there without it

    quiet = re2.Options()
    quiet.log_errors = False
    try:
        re2.compile(pattern, quiet)
    except re2.error as error:
        raise ValueError(f"{_REGEXP_SAYS}: {error.args[0].decode(errors='replace')}") from error
    return pattern


Regexp = Annotated[
    str,
    _validate_pattern("(?s:.+)", 1024, "must not be empty"),
    AfterValidator(_check_regexp),
    # The condition cannot be evaluated where the pattern does not compile: that refuses it.
    make_string_schema(
        1024, make_cel_rule("''.matches(self) ? true : true", _REGEXP_SAYS), minLength=1
    ),
]

_PEM_SAYS = "must be certificates in PEM"


def _check_certificates(pem: str) -> str:
    try:
        read_certificates(pem)
    except ValueError as error:
        raise ValueError(f"{_PEM_SAYS}{error}") from error
    return pem


CaBundle = Annotated[
    str,
    _validate_pattern("(?s:.*)", 262144, _PEM_SAYS),
    AfterValidator(_check_certificates),
    make_string_schema(
        262144,
        make_cel_rule(
            "self.contains('-----BEGIN CERTIFICATE-----')"
            " && self.contains('-----END CERTIFICATE-----')",
            _PEM_SAYS,
        ),
    ),
]

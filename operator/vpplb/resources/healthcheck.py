"""HealthCheck: how backends are probed."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from vpplb.model.names import ObjectKind
from vpplb.resources.addresses import AddressV4, AddressV6
from vpplb.resources.base import (
    AGE,
    CelRule,
    KindDefinition,
    PrintColumn,
    SpecModel,
    StatusModel,
    reason_column,
)
from vpplb.resources.conditions import Conditions
from vpplb.resources.fields import Count, Interval, Port, Timeout
from vpplb.resources.schema import make_cel_rule
from vpplb.resources.text import (
    CaBundle,
    HeaderName,
    HeaderValue,
    HostName,
    HttpPath,
    ObjectName,
    Regexp,
    SecretKey,
    ServerName,
)

Times = Annotated[int, Field(ge=1, le=100)]
StatusCode = Annotated[int, Field(ge=100, le=599)]


class ProbeSource(SpecModel):
    """Source addresses of probes, by family of the backend."""

    ipv4: AddressV4 | None = None
    """Source address of probes to IPv4 backends; by default the kernel chooses."""
    ipv6: AddressV6 | None = None
    """Source address of probes to IPv6 backends; by default the kernel chooses."""


class SecretKeyRef(SpecModel):
    """A value in a Secret."""

    name: ObjectName
    """Name of a Secret of the same namespace."""
    key: SecretKey
    """Key of the value in it."""


class HeaderSource(SpecModel):
    """Where the value of a header is."""

    secret_key_ref: SecretKeyRef
    """A value in a Secret."""


_EITHER = "must have either value or valueFrom"


class HeaderSpec(SpecModel):
    """A header of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                make_cel_rule("has(self.value) != has(self.valueFrom)", _EITHER)
            ]
        }
    )

    name: HeaderName
    """Name of the header."""
    value: HeaderValue | None = Field(default=None, repr=False)
    """Value of the header; absent where `valueFrom` is given."""
    value_from: HeaderSource | None = None
    """Where the value is, white space around it dropped; absent where `value` is given."""

    @model_validator(mode="after")
    def _has_one_value(self) -> Self:
        if (self.value is None) is (self.value_from is None):
            raise ValueError(_EITHER)
        return self


class ResponseCodes(SpecModel):
    """The status codes that pass, both ends included."""

    min: StatusCode = 200
    """Lowest status code that passes."""
    max: StatusCode = 399
    """Highest status code that passes."""


class HttpSpec(SpecModel):
    """The request of an HTTP or HTTPS probe and what is expected of the answer."""

    path: HttpPath = "/"
    """Path, and query, of the request."""
    host: HostName | None = None
    """Host header; by default the address of the backend."""
    method: Literal["GET", "HEAD"] = "GET"
    """Method of the request."""
    headers: Annotated[
        list[HeaderSpec],
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=[])
    """More headers of the request."""
    response_codes: ResponseCodes | None = None
    """Status codes that pass; by default 200 to 399."""
    response_regexp: Regexp | None = None
    """Regular expression (RE2) to be found in the first 64 KiB of the body; by default
    any body passes."""


class TlsSpec(SpecModel):
    """TLS of the probe."""

    server_name: ServerName | None = None
    """Name to ask for (SNI) and to verify; by default the address is verified."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""
    ca_bundle: CaBundle | None = None
    """Certificates (PEM) to trust; by default the system's."""


class HealthCheckSpec(SpecModel):
    """How backends are probed."""

    type: Literal["ICMP", "TCP", "HTTP", "HTTPS"]
    """What a probe is: an echo, a connection, or a request."""
    port: Port | None = None
    """Port to probe; by default 80 for HTTP and 443 for HTTPS, required for TCP."""
    interval: Interval = timedelta(seconds=2)
    """Time from the start of a probe to the start of the next."""
    fast_interval: Interval | None = None
    """The same while the results are changing; by default `interval`."""
    down_interval: Interval | None = None
    """The same while the backend is down; by default `interval`."""
    timeout: Timeout = timedelta(seconds=1)
    """Time for a whole probe; may exceed the interval, since probes never overlap."""
    rise: Times = 2
    """Passes in a row that bring a backend up again. The first result of a fresh check, such as
    that of a backend that was resumed or enabled, decides alone."""
    fall: Times = 3
    """Failures in a row that take a backend down."""
    probe_source: ProbeSource | None = None
    """Where probes come from; by default the kernel chooses."""
    http: HttpSpec | None = None
    """The request; only with type HTTP or HTTPS, by default GET of `/`."""
    tls: TlsSpec | None = None
    """TLS; only with type HTTPS, or TCP, which makes it a check of the handshake; by default HTTPS
    verifies the address by the system's certificates, and TCP has none."""


class HealthCheckStatus(StatusModel):
    """What became of it."""

    conditions: Conditions = ()
    """Accepted."""
    backends: Count | None = None
    """Number of backends that use it."""
    observed_generation: Count | None = None
    """The generation of the spec that this status is about."""


def _codes_in_order(spec: HealthCheckSpec) -> bool:
    codes = spec.http.response_codes if spec.http else None
    return codes is None or codes.min <= codes.max


def _body_if_searched(spec: HealthCheckSpec) -> bool:
    return spec.http is None or spec.http.method == "GET" or spec.http.response_regexp is None


_RULES: tuple[CelRule[HealthCheckSpec], ...] = (
    CelRule(
        field="port",
        reads=("type",),
        message="is required with type TCP",
        holds=lambda spec: spec.type != "TCP" or spec.port is not None,
        cel="self.type != 'TCP' || has(self.port)",
    ),
    CelRule(
        field="port",
        reads=("type",),
        message="must be absent with type ICMP, which has no ports",
        holds=lambda spec: spec.type != "ICMP" or spec.port is None,
        cel="self.type != 'ICMP' || !has(self.port)",
    ),
    CelRule(
        field="http",
        reads=("type",),
        message="must be absent unless type is HTTP or HTTPS",
        holds=lambda spec: spec.type in ("HTTP", "HTTPS") or spec.http is None,
        cel="self.type in ['HTTP', 'HTTPS'] || !has(self.http)",
    ),
    CelRule(
        field="tls",
        reads=("type",),
        message="must be absent unless type is HTTPS or TCP",
        holds=lambda spec: spec.type in ("HTTPS", "TCP") or spec.tls is None,
        cel="self.type in ['HTTPS', 'TCP'] || !has(self.tls)",
    ),
    CelRule(
        field="http.responseCodes.min",
        reads=("http.responseCodes.max",),
        message="must not be greater than max",
        holds=_codes_in_order,
        cel="!has(self.http) || !has(self.http.responseCodes)"
        " || self.http.responseCodes.min <= self.http.responseCodes.max",
    ),
    CelRule(
        field="http.responseRegexp",
        reads=("http.method",),
        message="must be absent with method HEAD, whose answers have no body",
        holds=_body_if_searched,
        cel="!has(self.http) || self.http.method == 'GET' || !has(self.http.responseRegexp)",
    ),
)


HEALTH_CHECK = KindDefinition(
    kind=ObjectKind.HEALTH_CHECK,
    short_name="vhc",
    description="How backends are probed, and how many results decide.",
    spec=HealthCheckSpec,
    status=HealthCheckStatus,
    rules=_RULES,
    columns=(
        PrintColumn("Type", ".spec.type"),
        PrintColumn("Port", ".spec.port", "integer"),
        PrintColumn("Interval", ".spec.interval"),
        PrintColumn("Rise", ".spec.rise", "integer"),
        PrintColumn("Fall", ".spec.fall", "integer"),
        PrintColumn("Backends", ".status.backends", "integer"),
        reason_column("Accepted"),
        AGE,
    ),
)

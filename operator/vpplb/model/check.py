"""What a probe does and when: the resolved form of a HealthCheck applied to one Backend."""

from dataclasses import dataclass, field
from datetime import timedelta

from vpplb.model.vip import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """TLS of a probe. `server_name` empty: no SNI, the address is what is verified."""

    server_name: str = ""
    insecure_skip_verify: bool = False
    ca_bundle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpProbe:
    """One echo request, one reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """A connection is established; with `tls` a handshake too."""

    port: int
    tls: TlsSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """One HTTP/1.1 request; HTTPS where `tls` is given.

    `host` empty means the backend's address. `response_regexp` empty: the body is not read.
    `headers` are names and values; no text of a probe (`repr`) shows them, for they are secret.
    Status codes from `status_min` to `status_max` pass, both included.
    """

    port: int
    path: str = "/"
    host: str = ""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    status_min: int = 200
    status_max: int = 399
    response_regexp: str = ""
    tls: TlsSettings | None = None


ProbeKind = IcmpProbe | TcpProbe | HttpProbe


def probe_type(kind: ProbeKind) -> str:
    """Name the type as `spec.type` does: ICMP, TCP, HTTP or HTTPS."""
    match kind:
        case IcmpProbe():
            return "ICMP"
        case TcpProbe():
            return "TCP"
        case HttpProbe(tls=None):
            return "HTTP"
        case HttpProbe():
            return "HTTPS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCadence:
    """When to probe and how many results decide, in HAProxy's terms."""

    interval: timedelta = timedelta(seconds=2)
    fast_interval: timedelta = timedelta(seconds=2)
    down_interval: timedelta = timedelta(seconds=2)
    timeout: timedelta = timedelta(seconds=1)
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """All that decides how one backend is probed. Two equal specs are the same check.

    `source` is the probes' source address, of the family of `address`; None: the kernel's choice.
    """

    address: IPAddress
    probe: ProbeKind
    cadence: ProbeCadence
    source: IPAddress | None = None

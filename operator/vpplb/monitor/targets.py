"""What to probe: VIPs of arguments, of manifests or of a cluster, and how each is asked."""

import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from vpplb.model.check import (
    CheckSpec,
    HttpProbe,
    IcmpProbe,
    ProbeCadence,
    ProbeKind,
    TcpProbe,
    TlsSettings,
    probe_type,
)
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.vip import IPAddress, VipProtocol

_USUAL_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"/[!-~]*", re.ASCII)
_HOST = re.compile(r"[!-~]+", re.ASCII)


class BadTarget(ValueError):
    """What was asked for cannot be probed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePace:
    """When to probe each VIP, in seconds, and how many probes of it may be in flight at a time."""

    interval: float = 0.1
    timeout: float = 0.9
    in_flight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorTarget:
    """A VIP under a name that people know it by."""

    name: str
    spec: CheckSpec

    @property
    def place(self) -> str:
        """Write address and port, `192.0.2.1:80`."""
        probe, address = self.spec.probe, self.spec.address
        assert not isinstance(probe, IcmpProbe)
        return f"[{address}]:{probe.port}" if address.version == 6 else f"{address}:{probe.port}"

    @property
    def question(self) -> str:
        """Write how it is asked, `TCP` or `HTTP GET /`."""
        probe = self.spec.probe
        kind = probe_type(probe)
        if isinstance(probe, TcpProbe) and probe.tls is not None:
            return "TLS"
        return f"{kind} {probe.method} {probe.path}" if isinstance(probe, HttpProbe) else kind


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedProbe:
    """What a person wants of all probes; None and empty: as the target itself says.

    Any of `path`, `host` and `codes` (lowest and highest that pass) means HTTP. `tcp`: connections
    alone. BadTarget for what no request can have.
    """

    tcp: bool = False
    path: str = ""
    host: str = ""
    codes: tuple[int, int] | None = None
    insecure: bool = False
    source: IPAddress | None = None

    def __post_init__(self) -> None:
        """Refuse what would make another request of it."""
        if self.path:
            _require_path(self.path)
        if self.host and not _HOST.fullmatch(self.host):
            raise BadTarget(f"not a Host header: {self.host!r}")

    def apply_to(self, target: MonitorTarget) -> MonitorTarget:
        """Return the target as it is to be probed."""
        spec = target.spec
        source = (
            self.source if self.source and self.source.version == spec.address.version else None
        )
        return replace(
            target, spec=replace(spec, probe=self._change_probe(spec.probe), source=source)
        )

    def _change_probe(self, probe: ProbeKind) -> ProbeKind:
        assert not isinstance(probe, IcmpProbe)
        tls = (
            replace(probe.tls, insecure_skip_verify=True)
            if self.insecure and probe.tls
            else probe.tls
        )
        if self.tcp:
            return TcpProbe(port=probe.port)
        if not isinstance(probe, HttpProbe):
            if not (self.path or self.host or self.codes):
                return replace(probe, tls=tls)
            probe = HttpProbe(port=probe.port)
        lowest, highest = self.codes or (probe.status_min, probe.status_max)
        return replace(
            probe,
            tls=tls,
            path=self.path or probe.path,
            host=self.host or probe.host,
            status_min=lowest,
            status_max=highest,
        )


def parse_codes(text: str) -> tuple[int, int]:
    """Read `200` or `200-399`; ValueError for anything else."""
    lowest, _, highest = text.partition("-")
    codes = (int(lowest), int(highest or lowest)) if re.fullmatch(r"\d{3}(-\d{3})?", text) else ()
    if len(codes) != 2 or not 100 <= codes[0] <= codes[1] <= 599:
        raise ValueError(f"not a status code or a range of them, such as 200 or 200-399: {text!r}")
    return codes


# --- arguments ----------------------------------------------------------------------------------


def resolve_argument(text: str) -> MonitorTarget:
    """Read `192.0.2.1:80`, `[2001:db8::1]:80`, `name:80` or a URL of HTTP or HTTPS.

    A name is looked up here, once, and the first address is it. BadTarget says what is wrong.
    """
    url = _split_url(text if "://" in text else f"tcp://{text}", text)
    try:
        port, host = url.port, url.hostname
    except ValueError as error:
        raise BadTarget(f"{text!r}: {error}") from error
    port = port or _USUAL_PORTS.get(url.scheme)
    if not host or not port:
        raise BadTarget(
            f"{text!r} has no port: give 192.0.2.1:80, or a URL such as http://192.0.2.1/"
        )
    address = _look_up(host, port)
    probe = _probe_of_url(url, host, port) if url.scheme != "tcp" else TcpProbe(port=port)
    return MonitorTarget(name=text, spec=_make_spec(address, probe))


def _split_url(url: str, text: str) -> SplitResult:
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise BadTarget(f"{text!r}: {error}") from error
    if split.scheme not in ("tcp", *_USUAL_PORTS):
        raise BadTarget(f"{text!r}: only http:// and https:// can be probed, and host:port")
    if split.username is not None:
        raise BadTarget("no user or password can be given in an address")
    if split.scheme == "tcp" and (split.path or split.query):
        raise BadTarget(f"{text!r}: what has a path begins with http:// or https://")
    return split


def _probe_of_url(url: SplitResult, host: str, port: int) -> HttpProbe:
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    _require_path(path)
    named = not _is_address(host)
    usual = port == _USUAL_PORTS[url.scheme]
    header = (host if usual else f"{host}:{port}") if named else ""  # an address: the probe's own
    tls = TlsSettings(server_name=host if named else "") if url.scheme == "https" else None
    return HttpProbe(port=port, path=path, host=header, tls=tls)


def _require_path(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise BadTarget(f"not a path of a request (percent-encode what is not ASCII): {path!r}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, port: int) -> IPAddress:
    """Return the address, or the first of a name that this host can have a connection to."""
    try:
        found = socket.getaddrinfo(
            host,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG if not _is_address(host) else 0,
        )
    except (OSError, UnicodeError) as error:
        raise BadTarget(f"{host}: {getattr(error, 'strerror', None) or error}") from error
    return ip_address(str(found[0][4][0]))


# --- frontends ----------------------------------------------------------------------------------


def list_targets(
    frontends: Mapping[ObjectKey, Frontend],
    backends: Mapping[ObjectKey, Backend],
    checks: Mapping[ObjectKey, HealthCheck],
) -> tuple[list[MonitorTarget], list[str]]:
    """Return what can be probed, and a sentence about each frontend that cannot.

    A VIP is asked as its backends are where their check goes to the port that serves; else a
    connection is all that can be asked of it.
    """
    targets: list[MonitorTarget] = []
    notes: list[str] = []
    for key, frontend in sorted(frontends.items()):
        vip = frontend.vip
        if vip.protocol is VipProtocol.UDP:
            notes.append(f"{key}: {vip} is UDP, which has no connections to probe by")
        elif vip.protocol is VipProtocol.ANY:
            notes.append(f"{key}: {vip} has no port: give one, such as {vip.prefix[0]}:80")
        else:
            probe = _probe_of(frontend, _find_check(frontend, backends, checks))
            targets.append(MonitorTarget(name=str(key), spec=_make_spec(vip.prefix[0], probe)))
    return targets, notes


def _find_check(
    frontend: Frontend,
    backends: Mapping[ObjectKey, Backend],
    checks: Mapping[ObjectKey, HealthCheck],
) -> HealthCheck | None:
    """Return the check of the first backend that has one."""
    members = (member.backend for pool in frontend.pools for member in pool.members)
    named = (backends[each].health_check for each in members if each in backends)
    return next((checks[each] for each in named if each is not None and each in checks), None)


def _probe_of(frontend: Frontend, check: HealthCheck | None) -> ProbeKind:
    port = frontend.vip.port
    if check is None or isinstance(check.probe, IcmpProbe) or check.secret_headers:
        return TcpProbe(port=port)
    if check.probe.port != (frontend.target_port or port):
        return TcpProbe(port=port)
    return replace(check.probe, port=port)


def _make_spec(address: IPAddress, probe: ProbeKind) -> CheckSpec:
    return CheckSpec(address=address, probe=probe, cadence=ProbeCadence())


def drop_repeated(targets: Iterable[MonitorTarget]) -> list[MonitorTarget]:
    """Return each target once, in their order."""
    return list(dict.fromkeys(targets))

"""From a HealthCheck as users write it to what the core works with (`model.check`)."""

from vpplb.model import objects
from vpplb.model.check import HttpProbe, IcmpProbe, ProbeCadence, ProbeKind, TcpProbe, TlsSettings
from vpplb.model.names import ObjectKey
from vpplb.resources.healthcheck import HealthCheckSpec, HttpSpec, ResponseCodes, TlsSpec
from vpplb.resources.meta import ObjectMeta


def convert_health_check(meta: ObjectMeta, spec: HealthCheckSpec) -> objects.HealthCheck:
    source = spec.probe_source
    return objects.HealthCheck(
        key=meta.key,
        probe=_convert_probe(spec),
        cadence=ProbeCadence(
            interval=spec.interval,
            fast_interval=spec.fast_interval or spec.interval,
            down_interval=spec.down_interval or spec.interval,
            timeout=spec.timeout,
            rise=spec.rise,
            fall=spec.fall,
        ),
        secret_headers=_secret_headers(meta.key.namespace, spec.http or HttpSpec()),
        source_ipv4=source.ipv4 if source else None,
        source_ipv6=source.ipv6 if source else None,
        generation=meta.generation,
    )


def _convert_probe(spec: HealthCheckSpec) -> ProbeKind:
    match spec.type:
        case "ICMP":
            return IcmpProbe()
        case "TCP":
            return TcpProbe(port=spec.port or 0, tls=_convert_tls(spec.tls) if spec.tls else None)
        case "HTTP":
            return _convert_http(spec.port or 80, spec.http or HttpSpec(), None)
        case "HTTPS":
            return _convert_http(
                spec.port or 443, spec.http or HttpSpec(), _convert_tls(spec.tls or TlsSpec())
            )


def _convert_tls(tls: TlsSpec) -> TlsSettings:
    return TlsSettings(
        server_name=tls.server_name or "",
        insecure_skip_verify=tls.insecure_skip_verify,
        ca_bundle=tls.ca_bundle or "",
    )


def _convert_http(port: int, http: HttpSpec, tls: TlsSettings | None) -> HttpProbe:
    codes = http.response_codes or ResponseCodes()
    return HttpProbe(
        port=port,
        path=http.path,
        host=http.host or "",
        method=http.method,
        headers=tuple((one.name, one.value) for one in http.headers if one.value is not None),
        status_min=codes.min,
        status_max=codes.max,
        response_regexp=http.response_regexp or "",
        tls=tls,
    )


def _secret_headers(namespace: str, http: HttpSpec) -> tuple[objects.SecretHeader, ...]:
    """Return the headers whose values are in Secrets, which are of the check's own namespace."""
    return tuple(
        objects.SecretHeader(
            position=position,
            name=header.name,
            secret=ObjectKey(namespace, header.value_from.secret_key_ref.name),
            key=header.value_from.secret_key_ref.key,
        )
        for position, header in enumerate(http.headers)
        if header.value_from is not None
    )

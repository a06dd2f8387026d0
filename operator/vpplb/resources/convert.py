"""From what users write (resources) to what the core works with (`model.objects`)."""

from vpplb.model import objects
from vpplb.model.check import HttpProbe, IcmpProbe, ProbeCadence, ProbeKind, TcpProbe, TlsSettings
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Encap, VipId
from vpplb.resources.backend import BackendSpec
from vpplb.resources.frontend import FrontendSpec, PoolSpec
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


def convert_backend(meta: ObjectMeta, spec: BackendSpec) -> objects.Backend:
    ref = spec.health_check_ref
    return objects.Backend(
        key=meta.key,
        address=spec.address,
        health_check=ObjectKey(meta.key.namespace, ref.name) if ref else None,
        enabled=spec.enabled,
        paused=spec.paused,
        generation=meta.generation,
    )


def convert_frontend(meta: ObjectMeta, spec: FrontendSpec) -> objects.Frontend:
    """Convert a Frontend; with NAT the target port is by default the VIP's."""
    port = spec.port or 0
    nat = spec.encap in (Encap.NAT4, Encap.NAT6)
    return objects.Frontend(
        key=meta.key,
        vip=VipId(spec.address, spec.protocol, port),
        pools=tuple(_convert_pool(meta, pool) for pool in spec.pools),
        encap=spec.encap,
        dscp=spec.dscp or 0,
        target_port=(spec.target_port or port) if nat else 0,
        src_ip_sticky=spec.src_ip_sticky,
        flush_on_down=spec.flush_on_down,
        table_length=spec.flow_table_length,
        node_selector=tuple(sorted((spec.node_selector or {}).items())),
        created=meta.created,
        generation=meta.generation,
    )


def _convert_pool(meta: ObjectMeta, pool: PoolSpec) -> objects.Pool:
    return objects.Pool(
        name=pool.name,
        members=tuple(
            objects.PoolMember(ObjectKey(meta.key.namespace, backend.name), backend.weight)
            for backend in pool.backends
        ),
    )

"""From what users write (resources) to what the core works with (`model.objects`).

HealthChecks are in `convert_check`, which needs all that a probe is made of.
"""

from vpplb.model import objects
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Encap, VipId
from vpplb.resources.backend import BackendSpec
from vpplb.resources.frontend import FrontendSpec, PoolSpec
from vpplb.resources.meta import ObjectMeta


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

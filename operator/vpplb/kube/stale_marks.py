"""Letting the status of an object say that nobody keeps it, whoever finds that out."""

from datetime import datetime

from vpplb.kube.api_types import Conflict, JsonObject, NotFound, key_of
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKind
from vpplb.resources.stale_status import age_status


async def mark_stale(
    client: KubeClient, kind: ObjectKind, raw: JsonObject, said: str, now: datetime
) -> int:
    """Write into the status of an object as of when it is, which `said` says (KubeError).

    Return the version that it has then; 0 where there is nothing to be written, since it says so
    or was changed after it was read.
    """
    status = age_status(kind, raw.get("status") or {}, said, now)
    if status is None:
        return 0
    try:
        version = int(raw["metadata"]["resourceVersion"])
        written = await client.replace_status(kind, key_of(raw), version, status)
    except (Conflict, NotFound):
        return 0
    return int(written["metadata"]["resourceVersion"])

"""The keys that agents' tokens are verified by, as the cluster publishes them.

Every ServiceAccount may read them (ClusterRole `system:service-account-issuer-discovery`).
"""

from vpplb.direct.tokens import IssuerKeys, KeysUnavailable
from vpplb.kube.api_types import KubeError
from vpplb.kube.client import KubeClient

ABOUT_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"


async def fetch_issuer_keys(client: KubeClient) -> IssuerKeys:
    """Ask for the issuer's name and keys; KeysUnavailable when they cannot be had."""
    try:
        about = await client.read_path(ABOUT_PATH)
        published = (await client.read_path(KEYS_PATH)).get("keys")
    except KubeError as error:
        raise KeysUnavailable(f"the cluster's keys cannot be read: {error}") from error
    issuer = about.get("issuer")
    if not isinstance(issuer, str) or not issuer or not isinstance(published, list):
        raise KeysUnavailable("what the cluster publishes are no keys")
    return IssuerKeys(issuer=issuer, keys=tuple(one for one in published if isinstance(one, dict)))

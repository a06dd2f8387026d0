import pytest

from vpplb.controller.token_keys import ABOUT_PATH, KEYS_PATH, fetch_issuer_keys
from vpplb.direct.tokens import IssuerKeys, KeysUnavailable
from vpplb.kube.api_types import ApiUnreachable, JsonObject, api_error
from vpplb.kube.client import KubeClient


class PublishingClient(KubeClient):
    """An API server that publishes what it is told, and fails where that is None."""

    def __init__(self, about: JsonObject | None, keys: JsonObject | None) -> None:
        self._told = {ABOUT_PATH: about, KEYS_PATH: keys}

    async def read_path(self, path: str) -> JsonObject:
        told = self._told[path]
        if told is None:
            raise api_error(403, "Forbidden", f"cannot get path {path}")
        return told


KEY = {"kid": "1", "kty": "EC"}


async def test_issuer_and_keys_are_what_the_cluster_publishes() -> None:
    client = PublishingClient({"issuer": "https://me", "jwks_uri": "x"}, {"keys": [KEY, "x"]})
    assert await fetch_issuer_keys(client) == IssuerKeys(issuer="https://me", keys=(KEY,))


@pytest.mark.parametrize(
    ("about", "keys", "why"),
    [
        (None, {"keys": [KEY]}, "cannot be read: 403 Forbidden: cannot get path /.well-known"),
        ({"issuer": "https://me"}, None, "cannot get path /openid/v1/jwks"),
        ({}, {"keys": [KEY]}, "are no keys"),
        ({"issuer": ""}, {"keys": [KEY]}, "are no keys"),
        ({"issuer": ["https://me"]}, {"keys": [KEY]}, "are no keys"),
        ({"issuer": "https://me"}, {}, "are no keys"),
        ({"issuer": "https://me"}, {"keys": KEY}, "are no keys"),
    ],
)
async def test_what_cannot_be_had_is_said(
    about: JsonObject | None, keys: JsonObject | None, why: str
) -> None:
    with pytest.raises(KeysUnavailable, match=why):
        await fetch_issuer_keys(PublishingClient(about, keys))


async def test_a_server_that_is_away_is_no_other_error() -> None:
    class AbsentClient(KubeClient):
        def __init__(self) -> None:
            pass

        async def read_path(self, path: str) -> JsonObject:
            raise ApiUnreachable("connection refused")

    with pytest.raises(KeysUnavailable, match="connection refused"):
        await fetch_issuer_keys(AbsentClient())

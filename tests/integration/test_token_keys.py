"""Keys of the API server: what only looks like its tokens is refused, and new keys are learnt."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cluster.binaries import Missing
from cluster.control_plane import SYSTEM_NAMESPACE
from cluster.signing_server import AGENT, NODE, SigningServer, signing_server
from fakes.agent_handler import FakeAgentHandler
from lab.direct_server import serving
from lab.raw_agent import connect_agent
from vpplb.controller.token_keys import fetch_issuer_keys
from vpplb.direct.messages import OperatorRole
from vpplb.direct.server import DirectServer, RefusalReason
from vpplb.direct.tokens import LEEWAY, RETRY_EVERY, TokenVerifier
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

LEARNT = int(RETRY_EVERY) + 5
"""Seconds in which a new key is known once a token names it: unknown ones are asked for that often,
and the machine may be busy."""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningServer]:
    """Give an API server whose keys are at hand."""
    said = list[str]()
    try:
        with signing_server(tmp_path_factory.mktemp("issuer"), said.append) as running:
            yield running
    except Missing as missing:
        pytest.skip(f"no control plane: {missing}")


@pytest.fixture
async def verifier(issuer: SigningServer) -> AsyncIterator[TokenVerifier]:
    """Give an operator's verifier, with the real way to the keys."""
    async with await KubeClient.from_config(issuer.kubeconfig) as client:
        yield TokenVerifier(
            fetch_keys=partial(fetch_issuer_keys, client),
            account=ObjectKey(SYSTEM_NAMESPACE, AGENT),
        )


async def is_let_in(server: DirectServer, token: str) -> bool:
    try:
        async with connect_agent(server.listen_port, NODE, token=token) as agent:
            return isinstance(await agent.hear(), OperatorRole)
    except aiohttp.WSServerHandshakeError:
        return False


async def wait_let_in(server: DirectServer, token: str) -> None:
    """Return once a token lets in whose key was not known before."""
    for _ in range(LEARNT):
        if await is_let_in(server, token):
            return
        await asyncio.sleep(1.0)
    raise AssertionError(f"the key is not learnt in {LEARNT} s")


# --- what only looks like a token ------------------------------------------------------------


def sign_again(
    issuer: SigningServer,
    claims: Mapping[str, object] | None = None,
    key: rsa.RSAPrivateKey | None = None,
) -> str:
    """Return a true token with other claims, signed by the API server's own key or by `key`."""
    true = issuer.make_token()
    header = jwt.get_unverified_header(true)
    told = jwt.decode(true, options={"verify_signature": False})
    return jwt.encode(
        {**told, **(claims or {})},
        key or issuer.key.read_bytes(),
        algorithm=header["alg"],
        headers={"kid": header["kid"]},
    )


def make_expired(issuer: SigningServer) -> str:
    told: dict[str, Any] = jwt.decode(issuer.make_token(), options={"verify_signature": False})
    early = 2 * LEEWAY + (told["exp"] - told["iat"])
    times = {name: int(told[name] - early) for name in ("exp", "iat", "nbf")}
    return sign_again(issuer, times)


def make_early(issuer: SigningServer) -> str:
    told: dict[str, Any] = jwt.decode(issuer.make_token(), options={"verify_signature": False})
    times = {name: int(told[name] + 3 * LEEWAY) for name in ("exp", "iat", "nbf")}
    return sign_again(issuer, times)


def make_forged(issuer: SigningServer) -> str:
    return sign_again(issuer, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))


def make_unsigned(issuer: SigningServer) -> str:
    """Return a token that says of itself that nobody has signed it (RFC 8725, 2.1)."""
    claims = issuer.make_token().split(".")[1]
    return ".".join((jwt.encode({}, "", algorithm="none").split(".")[0], claims, ""))


def tamper(issuer: SigningServer) -> str:
    """Put the claims of one token under the signature of another."""
    head, _, signature = issuer.make_token().split(".")
    return ".".join((head, sign_again(issuer, {"jti": "another"}).split(".")[1], signature))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_expired, "the token has expired"),
        (make_early, "the token is not valid yet"),
        (make_forged, "the token's signature is wrong"),
        (tamper, "the token's signature is wrong"),
        (make_unsigned, "is not signed by a key pair"),
        (lambda _: "no.token.atall", "what was sent is no token"),
        (lambda _: secrets.token_hex(500), "what was sent is no token"),
        (lambda issuer: issuer.make_token()[:-42], "signature is wrong"),
    ],
    ids=["expired", "early", "forged", "tampered", "unsigned", "words", "hex", "cut"],
)
async def test_what_the_api_server_has_not_signed_for_now_opens_no_connection(
    issuer: SigningServer,
    verifier: TokenVerifier,
    make: Callable[[SigningServer], str],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = make(issuer)
    async with serving(FakeAgentHandler(), verify_token=verifier.verify_token) as server:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect_agent(server.listen_port, NODE, token=token):
                pass
        assert refused.value.status == 401
        assert server.refused == {RefusalReason.TOKEN: 1}
        [told] = [one.getMessage() for one in caplog.records if "is refused" in one.getMessage()]
        assert why in told
        assert token not in caplog.text
        assert await is_let_in(server, sign_again(issuer)), "the same with its times and key is one"


# --- new keys --------------------------------------------------------------------------------


async def test_a_new_key_of_the_cluster_is_learnt_and_the_old_one_believed_while_it_is_published(
    issuer: SigningServer, verifier: TokenVerifier
) -> None:
    old = issuer.make_token()
    async with serving(FakeAgentHandler(), verify_token=verifier.verify_token) as server:
        assert await is_let_in(server, old)
        issuer.replace_key(keep=True)
        new = issuer.make_token()
        assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
        await wait_let_in(server, new)
        assert await is_let_in(server, old)
        assert verifier.trouble == ""

        issuer.replace_key(keep=False)
        newest = issuer.make_token()
        await wait_let_in(server, newest)
        for withdrawn in (old, new):
            assert not await is_let_in(server, withdrawn)

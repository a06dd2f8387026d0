"""Whose tokens are believed, by real keys and signatures."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives import serialization

from lab.token_issuer import ACCOUNT, IssuerKey, TokenIssuer
from vpplb.direct.messages import MOST_TOKEN_CHARS
from vpplb.direct.tokens import (
    PATIENCE,
    REFRESH_EVERY,
    RETRY_EVERY,
    AgentIdentity,
    IssuerKeys,
    KeysUnavailable,
    TokenRefused,
    TokenVerifier,
)

pytestmark = pytest.mark.looptime


@pytest.fixture
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
def verifier(issuer: TokenIssuer) -> TokenVerifier:
    return TokenVerifier(fetch_keys=issuer.fetch_keys, account=ACCOUNT)


async def refusal(verifier: TokenVerifier, token: str, node: str = "n1") -> TokenRefused:
    with pytest.raises(TokenRefused) as refused:
        await verifier.verify_token(token, node)
    assert token[:20] not in str(refused.value) or not token
    return refused.value


# --- who is let in ---------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384"])
async def test_the_agent_of_a_node_is_known_by_its_token(algorithm: str) -> None:
    issuer = TokenIssuer(algorithm)
    verifier = TokenVerifier(fetch_keys=issuer.fetch_keys, account=ACCOUNT)
    identity = await verifier.verify_token(issuer.issue_token("n1"), "n1")
    assert identity == AgentIdentity(node="n1", pod="vpplb-agent-x")


async def test_the_keys_are_fetched_once_for_many_tokens(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    tokens = [issuer.issue_token(f"n{number}") for number in range(20)]
    nodes = await asyncio.gather(
        *(verifier.verify_token(token, f"n{number}") for number, token in enumerate(tokens))
    )
    assert [one.node for one in nodes] == [f"n{number}" for number in range(20)]
    assert issuer.asked == 1


async def test_a_token_that_expired_a_moment_ago_is_believed_since_clocks_differ(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    now = int(time.time())
    await verifier.verify_token(issuer.issue_token(exp=now - 5), "n1")
    await verifier.verify_token(issuer.issue_token(nbf=now + 5, iat=now + 5), "n1")


# --- who is not ------------------------------------------------------------------------------

HOUR = 3600
IN_2001, IN_2100 = 1_000_000_000, 4_102_444_800


@pytest.mark.parametrize(
    ("claims", "status", "why"),
    [
        ({"aud": ["vault"]}, 401, "another audience than vpplb-direct"),
        ({"aud": ["https://kubernetes.default.svc"]}, 401, "another audience"),
        ({"aud": []}, 401, "lacks aud"),
        ({"aud": None}, 401, "lacks aud"),
        ({"aud": {"vpplb-direct": 1}}, 401, "another audience"),
        ({"iss": "https://elsewhere"}, 401, "another issuer"),
        ({"iss": None}, 401, "lacks iss"),
        ({"exp": IN_2001}, 401, "has expired"),
        ({"exp": None}, 401, "lacks exp"),
        ({"exp": "soon"}, 401, "cannot be read"),
        ({"exp": [1]}, 401, "cannot be read"),
        ({"nbf": IN_2100}, 401, "not valid yet"),
        ({"iat": IN_2100}, 401, "not valid yet"),
        ({"sub": None}, 401, "lacks sub"),
        ({"sub": "system:serviceaccount:vpplb-system:vpplb-operator"}, 403, "and agents are"),
        ({"sub": "system:serviceaccount:other:vpplb-agent"}, 403, "is of system:serviceaccount:o"),
        ({"sub": "system:serviceaccount:vpplb-system:vpplb-agent-2"}, 403, "and agents are"),
        ({"kubernetes.io": None}, 403, "names no node: it must be that of a projected volume"),
        ({"kubernetes.io": {"pod": {"name": "x"}}}, 403, "names no node"),
        ({"kubernetes.io": {"node": "n1"}}, 403, "names no node"),
        ({"kubernetes.io": "n1"}, 403, "names no node"),
        ({"kubernetes.io": {"node": {"name": "n2"}}}, 403, "an agent on node n2, not on n1"),
    ],
)
async def test_a_token_that_says_anything_else_is_refused_and_told_why(
    issuer: TokenIssuer, verifier: TokenVerifier, claims: dict[str, object], status: int, why: str
) -> None:
    refused = await refusal(verifier, issuer.issue_token("n1", **claims))
    assert refused.status == status
    assert why in str(refused)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        "ü.ü.ü",
        "\udcff.\udcff.\udcff",
        "e30.e30.e30",
        f"{base64.urlsafe_b64encode(b'[' * 4000).decode()}.e30.e30",
        f"{base64.urlsafe_b64encode(b'[]').decode()}.e30.e30",
        f"{base64.urlsafe_b64encode(json.dumps({'alg': 'ES256', 'kid': 1}).encode()).decode()}.a.b",
        f"{base64.urlsafe_b64encode(json.dumps({'alg': ['ES256']}).encode()).decode()}.e30.e30",
    ],
)
async def test_garbage_is_refused_without_asking_the_cluster(
    issuer: TokenIssuer, verifier: TokenVerifier, token: str
) -> None:
    assert (await refusal(verifier, token)).status == HTTPStatus.UNAUTHORIZED
    assert issuer.asked == 0


async def test_a_token_that_is_too_long_is_not_even_looked_at(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    token = issuer.issue_token(note="x" * MOST_TOKEN_CHARS)
    assert "longer than 8192 characters" in str(await refusal(verifier, token))
    assert issuer.asked == 0


async def test_a_token_that_was_changed_is_refused(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    header, _, signature = issuer.issue_token("n2").split(".")
    forged = json.dumps(issuer.claim("n1")).encode()
    payload = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
    refused = await refusal(verifier, f"{header}.{payload}.{signature}")
    assert "signature is wrong" in str(refused)
    unsigned = await refusal(verifier, f"{header}.{payload}.")
    assert "signature is wrong" in str(unsigned)


def _forge(header: dict[str, object], claims: dict[str, object], secret: bytes | None) -> str:
    """Write a token by hand, as whoever has no private key may."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (header, claims)
    ]
    signed = b".".join(parts)
    mac = b"" if secret is None else hmac.digest(secret, signed, hashlib.sha256)
    return b".".join([signed, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None])
async def test_a_token_that_nobody_signed_is_refused(
    issuer: TokenIssuer, verifier: TokenVerifier, algorithm: str | None
) -> None:
    token = _forge({"alg": algorithm, "kid": issuer.key.name}, issuer.claim("n1"), None)
    assert (await refusal(verifier, token)).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("kind", ["ES256", "RS256"])
async def test_the_public_key_is_no_secret_to_sign_by(kind: str) -> None:
    issuer = TokenIssuer(kind)
    verifier = TokenVerifier(fetch_keys=issuer.fetch_keys, account=ACCOUNT)
    public = issuer.key.private.public_key()
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        secret = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        token = _forge({"alg": "HS256", "kid": issuer.key.name}, issuer.claim("n1"), secret)
        assert "not signed by a key pair" in str(await refusal(verifier, token))


async def test_a_shared_secret_that_is_published_is_no_key() -> None:
    issuer = TokenIssuer()
    secret = b"0123456789abcdef0123456789abcdef"
    shared = {
        "kty": "oct",
        "kid": "shared",
        "alg": "HS256",
        "k": base64.urlsafe_b64encode(secret).decode(),
    }
    issuer.published.append(shared)
    verifier = TokenVerifier(fetch_keys=issuer.fetch_keys, account=ACCOUNT)
    for algorithm in ("HS256", "ES256"):
        token = _forge({"alg": algorithm, "kid": "shared"}, issuer.claim("n1"), secret)
        assert (await refusal(verifier, token)).status == HTTPStatus.UNAUTHORIZED


async def test_a_key_signs_by_its_own_algorithm_alone() -> None:
    issuer = TokenIssuer("RS256")
    verifier = TokenVerifier(fetch_keys=issuer.fetch_keys, account=ACCOUNT)
    issuer.key.algorithm = "PS256"
    assert "cannot be read" in str(await refusal(verifier, issuer.issue_token("n1")))


async def test_a_key_of_somebody_else_under_a_known_name_is_refused(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    issuer.key = IssuerKey(name=issuer.key.name)
    assert "signature is wrong" in str(await refusal(verifier, issuer.issue_token("n1")))


async def test_keys_that_cannot_be_used_are_passed_over(issuer: TokenIssuer) -> None:
    good = issuer.published[0]
    unusable: list[dict[str, object]] = [
        {},
        {"kid": "1"},
        {"kid": "2", "kty": "magic"},
        {"kid": "3", "kty": "EC", "crv": "P-256", "x": 1, "y": None},
        {"kid": "4", "kty": "RSA", "n": "x" * 100_000, "e": "AQAB"},
        {**good, "kid": ""},
        {**good, "kid": "5", "use": "enc"},
    ]
    issuer.published[:0] = unusable
    verifier = TokenVerifier(fetch_keys=issuer.fetch_keys, account=ACCOUNT)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    encrypting = issuer.sign_claims(issuer.claim("n1"), kid="5")
    assert "does not publish" in str(await refusal(verifier, encrypting))


# --- keys come and go ------------------------------------------------------------------------


async def test_a_new_key_is_fetched_when_a_token_names_it(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    old = issuer.issue_token("n1")
    await verifier.verify_token(old, "n1")
    issuer.rotate_key(keep=True)
    await asyncio.sleep(RETRY_EVERY)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    await verifier.verify_token(old, "n1")
    assert issuer.asked == 2


async def test_a_cluster_that_is_renamed_is_asked_for_its_name_when_a_token_tells_the_new_one(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    """An API server may get another `--service-account-issuer`, and go on with its keys."""
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    issuer.issuer = "https://renamed.example"
    await asyncio.sleep(RETRY_EVERY)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    assert issuer.asked == 2


async def test_tokens_with_the_name_of_before_are_believed_while_their_key_is_published(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    """The kubelet renews them by their age alone, most of a day later."""
    running = asyncio.create_task(verifier.run())
    await asyncio.sleep(1)
    old = issuer.issue_token("n1")
    for number in range(2):
        issuer.issuer = f"https://renamed-{number}.example"
        await asyncio.sleep(REFRESH_EVERY)
        await verifier.verify_token(issuer.issue_token("n1"), "n1")
        await verifier.verify_token(old, "n1")
    issuer.rotate_key()
    await asyncio.sleep(REFRESH_EVERY)
    assert "does not publish" in str(await refusal(verifier, old))
    running.cancel()


async def test_tokens_of_another_issuer_do_not_make_us_ask_more_often(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    for _ in range(100):
        token = issuer.issue_token("n1", iss="https://elsewhere")
        assert "another issuer" in str(await refusal(verifier, token))
        await asyncio.sleep(0.5)
    assert issuer.asked <= 100 * 0.5 / RETRY_EVERY + 1


async def test_a_key_that_the_cluster_takes_back_is_believed_for_minutes_at_most(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    running = asyncio.create_task(verifier.run())
    await asyncio.sleep(1)
    old = issuer.issue_token("n1")
    await verifier.verify_token(old, "n1")
    issuer.rotate_key()
    await asyncio.sleep(REFRESH_EVERY)
    assert "does not publish" in str(await refusal(verifier, old))
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    running.cancel()


async def test_tokens_of_unknown_keys_do_not_make_us_ask_more_often(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    for number in range(500):
        token = issuer.sign_claims(issuer.claim("n1"), kid=f"made-up-{number}")
        assert "does not publish" in str(await refusal(verifier, token))
        await asyncio.sleep(0.1)
    assert issuer.asked <= 500 * 0.1 / RETRY_EVERY + 1


async def test_while_the_cluster_is_away_the_keys_that_are_known_serve(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    running = asyncio.create_task(verifier.run())
    await asyncio.sleep(1)
    issuer.away = "connection refused"
    await asyncio.sleep(3 * HOUR)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    assert verifier.trouble == "connection refused"
    issuer.away = ""
    await asyncio.sleep(RETRY_EVERY)
    assert verifier.trouble == ""
    running.cancel()


async def test_a_key_that_cannot_be_asked_for_is_no_refusal_for_good(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    issuer.away = "connection refused"
    refused = await refusal(verifier, issuer.issue_token("n1"))
    assert isinstance(refused, KeysUnavailable)
    assert refused.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert str(refused) == "the token's key is not known here: connection refused"
    issuer.away = ""
    await asyncio.sleep(RETRY_EVERY)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")


async def test_a_cluster_that_does_not_answer_holds_up_no_agent_that_is_known(
    issuer: TokenIssuer,
) -> None:
    silent = False

    async def fetch_keys() -> IssuerKeys:
        if silent:
            await asyncio.sleep(HOUR)
        return await issuer.fetch_keys()

    verifier = TokenVerifier(fetch_keys=fetch_keys, account=ACCOUNT)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    silent, began = True, asyncio.get_running_loop().time()
    await asyncio.sleep(RETRY_EVERY)
    unknown = asyncio.create_task(
        refusal(verifier, issuer.sign_claims(issuer.claim("n1"), kid="another"))
    )
    await asyncio.sleep(0)
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    assert asyncio.get_running_loop().time() == began + RETRY_EVERY
    assert "no answer in 5 s" in str(await unknown)
    assert asyncio.get_running_loop().time() == began + RETRY_EVERY + PATIENCE


async def test_an_answer_without_a_key_takes_no_key_away(
    issuer: TokenIssuer, verifier: TokenVerifier
) -> None:
    running = asyncio.create_task(verifier.run())
    await asyncio.sleep(1)
    kept, issuer.published = issuer.published, []
    await asyncio.sleep(REFRESH_EVERY)
    assert verifier.trouble == "the cluster publishes no key that can be used"
    await verifier.verify_token(issuer.issue_token("n1"), "n1")
    issuer.published = kept
    running.cancel()
